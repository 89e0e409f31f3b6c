//! Looking up a job's status and its result: in memory, else in the store, else at ComfyUI.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::{JobStatus, Status};
use comfy_runner_client::ClientError;
use comfy_runner_progress::Progress;
use comfy_runner_protocol::{Graph, HistoryEntry, Media, NodeId, OutputFile};
use comfy_runner_store::StoreError;
use futures::future::join_all;
use serde::Deserialize as _;

use crate::clients::Clients;
use crate::job::{Job, SubmissionState};
use crate::jobs::Jobs;
use crate::remote_state::RemoteState;
use crate::send::EXTRA_DATA_KEY;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatusError {
    /// Neither this server nor ComfyUI knows the job.
    #[error("there is no job \"{0}\": neither this server nor ComfyUI knows it")]
    Unknown(String),
    /// The job is not in memory, and ComfyUI cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The job is not in memory, and the store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The job is not over.
    #[error("the job is {}: there is no result yet", .0.as_str())]
    NotReady(Status),
    /// The job ended without one.
    #[error("the job ended without a result: {0}")]
    Failed(String),
    /// The job ended well but made no file.
    #[error("the job completed, and none of its nodes made a file")]
    NoFile,
    /// See [`StatusError`].
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// See [`Jobs::status`].
pub(crate) async fn status(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
) -> Result<JobStatus, StatusError> {
    look(jobs, clients, prompt_id, |progress, now| progress.snapshot(now)).await
}

/// See [`Jobs::result`].
pub(crate) async fn result(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
    preferred: Media,
) -> Result<OutputFile, ResultError> {
    look(jobs, clients, prompt_id, |progress, _| match progress.status() {
        Status::Completed => progress.result(preferred).cloned().ok_or(ResultError::NoFile),
        status @ (Status::Pending | Status::Running) => Err(ResultError::NotReady(status)),
        Status::Error => Err(ResultError::Failed(progress.error().unwrap_or("unknown error").to_owned())),
        Status::Cancelled => Err(ResultError::Failed("it was cancelled".to_owned())),
    })
    .await?
}

/// See [`Jobs::final_files`].
pub(crate) async fn final_files(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
) -> Result<Vec<OutputFile>, StatusError> {
    look(jobs, clients, prompt_id, |progress, _| progress.final_files().into_iter().cloned().collect()).await
}

/// Returns what `look` makes of a job, which is fetched from the store or from ComfyUI if it is not in memory.
async fn look<T>(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
    look: impl FnOnce(&Progress, Duration) -> T,
) -> Result<T, StatusError> {
    let mut look = Some(look);
    let mut once = |progress: &Progress, now| look.take().map(|look| look(progress, now));
    if let Some(Some(seen)) = jobs.with_progress(prompt_id, &mut once) {
        return Ok(seen);
    }
    let (progress, _) = recall(jobs, clients, prompt_id).await?;
    once(&progress, jobs.now()).ok_or_else(|| StatusError::Unknown(prompt_id.to_owned()))
}

/// Fetches a job from the store, or from the queue and history of a ComfyUI, whose name is returned: one from before this
/// process, one that is no longer in memory, or one of another server. A job that is over is kept in memory.
pub(crate) async fn recall(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
) -> Result<(Progress, Option<Arc<str>>), StatusError> {
    let unknown = || StatusError::Unknown(prompt_id.to_owned());
    if !may_be_an_id(prompt_id) {
        return Err(unknown());
    }
    let record = jobs.store().get(prompt_id).await?;
    if let Some(record) = record.filter(|record| record.summary.outcome.status.is_over()) {
        let job = Job::from_record(&record, SubmissionState::Accepted, jobs.now());
        let found = (job.progress.clone(), job.comfyui.clone());
        jobs.insert_ended(job);
        return Ok(found);
    }
    let mut progress = Progress::new(prompt_id, &Graph::default(), None);
    let (comfyui, state) = look_everywhere(jobs, clients, prompt_id).await?.ok_or_else(unknown)?;
    match state {
        RemoteState::Pending | RemoteState::Unknown => {}
        RemoteState::Running => {
            progress.started();
        }
        RemoteState::Ended(entry) => {
            progress = ended(prompt_id, &entry);
            let job = Job::from_comfyui(progress.clone(), jobs.now());
            jobs.insert_ended(Job { comfyui: Some(Arc::clone(&comfyui)), ..job });
        }
        RemoteState::Unreadable { error, .. } => return Err(error.into()),
    }
    Ok((progress, Some(comfyui)))
}

/// Asks every ComfyUI for a job. Returns the answer of the one that knows it.
///
/// # Errors
/// None of those that answer knows it, and one does not answer.
async fn look_everywhere(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
) -> Result<Option<(Arc<str>, RemoteState)>, ClientError> {
    let looks = clients.all().into_iter().map(|(name, client)| async move {
        let state = RemoteState::look_up(&jobs.unsupported(&name), &client, prompt_id).await;
        (name, state)
    });
    let mut failed = None;
    let mut unreadable = None;
    for (name, state) in join_all(looks).await {
        match state {
            Ok(RemoteState::Unknown) => {}
            Ok(state @ RemoteState::Unreadable { .. }) => unreadable = Some((name, state)),
            Ok(state) => return Ok(Some((name, state))),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(unreadable),
    }
}

/// Returns the progress of a job that ComfyUI's history knows.
fn ended(prompt_id: &str, entry: &HistoryEntry) -> Progress {
    let graph = entry.graph().unwrap_or_default();
    let ours = entry.extra_data().and_then(|extra| extra.get(EXTRA_DATA_KEY));
    let results = ours.and_then(|ours| Vec::<NodeId>::deserialize(ours.get("result_nodes")?).ok());
    let mut progress = Progress::new(prompt_id, &graph, None).with_result_nodes(results.unwrap_or_default());
    progress.finish(entry);
    progress
}

/// Returns whether this can be a prompt id at all: it becomes part of a path of ComfyUI.
pub(crate) fn may_be_an_id(prompt_id: &str) -> bool {
    (1..=128).contains(&prompt_id.len())
        && prompt_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
