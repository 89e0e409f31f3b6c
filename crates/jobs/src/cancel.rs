//! Cancelling a job.

use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_client::{Client, ClientError};

use crate::jobs::Jobs;
use crate::lookup::StatusError;
use crate::persist::until_written;
use crate::reconcile::settle;
use crate::remote_state::{RemoteState, stop_remotely};
use crate::watch::{Subscription, WatchOptions};

/// How long to wait for the store to record that a job is to be cancelled.
const WRITING: Duration = Duration::from_secs(1);
/// How long to wait for a job to stop. Nodes check for an interruption between their steps, and some never do.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first pause between two looks at ComfyUI's queue; each one is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The least pause after an interruption: a message reports the end sooner, and a queue of thousands is a large answer.
const PAUSE_WHEN_INTERRUPTED: Duration = Duration::from_millis(500);

/// Why a job was not cancelled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// It was over before, or at that instant, by itself.
    #[error("the job is over: {}", .0.as_str())]
    Over(Status),
    /// See [`StatusError`].
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// See [`Jobs::cancel`].
pub(crate) async fn cancel(jobs: &Jobs, client: &Client, prompt_id: &str) -> Result<Status, CancelError> {
    let mut subscription = jobs.watch(client, prompt_id, WatchOptions::new()).await?;
    if let Some(over) = status_of(jobs, prompt_id).filter(|status| status.is_over()) {
        return Err(CancelError::Over(over));
    }
    jobs.change(prompt_id, |job| job.cancel_asked = true);
    // If this process dies after ComfyUI has deleted the job and before that is recorded, the next process must know that
    // the job is not lost. A store that fails is no reason to let the job run.
    if tokio::time::timeout(WRITING, until_written(jobs, prompt_id)).await.is_err() {
        tracing::warn!(prompt_id, "a job is being cancelled before that could be recorded");
    }
    let stopped = tokio::time::timeout(PATIENCE, stop(jobs, client, prompt_id, &mut subscription)).await;
    stopped.unwrap_or(Ok(())).map_err(StatusError::from)?;
    match status_of(jobs, prompt_id) {
        Some(Status::Cancelled) => Ok(Status::Cancelled),
        Some(over) if over.is_over() => Err(CancelError::Over(over)),
        Some(open) => Ok(open),
        None => Err(StatusError::Unknown(prompt_id.to_owned()).into()),
    }
}

/// Asks ComfyUI to stop the job, until it is over.
async fn stop(
    jobs: &Jobs,
    client: &Client,
    prompt_id: &str,
    subscription: &mut Subscription,
) -> Result<(), ClientError> {
    let mut interrupted = false;
    let mut pause = FIRST_PAUSE;
    while status_of(jobs, prompt_id).is_some_and(|status| !status.is_over()) {
        match RemoteState::look_up(jobs.unsupported(), client, prompt_id).await? {
            RemoteState::Pending => stop_remotely(jobs.unsupported(), client, prompt_id, false).await?,
            RemoteState::Running => {
                if !interrupted {
                    stop_remotely(jobs.unsupported(), client, prompt_id, true).await?;
                    interrupted = true;
                    pause = pause.max(PAUSE_WHEN_INTERRUPTED);
                }
                settle(jobs, prompt_id, RemoteState::Running);
            }
            // It is unknown whether the job runs, so it must not be interrupted.
            RemoteState::Unreadable { error, has_left: false } => return Err(error),
            // It may still be on its way to ComfyUI; then the next look shows it. A job that is to be cancelled is never
            // lost.
            gone => {
                settle(jobs, prompt_id, gone);
            }
        }
        // A message may end the job before the pause is over.
        let _ = tokio::time::timeout(pause, subscription.until_over()).await;
        pause *= 2;
    }
    Ok(())
}

fn status_of(jobs: &Jobs, prompt_id: &str) -> Option<Status> {
    jobs.with_progress(prompt_id, |progress, _| progress.status())
}
