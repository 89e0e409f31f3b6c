//! Records of jobs: `GET /api/jobs`, `GET` and `DELETE /api/jobs/{prompt_id}`, `POST /api/jobs/{prompt_id}/retry`.
//!
//! | route | status | body |
//! | --- | --- | --- |
//! | list | 200 | [`JobList`]; the query string is a [`JobsQuery`] |
//! | list | 400 | [`ErrorBody`](crate::ErrorBody): a wrong or unknown parameter |
//! | `GET` | 200 | [`JobRecord`] |
//! | `DELETE` | 204 | none; the files of the job stay |
//! | `DELETE` | 200 | [`DeletedJob`], with `files=true` in the query string ([`DeleteJobQuery`]) |
//! | `DELETE` | 501 | [`ErrorBody`](crate::ErrorBody): files are to be deleted, and the server has no access to them; the record stays |
//! | `retry` | 200 | [`Submitted`](crate::Submitted) with `retry_of` |
//! | `DELETE`, `retry` | 409 | [`ErrorBody`](crate::ErrorBody): the job is not over |
//! | all but the list | 404 | [`ErrorBody`](crate::ErrorBody): there is no record of the job |

use std::sync::Arc;

use comfy_runner_protocol::{Graph, NodeErrors, NodeId, OutputFile};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::status::Status;
use crate::timestamp::Timestamp;

/// The query string of `GET /api/jobs`. Unknown keys are refused: a misspelt filter must not list every job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobsQuery {
    /// One or several [`Status`] words with commas between; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Only jobs of the workflow with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// Only jobs whose id begins with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id_prefix: Option<String>,
    /// Only jobs queued at this time or later: a time as RFC 3339 writes it, or a day (`2026-03-24`) in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only jobs queued before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The number of jobs per page, 1 to 200; 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>", range(min = 1, max = 200)))]
    pub limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The response of `GET /api/jobs`: a page of jobs, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// The `cursor` of the next page; None on the last.
    pub next_cursor: Option<String>,
}

/// The query string of `DELETE /api/jobs/{prompt_id}`. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DeleteJobQuery {
    /// `true` or `1`: delete the job's output files too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub files: Option<String>,
}

/// The response of `DELETE /api/jobs/{prompt_id}?files=true`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeletedJob {
    /// The job's id.
    pub prompt_id: String,
    /// The number of files that were deleted: all in the job's own folder below ComfyUI's output folder.
    pub deleted_files: u64,
    /// Files that the job reported and that stay, because they are in another folder.
    pub kept: Vec<OutputFile>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobSummary {
    /// The job's id.
    pub prompt_id: String,
    /// The id by which the WebSocket follows the job.
    pub client_id: String,
    /// The workflow's id.
    pub workflow_id: String,
    /// The workflow's name when the job was submitted.
    pub workflow_name: String,
    /// The job's folder below ComfyUI's output folder.
    pub output_folder: String,
    /// The id of the job that this one repeats.
    pub retry_of: Option<String>,
    /// Whether the server repeated a lost job without a request.
    pub automatic: bool,
    /// The job's priority, from -10 to 10: a higher one goes first.
    #[serde(default)]
    pub priority: i8,
    /// The name of the ComfyUI that the job was given; None while it waits for one.
    #[serde(default)]
    pub comfyui: Option<String>,
    /// When the job was accepted.
    pub queued_at: Option<Timestamp>,
    /// The job's status.
    pub status: Status,
    /// When the job began to run.
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    pub finished_at: Option<Timestamp>,
    /// Why the job failed.
    pub error: Option<String>,
    /// A sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// ComfyUI's own errors about those parts, by node.
    #[serde(default, skip_serializing_if = "NodeErrors::is_empty")]
    pub node_errors: NodeErrors,
    /// The files that the job made so far, by node id.
    pub outputs: IndexMap<NodeId, Vec<OutputFile>>,
}

/// The response of `GET /api/jobs/{prompt_id}`: everything that is kept of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobRecord {
    /// What the list shows.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The parameters of the request, as they were sent.
    pub params: Map<String, Value>,
    /// The value of each seed input, by input id.
    pub seeds: IndexMap<String, u64>,
    /// The files that the job reads, by their names in ComfyUI's input folder.
    pub input_files: Vec<String>,
    /// The nodes whose files are the result; empty if the manifest names none.
    pub result_nodes: Vec<NodeId>,
    /// The graph that was sent to ComfyUI.
    pub graph: Arc<Graph>,
}
