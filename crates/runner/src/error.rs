//! What can go wrong.

use std::io;

use comfy_runner_client::{ClientError, ConfigError, EndpointError};
use comfy_runner_jobs::{CancelError, RecordError, ResultError, StatusError, SubmitError, UploadError};
use comfy_runner_manifest::LibraryError;
use comfy_runner_store::StoreError;
use comfy_runner_workflow::RequestError;

/// Why a runner does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The URL is not that of a ComfyUI.
    #[error(transparent)]
    Url(#[from] EndpointError),
    /// A header cannot be sent, or a certificate cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The folder of workflows cannot be opened.
    #[error("the folder of workflows cannot be opened")]
    Workflows(#[source] io::Error),
    /// The store cannot be opened, or its jobs cannot be loaded.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread cannot be started.
    #[error("the runner's thread cannot be started")]
    Thread(#[source] io::Error),
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The runner was shut down, or can no longer follow jobs.
    #[error("the runner has stopped")]
    Stopped,
    /// There is no folder of workflows: [`RunnerBuilder::workflows`](crate::RunnerBuilder::workflows) was not called.
    #[error("the runner has no folder of workflows")]
    NoWorkflows,
    /// There is no such workflow, or it is broken.
    #[error(transparent)]
    Workflow(#[from] LibraryError),
    /// The parameters do not fit the workflow.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The job was not submitted, or may not have been.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The job has no status.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The job has no record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The job has no result.
    #[error(transparent)]
    Result(#[from] ResultError),
    /// The job was not cancelled.
    #[error(transparent)]
    Cancel(#[from] CancelError),
    /// The job failed.
    #[error("job \"{prompt_id}\" failed: {reason}")]
    Failed {
        /// The job's id.
        prompt_id: String,
        /// Why it failed.
        reason: String,
    },
    /// The job was cancelled.
    #[error("job \"{prompt_id}\" was cancelled")]
    Cancelled {
        /// The job's id.
        prompt_id: String,
    },
    /// The file was not uploaded.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// ComfyUI does not have the file.
    #[error("ComfyUI has no file \"{0}\"")]
    NoFile(String),
    /// ComfyUI gives no usable answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store failed while the runner was shut down.
    #[error(transparent)]
    Store(#[from] StoreError),
}
