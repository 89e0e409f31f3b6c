//! Where a job stands, and which file is its result: from memory, or else from ComfyUI.

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::{Progress, Status};
use comfy_runner_protocol::{Graph, HistoryEntry, Media, NodeId, OutputFile};
use serde::Deserialize as _;

use crate::reconcile::Standing;
use crate::submit::EXTRA_DATA_KEY;
use crate::table::{Job, Jobs};

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Nobody knows the job.
    #[error("there is no job \"{0}\": neither this server nor ComfyUI knows it")]
    Unknown(String),
    /// The job is not in memory, and ComfyUI cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
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

    /// Looks at a job, which is fetched from ComfyUI when it is not in memory.
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

    /// Finds a job in ComfyUI's queue and history: one from before our start, or so old that we forgot it.
    async fn recall(&self, client: &Client, prompt_id: &str) -> Result<Progress, StatusError> {
        let unknown = || StatusError::Unknown(prompt_id.to_owned());
        if !may_be_an_id(prompt_id) {
            return Err(unknown());
        }
        let queue = client.queue().await?;
        let mut progress = Progress::new(prompt_id, &Graph::default(), None);
        match Standing::look_up(client, &queue, prompt_id).await? {
            Standing::Pending => {}
            Standing::Running => {
                progress.started();
            }
            Standing::Ended(entry) => {
                progress = ended(prompt_id, &entry);
                self.remember(progress.clone());
            }
            Standing::Unknown => return Err(unknown()),
        }
        Ok(progress)
    }

    /// Keeps a job that is over, so that the next poll need not ask ComfyUI.
    fn remember(&self, over: Progress) {
        let prompt_id = over.prompt_id().to_owned();
        let pending = Progress::new(&prompt_id, &Graph::default(), None);
        let job = Job { progress: pending, accepted: true, gap: false, closed: false, heard: self.now() };
        let mut table = self.table();
        table.insert(job);
        table.change(&prompt_id, self.config().keep_ended, |job| job.progress = over);
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
fn may_be_an_id(prompt_id: &str) -> bool {
    (1..=128).contains(&prompt_id.len())
        && prompt_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
