//! The jobs that wait or run, with their positions.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use comfy_runner_api::{JobSummary, Queue, QueuedJob, Status};
use comfy_runner_client::Client;
use comfy_runner_store::{Filter, StoreError};
use futures::future::join_all;

use crate::clients::Clients;
use crate::jobs::Jobs;
use crate::place::waits;
use crate::records::list;
use crate::remote_state::QueuePositions;

/// See [`Jobs::queue`]. Jobs that run come first, then those that ComfyUIs have, then those that wait for a ComfyUI. Jobs that
/// are on their way to a ComfyUI, or have just left it, come between, and so do those of a ComfyUI that does not answer.
pub(crate) async fn queue(jobs: &Jobs, clients: &Clients) -> Result<Queue, StoreError> {
    let asked = askable(jobs, clients).into_iter();
    let fetches = asked.map(|(name, client)| async move { (name, client.queue().await) });
    let (mut running, mut pending, mut positions) = (0, 0, Vec::new());
    let mut answered = HashSet::new();
    for (name, fetched) in join_all(fetches).await {
        if let Ok(queue) = fetched {
            running += queue.queue_running.len();
            pending += queue.queue_pending.len();
            positions.push(QueuePositions::new(queue));
            answered.insert(name);
        }
    }
    let statuses = vec![Status::Pending, Status::Running];
    let listed = list(jobs, Filter::default().with_statuses(statuses)).await?.jobs;
    // Of a ComfyUI that does not answer, the server knows its own jobs.
    let unanswered = |job: &&JobSummary| job.comfyui.as_ref().is_some_and(|name| !answered.contains(&**name));
    for job in listed.iter().filter(unanswered) {
        match job.status {
            Status::Running => running += 1,
            _ => pending += 1,
        }
    }
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
    let last = |job: &QueuedJob| match job.summary.status {
        Status::Running => 0,
        _ => job.position.unwrap_or(given),
    };
    queued.sort_by(|a, b| last(a).cmp(&last(b)).then_with(|| a.summary.queued_at.cmp(&b.summary.queued_at)));
    Ok(Queue { running, pending: pending + jobs.waiting(), jobs: queued })
}

/// Returns the ComfyUIs that are connected; all if none is. One that does not answer delays the others.
fn askable(jobs: &Jobs, clients: &Clients) -> Vec<(Arc<str>, Client)> {
    let all = clients.all();
    let connected: Vec<_> = all.iter().filter(|(name, _)| jobs.is_connected(name)).cloned().collect();
    if connected.is_empty() { all } else { connected }
}
