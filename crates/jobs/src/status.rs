//! Where a job stands, and which file is its result: from memory, or else from the store, or else from ComfyUI.

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::{Progress, Status};
use comfy_runner_protocol::{Graph, HistoryEntry, Media, NodeErrors, NodeId, OutputFile};
use comfy_runner_store::StoreError;
use serde::Deserialize as _;

use crate::live::Live;
use crate::remote::RemoteState;
use crate::submit::EXTRA_DATA_KEY;
use crate::table::{Handover, Job, Jobs};

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Nobody knows the job.
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
pub enum ResultError {
    /// The job is not over.
    #[error("the job is {}: there is no result yet", .0.as_str())]
    NotReady(Status),
    /// The job ended without one.
    #[error("the job ended without a result: {0}")]
    Failed(String),
    /// The job ended well but made no file.
    #[error("the job is completed, and none of its nodes made a file")]
    NoFile,
    /// See [`StatusError`].
    #[error(transparent)]
    Status(#[from] StatusError),
}

impl Jobs {
    /// The body of the contract's `/status`, as JSON. A job in memory is answered for without asking ComfyUI.
    pub async fn status(&self, client: &Client, prompt_id: &str) -> Result<Vec<u8>, StatusError> {
        self.look(client, prompt_id, |progress, now| {
            serde_json::to_vec(&progress.snapshot(now)).unwrap_or_default()
        })
        .await
    }

    /// The file that is the job's result: of the kind `preferred` if there is one.
    pub async fn result(
        &self,
        client: &Client,
        prompt_id: &str,
        preferred: Media,
    ) -> Result<OutputFile, ResultError> {
        self.look(client, prompt_id, |progress, _| match progress.status() {
            Status::Completed => progress.result(preferred).cloned().ok_or(ResultError::NoFile),
            status @ (Status::Pending | Status::Running) => Err(ResultError::NotReady(status)),
            Status::Error => Err(ResultError::Failed(progress.error().unwrap_or("unknown error").to_owned())),
            Status::Cancelled => Err(ResultError::Failed("it was cancelled".to_owned())),
        })
        .await?
    }

    /// Looks at a job, which is fetched from the store or from ComfyUI when it is not in memory.
    async fn look<T>(
        &self,
        client: &Client,
        prompt_id: &str,
        look: impl FnOnce(&Progress, std::time::Duration) -> T,
    ) -> Result<T, StatusError> {
        let mut look = Some(look);
        let mut once = |progress: &Progress, now| look.take().map(|look| look(progress, now));
        if let Some(Some(seen)) = self.with_progress(prompt_id, &mut once) {
            return Ok(seen);
        }
        let progress = self.recall(client, prompt_id).await?;
        once(&progress, self.now()).ok_or_else(|| StatusError::Unknown(prompt_id.to_owned()))
    }

    /// Finds a job in the store, or in ComfyUI's queue and history: one from before our start, or so old that we forgot
    /// it, or one that another server has submitted.
    pub(crate) async fn recall(&self, client: &Client, prompt_id: &str) -> Result<Progress, StatusError> {
        let unknown = || StatusError::Unknown(prompt_id.to_owned());
        if !may_be_an_id(prompt_id) {
            return Err(unknown());
        }
        if let Some(record) = self.store().get(prompt_id).await?
            && record.summary.outcome.status.is_over()
        {
            let job = Job::of(&record, Handover::Accepted, self.now());
            let progress = job.progress.clone();
            self.remember(job);
            return Ok(progress);
        }
        let mut progress = Progress::new(prompt_id, &Graph::default(), None);
        match self.look_up(client, prompt_id).await? {
            RemoteState::Pending => {}
            RemoteState::Running => {
                progress.started();
            }
            RemoteState::Ended(entry) => {
                progress = ended(prompt_id, &entry);
                self.remember(of_history(progress.clone(), self.now()));
            }
            RemoteState::Unknown => return Err(unknown()),
            RemoteState::Unreadable { error, .. } => return Err(error.into()),
        }
        Ok(progress)
    }

    /// Keeps a job that is over, so that the next poll need not ask anybody.
    fn remember(&self, over: Job) {
        self.table().insert_ended(over, self.config().keep_ended);
    }
}

/// A job that only ComfyUI's queue or history knows.
pub(crate) fn of_history(progress: Progress, now: std::time::Duration) -> Job {
    let live = Live::of_old(&progress);
    Job {
        progress,
        handover: Handover::Accepted,
        gap: false,
        closed: false,
        unreadable: None,
        cancel_asked: false,
        heard: now,
        recorded: false,
        queued_at: 0,
        started_at: None,
        finished_at: None,
        warnings: Vec::new(),
        node_errors: NodeErrors::new(),
        live,
    }
}

/// The progress of a job that ComfyUI's history knows.
fn ended(prompt_id: &str, entry: &HistoryEntry) -> Progress {
    let graph = entry.graph().unwrap_or_default();
    let ours = entry.extra_data().and_then(|extra| extra.get(EXTRA_DATA_KEY));
    let results = ours.and_then(|ours| Vec::<NodeId>::deserialize(ours.get("result_nodes")?).ok());
    let mut progress = Progress::new(prompt_id, &graph, None).with_result_nodes(results.unwrap_or_default());
    progress.finish(entry);
    progress
}

/// Whether this can be a prompt's id at all: it becomes part of a path on ComfyUI.
pub(crate) fn may_be_an_id(prompt_id: &str) -> bool {
    (1..=128).contains(&prompt_id.len())
        && prompt_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
