//! Cancelling a job.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_client::{Client, ClientError};

use crate::clients::Clients;
use crate::job::Job;
use crate::jobs::Jobs;
use crate::lookup::StatusError;
use crate::persist::write;
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
pub(crate) async fn cancel(jobs: &Jobs, clients: &Clients, prompt_id: &str) -> Result<Status, CancelError> {
    let mut subscription = jobs.watch(clients, prompt_id, WatchOptions::new()).await?;
    if let Some(over) = status_of(jobs, prompt_id).filter(|status| status.is_over()) {
        return Err(CancelError::Over(over));
    }
    if cancel_waiting(jobs, prompt_id) {
        // The answer must not be forgotten by a crash: the job would run.
        write(jobs, prompt_id).await.map_err(StatusError::from)?;
        return Ok(Status::Cancelled);
    }
    jobs.change(prompt_id, |job| job.cancel_asked = true);
    // If this process dies after ComfyUI has deleted the job and before that is recorded, the next process must know that
    // the job is not lost. A store that fails is no reason to let the job run.
    if !matches!(tokio::time::timeout(WRITING, write(jobs, prompt_id)).await, Ok(Ok(()))) {
        tracing::warn!(prompt_id, "a job is being cancelled before that could be recorded");
    }
    let stopped = tokio::time::timeout(PATIENCE, stop(jobs, clients, prompt_id, &mut subscription)).await;
    stopped.unwrap_or(Ok(()))?;
    match status_of(jobs, prompt_id) {
        Some(Status::Cancelled) => Ok(Status::Cancelled),
        Some(over) if over.is_over() => Err(CancelError::Over(over)),
        Some(open) => Ok(open),
        None => Err(StatusError::Unknown(prompt_id.to_owned()).into()),
    }
}

/// Cancels a job that no ComfyUI was given yet. Returns whether it is such a job.
fn cancel_waiting(jobs: &Jobs, prompt_id: &str) -> bool {
    let cancel = |job: &mut Job| {
        let is_waiting = job.is_waiting();
        if is_waiting {
            job.cancel_asked = true;
            job.progress.cancelled();
        }
        is_waiting
    };
    jobs.change(prompt_id, cancel).unwrap_or(false)
}

/// Asks ComfyUI to stop the job, until it is over.
async fn stop(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
    subscription: &mut Subscription,
) -> Result<(), StatusError> {
    let (mut deleted, mut interrupted) = (false, false);
    let mut pause = FIRST_PAUSE;
    while status_of(jobs, prompt_id).is_some_and(|status| !status.is_over()) {
        // It may have been sent back to our queue meanwhile.
        if cancel_waiting(jobs, prompt_id) {
            write(jobs, prompt_id).await?;
            return Ok(());
        }
        let Some((comfyui, client)) = client_of(jobs, clients, prompt_id) else {
            return Err(ClientError::NotConfigured(comfyui_of(jobs, prompt_id)).into());
        };
        let unsupported = jobs.unsupported(&comfyui);
        match RemoteState::look_up(&unsupported, &client, prompt_id).await? {
            RemoteState::Pending => {
                stop_remotely(&unsupported, &client, prompt_id, false).await?;
                // ComfyUI answers when the prompt is deleted, and sends no message about it.
                if !deleted {
                    deleted = true;
                    continue;
                }
            }
            RemoteState::Running => {
                if !interrupted {
                    stop_remotely(&unsupported, &client, prompt_id, true).await?;
                    interrupted = true;
                    pause = pause.max(PAUSE_WHEN_INTERRUPTED);
                }
                settle(jobs, prompt_id, RemoteState::Running);
            }
            // It is unknown whether the job runs, so it must not be interrupted.
            RemoteState::Unreadable { error, has_left: false } => return Err(error.into()),
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

/// Returns the ComfyUI that has a job, by name and client.
fn client_of(jobs: &Jobs, clients: &Clients, prompt_id: &str) -> Option<(Arc<str>, Client)> {
    let comfyui = jobs.comfyui_of(prompt_id)?;
    let client = clients.get(&comfyui)?;
    Some((comfyui, client))
}

/// Returns the name of the ComfyUI that a job was given, configured or not.
fn comfyui_of(jobs: &Jobs, prompt_id: &str) -> String {
    let state = jobs.lock();
    let comfyui = state.table.get(prompt_id).and_then(|job| job.comfyui.as_deref());
    comfyui.unwrap_or_default().to_owned()
}

fn status_of(jobs: &Jobs, prompt_id: &str) -> Option<Status> {
    jobs.with_progress(prompt_id, |progress, _| progress.status())
}
