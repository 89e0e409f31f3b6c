//! The jobs that wait or run, with their positions in ComfyUI's queue.

use comfy_runner_api::{JobSummary, Queue, QueuedJob, Status};
use comfy_runner_client::{Client, ClientError};
use comfy_runner_store::{Filter, StoreError};

use crate::jobs::Jobs;
use crate::records::list;
use crate::remote_state::QueuePositions;

/// Why the queue cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// ComfyUI cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// See [`Jobs::queue`]. Jobs that ComfyUI does not have in its queue, because they are on their way to it or have just left
/// it, come last.
pub(crate) async fn queue(jobs: &Jobs, client: &Client) -> Result<Queue, QueueError> {
    let queue = client.queue().await?;
    let (running, pending) = (queue.queue_running.len(), queue.queue_pending.len());
    let positions = QueuePositions::new(queue);
    let statuses = vec![Status::Pending, Status::Running];
    let mut listed = list(jobs, Filter::default().with_statuses(statuses)).await?.jobs;
    let position = |prompt_id: &str| positions.position(prompt_id);
    let last = |job: &JobSummary| position(&job.prompt_id).unwrap_or(usize::MAX);
    listed.sort_by(|a, b| last(a).cmp(&last(b)).then_with(|| a.queued_at.cmp(&b.queued_at)));
    let queued = listed.into_iter().map(|summary| QueuedJob {
        position: position(&summary.prompt_id),
        progress: jobs.with_progress(&summary.prompt_id, |progress, now| progress.snapshot(now)),
        summary,
    });
    Ok(Queue { running, pending, jobs: queued.collect() })
}
