//! What is kept of a job.

use std::sync::Arc;

use comfy_runner_progress::Status;
use comfy_runner_protocol::{Graph, NodeErrors, NodeId, OutputFile};
use indexmap::IndexMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::macros::format_description;

/// All that is kept of a job. Serialised, it is what a caller may see of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// What a list shows.
    #[serde(flatten)]
    pub summary: Summary,
    /// The parameters as the caller gave them.
    pub params: Map<String, Value>,
    /// What each seed input was resolved to.
    pub seeds: IndexMap<String, u64>,
    /// The files that the job reads, as ComfyUI's input folder names them.
    pub input_files: Vec<String>,
    /// The nodes whose files are the result; none leaves the choice to whoever looks.
    pub result_nodes: Vec<NodeId>,
    /// The graph as it goes to ComfyUI.
    pub graph: Arc<Graph>,
    /// The caller's `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
    /// A digest of the request that came with the key.
    #[serde(skip)]
    pub request_digest: Option<String>,
}

/// What a list shows of a job. Times are milliseconds since 1970; serialised, texts such as `2026-03-24T14:30:52.123Z`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The job's id.
    pub prompt_id: String,
    /// What a caller shows to our WebSocket to follow the job.
    pub client_id: String,
    /// The workflow's id.
    pub workflow_id: String,
    /// The workflow's name at the time.
    pub workflow_name: String,
    /// The job's folder below ComfyUI's output folder.
    pub output_folder: String,
    /// The job that this one repeats.
    pub retry_of: Option<String>,
    /// Whether nobody asked for this repetition: ComfyUI had lost the job. A job has one such repetition at most.
    pub automatic: bool,
    /// When it was taken.
    #[serde(serialize_with = "utc")]
    pub queued_at: i64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What becomes of a job: the part of a [`Record`] that changes. Times are as in [`Summary`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Where the job stands.
    pub status: Status,
    /// Whether ComfyUI is known to have taken the prompt.
    #[serde(skip)]
    pub accepted: bool,
    /// Whether somebody asked for it to be stopped.
    #[serde(skip)]
    pub cancel_asked: bool,
    /// When it began to run.
    #[serde(serialize_with = "utc_if_any")]
    pub started_at: Option<i64>,
    /// When it was over.
    #[serde(serialize_with = "utc_if_any")]
    pub finished_at: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// One sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// ComfyUI's own words about those parts.
    #[serde(skip_serializing_if = "NodeErrors::is_empty")]
    pub node_errors: NodeErrors,
    /// The files that it made, by node.
    pub outputs: IndexMap<NodeId, Vec<OutputFile>>,
}

impl Default for Outcome {
    /// A job of which ComfyUI has not heard.
    fn default() -> Self {
        Self {
            status: Status::Pending,
            accepted: false,
            cancel_asked: false,
            started_at: None,
            finished_at: None,
            error: None,
            warnings: Vec::new(),
            node_errors: NodeErrors::default(),
            outputs: IndexMap::new(),
        }
    }
}

fn utc<S: Serializer>(milliseconds: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    utc_if_any(&Some(*milliseconds), serializer)
}

fn utc_if_any<S: Serializer>(milliseconds: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = milliseconds
        .and_then(|time| OffsetDateTime::from_unix_timestamp_nanos(i128::from(time) * 1_000_000).ok());
    // A time that no calendar has is none.
    time.and_then(|time| time.format(format).ok()).serialize(serializer)
}
