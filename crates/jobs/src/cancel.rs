//! Stopping a job.

use std::time::Duration;

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::Status;

use crate::live::{Previews, Wants, Watch};
use crate::remote::RemoteState;
use crate::status::StatusError;
use crate::table::Jobs;

/// How long is waited for the store to know that a job is to stop.
const WRITING: Duration = Duration::from_secs(1);
/// How long is waited for a job to stop. A node looks up between its steps, and some never do.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between two looks at ComfyUI's queue; each one is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The least pause after an interruption: a message tells of the end sooner, and a queue of thousands is a long answer.
const PAUSE_OF_INTERRUPTED: Duration = Duration::from_millis(500);

/// Why a job was not cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It was over before, or at that instant, by itself.
    #[error("the job is over: it is {}", .0.as_str())]
    Over(Status),
    /// See [`StatusError`].
    #[error(transparent)]
    Status(#[from] StatusError),
}

impl Jobs {
    /// Takes a job out of ComfyUI's queue, or interrupts it if it runs, and only it. Returns what became of it:
    /// `cancelled`, or `running` while the node at work has not let go (then it will be over when it does).
    ///
    /// ComfyUI says how the job ended. If it started, ended or failed at that very instant, that is its status.
    pub async fn cancel(&self, client: &Client, prompt_id: &str) -> Result<Status, CancelError> {
        let mut watch =
            self.watch(client, prompt_id, Wants { previews: Previews::None, outputs: false }).await?;
        if let Some(over) = self.status_of(prompt_id).filter(|status| status.is_over()) {
            return Err(CancelError::Over(over));
        }
        self.change(prompt_id, |job| job.cancel_asked = true);
        // Should we die between ComfyUI's forgetting the job and our writing so, the next process must know that it is not
        // lost. A store that does not take it is no reason to let the job run.
        if tokio::time::timeout(WRITING, self.until_written(prompt_id)).await.is_err() {
            tracing::warn!(prompt_id, "a job is being cancelled before that could be written down");
        }
        let stopped = tokio::time::timeout(PATIENCE, self.stop(client, prompt_id, &mut watch)).await;
        stopped.unwrap_or(Ok(())).map_err(StatusError::from)?;
        match self.status_of(prompt_id) {
            Some(Status::Cancelled) => Ok(Status::Cancelled),
            Some(over) if over.is_over() => Err(CancelError::Over(over)),
            Some(open) => Ok(open),
            None => Err(StatusError::Unknown(prompt_id.to_owned()).into()),
        }
    }

    /// Tells ComfyUI to stop the job, until it is over.
    async fn stop(&self, client: &Client, prompt_id: &str, watch: &mut Watch) -> Result<(), ClientError> {
        let mut interrupted = false;
        let mut pause = FIRST_PAUSE;
        while self.status_of(prompt_id).is_some_and(|status| !status.is_over()) {
            match self.look_up(client, prompt_id).await? {
                RemoteState::Pending => self.stop_remotely(client, prompt_id, false).await?,
                RemoteState::Running => {
                    if !interrupted {
                        self.stop_remotely(client, prompt_id, true).await?;
                        interrupted = true;
                        pause = pause.max(PAUSE_OF_INTERRUPTED);
                    }
                    self.settle(prompt_id, RemoteState::Running);
                }
                // Nothing is known of it, not even whether it is to be interrupted.
                RemoteState::Unreadable { error, has_left: false } => return Err(error),
                // It may still be on its way to ComfyUI; then the next look tells. One that is to stop is never lost.
                gone => {
                    self.settle(prompt_id, gone);
                }
            }
            // Messages may tell of the end before the pause is over.
            let _ = tokio::time::timeout(pause, watch.until_over()).await;
            pause *= 2;
        }
        Ok(())
    }

    fn status_of(&self, prompt_id: &str) -> Option<Status> {
        self.with_progress(prompt_id, |progress, _| progress.status())
    }
}
