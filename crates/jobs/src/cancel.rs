//! Stopping a job.

use comfy_runner_client::{Client, ClientError};

use crate::table::Jobs;

impl Jobs {
    /// Takes a job out of ComfyUI's queue, or interrupts it if it runs, and only it. How the job ends, its status
    /// says: it may well be over before ComfyUI hears of it.
    pub async fn cancel(&self, client: &Client, prompt_id: &str) -> Result<(), ClientError> {
        let queue = client.queue().await?;
        if queue.is_pending(prompt_id) {
            client.delete_pending(prompt_id).await?;
            // It may have started in between; then it is no longer pending and deleting it did nothing.
            let queue = client.queue().await?;
            if !queue.is_running(prompt_id) {
                return Ok(());
            }
        } else if !queue.is_running(prompt_id) {
            return Ok(());
        }
        client.interrupt(prompt_id).await
    }
}
