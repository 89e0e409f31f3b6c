//! Why a job was not submitted.

use std::time::Duration;

use comfy_runner_client::ClientError;
use comfy_runner_store::StoreError;

use crate::files::BringError;
use crate::refusal::Refusal;

/// Why a job was not submitted, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// ComfyUI refuses the graph.
    #[error("{}", .0.detail)]
    Refused(Refusal),
    /// ComfyUI cannot be reached, or gives no usable answer. It does not have the job.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The prompt was sent, and its answer was lost. The job stays, and its status will say whether ComfyUI has it.
    #[error(
        "the answer to the submission was lost, so the status of \"{prompt_id}\" must show whether ComfyUI has it"
    )]
    Unconfirmed {
        /// The job's id.
        prompt_id: String,
        /// What happened.
        #[source]
        error: ClientError,
    },
    /// ComfyUI answered with an id that cannot be this job's. What it does with the prompt is unknown.
    #[error(
        "ComfyUI answered the submission with {0}, so that the job cannot be followed; look at ComfyUI's queue"
    )]
    WrongId(&'static str),
    /// The files that the job reads cannot be sent to ComfyUI from the file store. It does not have the job.
    #[error(transparent)]
    Files(BringError),
    /// There is no ComfyUI, or none has the tags that the job requires.
    #[error("{0}")]
    NoComfyUi(String),
    /// No ComfyUI has room, and too many jobs wait.
    #[error("{limit} jobs wait already, which is the limit: send it again later")]
    QueueFull {
        /// The largest number of jobs that may wait.
        limit: usize,
        /// The time until the next of them is expected to begin.
        retry_after: Duration,
    },
    /// No ComfyUI has room, and too many jobs of this caller wait.
    #[error("{limit} jobs of this API key wait already, which is the limit for one key: send it again later")]
    TooManyOfCaller {
        /// The largest number of jobs of one caller that may wait.
        limit: usize,
        /// The time until the next job is expected to begin.
        retry_after: Duration,
    },
    /// The job cannot be recorded. A prompt that was sent meanwhile was cancelled.
    #[error("the job was not submitted, as it cannot be recorded")]
    Store(#[source] StoreError),
    /// The idempotency key came with another request before.
    #[error(
        "the idempotency key belongs to another request, the one of job \"{prompt_id}\": send the same parameters and \
         files, or another key"
    )]
    KeyReused {
        /// The job of that request.
        prompt_id: String,
    },
    /// The request with this key is being worked on.
    #[error("the request with this idempotency key is being worked on: send it again in a moment")]
    KeyBusy,
}

impl From<StoreError> for SubmitError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BringError> for SubmitError {
    fn from(error: BringError) -> Self {
        match error {
            BringError::Client(error) => Self::Client(error),
            BringError::Store(error) => Self::Store(error),
            error => Self::Files(error),
        }
    }
}
