//! `/api/jobs/{id}`: one job of a newer ComfyUI, without its whole queue.

use awc::http::{Method, StatusCode};
use serde::Deserialize;

use crate::client::Client;
use crate::endpoint::encode;
use crate::error::ClientError;
use crate::exchange::{Reply, expect_success};

/// What ComfyUI answers, if it has the endpoint at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supported<T> {
    /// The answer.
    Yes(T),
    /// This ComfyUI is too old for the endpoint.
    No,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits in the queue.
    Pending,
    /// It runs.
    InProgress,
    /// It is over; its [`history`](Client::history) says how.
    #[serde(alias = "completed", alias = "failed", alias = "cancelled")]
    Ended,
    /// ComfyUI does not know it (any more).
    #[serde(skip)]
    Unknown,
}

#[derive(Deserialize)]
struct Job {
    status: JobState,
}

impl Client {
    /// Where a job is (`GET /api/jobs/{id}`, ComfyUI 0.8.0 and newer). The queue is looked at before the history, so that no job
    /// is missed on its way from one to the other.
    ///
    /// # Errors
    /// There is no answer, or one that cannot be read.
    pub async fn job_state(&self, prompt_id: &str) -> Result<Supported<JobState>, ClientError> {
        let path = format!("/api/jobs/{}", encode(prompt_id));
        let (exchange, reply) = self.ask(Method::GET, &path).await?;
        if reply.status == StatusCode::NOT_FOUND && is_json_error(&reply) {
            return Ok(Supported::Yes(JobState::Unknown));
        }
        if is_missing(reply.status) {
            return Ok(Supported::No);
        }
        let job: Job = exchange.json(&expect_success(&exchange, reply)?)?;
        Ok(Supported::Yes(job.status))
    }

    /// Takes a job out of the queue or interrupts it, in one step and only this job (`POST /api/jobs/{id}/cancel`, ComfyUI
    /// 0.33.0 and newer). It is no error if there is nothing to cancel.
    ///
    /// # Errors
    /// There is no answer, or one with a status that is no success.
    pub async fn cancel_job(&self, prompt_id: &str) -> Result<Supported<()>, ClientError> {
        let path = format!("/api/jobs/{}/cancel", encode(prompt_id));
        let (exchange, reply) = self.send(Method::POST, &path, None::<&()>).await?;
        if is_missing(reply.status) {
            return Ok(Supported::No);
        }
        expect_success(&exchange, reply).map(|_| Supported::Yes(()))
    }
}

/// Whether an answer with this status means that there is no such endpoint: ComfyUI serves files below `/`, and answers a
/// POST to a file that is not there with 405.
fn is_missing(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Whether this is the endpoint's own error, and not the 404 of a server that does not have it.
fn is_json_error(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "error")]
        _error: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Error>(&reply.body).is_ok()
}
