//! `POST /api/run/{workflow_id}/execute`: runs a workflow.
//!
//! The request is a multipart form:
//!
//! | part | value |
//! | --- | --- |
//! | [`PARAMS_PART`] | an [`ExecuteRequest`]'s `params` as JSON, at most 1 MiB; may be absent |
//! | [`INPUT_IMAGE`] | a file for the first image input |
//! | the id of an input | a file for that input |
//!
//! With the header [`IDEMPOTENCY_KEY`] (1 to 255 ASCII characters) a request may be repeated without a second run.
//!
//! The same params can be sent as JSON, or as a field of a URL-encoded form. [`ExecuteQuery`] asks the server to wait for
//! the end of the job.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Submitted`]; [`FinishedJob`], or the bytes of the result file, when the query asks to wait |
//! | 202 | [`FinishedJob`] without files: the job is not over yet |
//! | 200, 202 | [`SubmittedJobs`] and [`FinishedJobs`] with a count of jobs ([`COUNT_KEY`]); 202 while one is not over |
//! | 400 | [`ErrorBody`](crate::ErrorBody): wrong parameters or files; or ComfyUI refuses the graph, with `node_errors` |
//! | 404 | [`ErrorBody`](crate::ErrorBody): there is no such workflow |
//! | 409 | [`ErrorBody`](crate::ErrorBody): the idempotency key belongs to another request, or to one in progress |
//! | 413 | [`ErrorBody`](crate::ErrorBody): a file or the parameters are too large |
//! | 500 | [`ErrorBody`](crate::ErrorBody): ComfyUI cannot be reached, or the graph cannot be assembled |
//! | 503 | [`ErrorBody`](crate::ErrorBody): the job cannot be recorded; nothing was sent to ComfyUI |
//!
//! When a later job of a count cannot be submitted, the error has the accepted ones as `jobs`.
//!
//! `POST /api/jobs/{prompt_id}/retry` answers in the same way.

use comfy_runner_protocol::{Media, NodeErrors};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::files::{JobFile, JobText};
use crate::status::JobStatus;

/// The name of the form's part with the parameters.
pub const PARAMS_PART: &str = "params";
/// The name of the form's part with a file for the first image input.
pub const INPUT_IMAGE: &str = "input_image";
/// The key of `params` that names a preset of the workflow, whose values apply where `params` give none.
pub const PRESET_KEY: &str = "_preset";
/// The key of `params` that says how many jobs to submit, at most [`MOST_JOBS`]. The response is a [`SubmittedJobs`], or
/// a [`FinishedJobs`] with `wait`.
pub const COUNT_KEY: &str = "_count";
/// The largest number of jobs of a request.
pub const MOST_JOBS: u64 = 100;
/// The header that makes a request repeatable.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The part of a request to `build` or `execute` that is no file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ExecuteRequest {
    /// Values by input id; the manifest says which ids there are and what they take. An input that is absent takes its
    /// default. A seed of -1 is replaced by a random number. The key `_existing_<input id>` names an uploaded file, and
    /// `_existing_input_image` one for the first image input; every other key that begins with `_` is reserved.
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// The query string of `execute`. Unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ExecuteQuery {
    /// How long to wait for the end of the job, in seconds from 1 to 3600. The header `Prefer: wait=60` does
    /// the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1, max = LONGEST_WAIT)))]
    pub wait: Option<String>,
    /// `1` or `true`: answer with the result file. Needs `wait`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub result: Option<String>,
    /// The kind of media to prefer as the result, as for `GET /api/run/result/{prompt_id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_type: Option<Media>,
}

/// The longest that a request can wait for the end of its job, in seconds.
pub const LONGEST_WAIT: u64 = 3600;

/// The response to `execute` with a count of jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "{J}Jobs"))]
pub struct SubmittedJobs<J = Submitted> {
    /// The first job, as the response has it without a count.
    #[serde(flatten)]
    pub first: Submitted,
    /// Every job, in the order of submission.
    pub jobs: Vec<J>,
}

/// The response to `execute` with a count of jobs when it waits for their end.
pub type FinishedJobs = SubmittedJobs<FinishedJob>;

/// The response to `execute` when it waits for the end of the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FinishedJob {
    /// What the response has without waiting.
    #[serde(flatten)]
    pub submitted: Submitted,
    /// The status of the job.
    #[serde(flatten)]
    pub status: JobStatus,
    /// The files that the job made; absent while it is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<JobFile>>,
    /// The texts that its nodes reported; absent while it is not over, and if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<JobText>,
}

/// The response to `execute` and `retry`: ComfyUI took the job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Submitted {
    /// The job's id: ComfyUI's prompt id.
    pub prompt_id: String,
    /// The id by which the WebSocket follows this job: `prompt_id` without its hyphens. A lost job that is submitted
    /// again keeps it.
    pub client_id: String,
    /// The value of each seed input, by input id. A dynamic workflow that repeats adds `batch_1`, ... or `scene_1`, ...
    #[serde(default)]
    pub seeds: IndexMap<String, u64>,
    /// The id of the job that this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// A sentence for each part of the graph that ComfyUI does not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// ComfyUI's own errors about those parts, by node.
    #[serde(default, skip_serializing_if = "NodeErrors::is_empty")]
    pub node_errors: NodeErrors,
}
