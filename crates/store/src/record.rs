//! What is kept of a job.

use comfy_runner_progress::Status;
use comfy_runner_protocol::{Graph, NodeErrors, NodeId, NodeOutput};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

/// What is kept of a job. Times are milliseconds since 1970 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The job's id.
    pub prompt_id: String,
    /// What a caller shows to our WebSocket to follow the job.
    pub client_id: String,
    /// The workflow's id.
    pub workflow_id: String,
    /// The workflow's name at the time.
    pub workflow_name: String,
    /// The parameters as the caller gave them.
    pub params: Map<String, Value>,
    /// What each seed input was resolved to.
    pub seeds: IndexMap<String, u64>,
    /// The graph as it goes to ComfyUI.
    pub graph: Graph,
    /// The nodes whose files are the result.
    pub result_nodes: Vec<NodeId>,
    /// The job's folder below ComfyUI's output folder.
    pub output_folder: String,
    /// The files that the job reads, as ComfyUI's input folder names them.
    pub input_files: Vec<String>,
    /// When it was taken.
    pub queued_at: i64,
    /// The job that this one repeats.
    pub retry_of: Option<String>,
    /// The caller's `Idempotency-Key`.
    #[serde(skip)]
    pub idempotency_key: Option<String>,
    /// A digest of the request that came with the key.
    #[serde(skip)]
    pub request_digest: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What becomes of a job: the part of a [`Record`] that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Where the job stands.
    pub status: Status,
    /// Whether ComfyUI is known to have taken the prompt.
    #[serde(skip)]
    pub accepted: bool,
    /// When it began to run.
    pub started_at: Option<i64>,
    /// When it was over.
    pub finished_at: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// One sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// ComfyUI's own words about those parts.
    #[serde(skip_serializing_if = "NodeErrors::is_empty")]
    pub node_errors: NodeErrors,
    /// The files that nodes reported, as ComfyUI's history has them.
    pub outputs: IndexMap<NodeId, NodeOutput>,
}

impl Default for Outcome {
    /// A job of which ComfyUI has not heard.
    fn default() -> Self {
        Self {
            status: Status::Pending,
            accepted: false,
            started_at: None,
            finished_at: None,
            error: None,
            warnings: Vec::new(),
            node_errors: NodeErrors::default(),
            outputs: IndexMap::new(),
        }
    }
}
