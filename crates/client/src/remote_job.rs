//! `/api/jobs/{id}` of newer versions of ComfyUI: one job, without the whole queue.

use awc::http::{Method, StatusCode};
use serde::Deserialize;

use crate::client::Client;
use crate::endpoint::encode;
use crate::error::ClientError;
use crate::exchange::{Reply, expect_success};

/// ComfyUI's answer, if it has the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supported<T> {
    /// The answer.
    Yes(T),
    /// This ComfyUI is too old to have the route.
    No,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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
    /// Returns how far a job is (`GET /api/jobs/{id}`, ComfyUI 0.8.0 and newer). ComfyUI looks at its queue before its history,
    /// so that no job is missed on its way from one to the other.
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

    /// Removes a job from the queue or interrupts it, in one step and only this job (`POST /api/jobs/{id}/cancel`, ComfyUI
    /// 0.33.0 and newer). It is not an error if there is nothing to cancel.
    ///
    /// # Errors
    /// There is no answer, or one with an error status.
    pub async fn cancel_job(&self, prompt_id: &str) -> Result<Supported<()>, ClientError> {
        let path = format!("/api/jobs/{}/cancel", encode(prompt_id));
        let (exchange, reply) = self.send(Method::POST, &path, None::<&()>).await?;
        if is_missing(reply.status) {
            return Ok(Supported::No);
        }
        expect_success(&exchange, reply).map(|_| Supported::Yes(()))
    }
}

/// Returns whether an answer with this status means that there is no such route. ComfyUI serves files below `/`, and answers
/// a POST to a missing file with 405.
fn is_missing(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED)
}

/// Returns whether this is the route's own error, and not the 404 of a server without the route.
fn is_json_error(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "error")]
        _error: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Error>(&reply.body).is_ok()
}
