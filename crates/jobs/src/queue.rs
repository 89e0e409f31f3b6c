//! The jobs that wait or run, and their places in ComfyUI's queue.

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::Status;
use comfy_runner_store::{Filter, StoreError, Summary};

use crate::remote::QueuePositions;
use crate::table::Jobs;

/// Why the queue cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// ComfyUI cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The jobs that wait or run.
#[derive(Debug)]
pub struct ActiveJobs {
    /// Those that run, then those that wait in the order in which they will run; those that ComfyUI does not have in its
    /// queue, because they are on their way to it or have just left it, come last.
    pub jobs: Vec<ActiveJob>,
    /// As many prompts run on ComfyUI, those of others among them.
    pub running: usize,
    /// As many prompts wait there.
    pub pending: usize,
}

/// A job that waits or runs.
#[derive(Debug)]
pub struct ActiveJob {
    /// What is kept of it.
    pub summary: Summary,
    /// How many prompts are before it, those of others among them; 0 is the one that runs. Nothing while ComfyUI does not
    /// have it in its queue.
    pub position: Option<usize>,
}

impl Jobs {
    /// The jobs that wait or run, with their places in the queue.
    pub async fn active(&self, client: &Client) -> Result<ActiveJobs, QueueError> {
        let queue = client.queue().await?;
        let (running, pending) = (queue.queue_running.len(), queue.queue_pending.len());
        let positions = QueuePositions::new(queue);
        let statuses = vec![Status::Pending, Status::Running];
        let listed = self.list(Filter { statuses, ..Filter::default() }).await?;
        let mut jobs: Vec<_> = listed
            .jobs
            .into_iter()
            .map(|summary| ActiveJob { position: positions.position(&summary.prompt_id), summary })
            .collect();
        jobs.sort_by_key(|job| (job.position.unwrap_or(usize::MAX), job.summary.queued_at));
        Ok(ActiveJobs { jobs, running, pending })
    }
}
