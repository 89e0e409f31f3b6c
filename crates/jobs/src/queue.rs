//! The jobs that wait or run, with their positions.

use std::collections::HashMap;

use comfy_runner_api::{Queue, QueuedJob, Status};
use comfy_runner_client::{Client, ClientError};
use comfy_runner_store::{Filter, StoreError};
use futures::future::join_all;

use crate::clients::Clients;
use crate::jobs::Jobs;
use crate::place::waits;
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

/// See [`Jobs::queue`]. Jobs that run come first, then those that ComfyUIs have, then those that wait for a ComfyUI. Jobs that
/// are on their way to a ComfyUI, or have just left it, come between.
pub(crate) async fn queue(jobs: &Jobs, clients: &Clients) -> Result<Queue, QueueError> {
    let fetches = askable(jobs, clients).into_iter().map(|client| async move { client.queue().await });
    let (mut running, mut pending, mut positions) = (0, 0, Vec::new());
    let mut failed = None;
    for fetched in join_all(fetches).await {
        match fetched {
            Ok(queue) => {
                running += queue.queue_running.len();
                pending += queue.queue_pending.len();
                positions.push(QueuePositions::new(queue));
            }
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed.filter(|_| positions.is_empty()) {
        return Err(error.into());
    }
    let statuses = vec![Status::Pending, Status::Running];
    let listed = list(jobs, Filter::default().with_statuses(statuses)).await?.jobs;
    let given = pending + running.max(1);
    let waits: HashMap<_, _> = {
        let waits = waits(&jobs.lock());
        waits.into_iter().enumerate().map(|(before, (id, wait))| (id, (before, wait))).collect()
    };
    let queued = listed.into_iter().map(|summary| {
        let id = &summary.prompt_id;
        let waiting = waits.get(id);
        let position = positions.iter().find_map(|positions| positions.position(id));
        QueuedJob {
            position: position.or(waiting.map(|(before, _)| before + given)),
            eta_seconds: waiting.and_then(|(_, wait)| *wait).map(|wait| wait.as_secs_f64()),
            progress: jobs.with_progress(id, |progress, now| progress.snapshot(now)),
            summary,
        }
    });
    let mut queued: Vec<_> = queued.collect();
    let last = |job: &QueuedJob| job.position.unwrap_or(given);
    queued.sort_by(|a, b| last(a).cmp(&last(b)).then_with(|| a.summary.queued_at.cmp(&b.summary.queued_at)));
    Ok(Queue { running, pending: pending + jobs.waiting(), jobs: queued })
}

/// Returns the clients of the ComfyUIs that are connected; of all if none is. One that does not answer delays the others.
fn askable(jobs: &Jobs, clients: &Clients) -> Vec<Client> {
    let all = clients.all();
    let connected: Vec<_> = all.iter().filter(|(name, _)| jobs.is_connected(name)).collect();
    let asked = if connected.is_empty() { all.iter().collect() } else { connected };
    asked.into_iter().map(|(_, client)| client.clone()).collect()
}
