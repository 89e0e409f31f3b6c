//! What is kept of a job.

use std::sync::Arc;

use comfy_runner_api::Status;
use comfy_runner_protocol::{Graph, NodeErrors, NodeId, OutputFile};
use indexmap::IndexMap;
use serde_json::{Map, Value};

/// Everything that is kept of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What a list shows.
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
    pub idempotency_key: Option<String>,
    /// A digest of the request that came with the key.
    pub request_digest: Option<String>,
}

/// The part of a [`Record`] that lists show. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
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
    pub queued_at: i64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What becomes of a job: the part of a [`Record`] that changes. Times are as in [`Summary`].
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Where the job stands.
    pub status: Status,
    /// Whether ComfyUI is known to have taken the prompt.
    pub accepted: bool,
    /// Whether somebody asked for it to be stopped.
    pub cancel_asked: bool,
    /// When it began to run.
    pub started_at: Option<i64>,
    /// When it was over.
    pub finished_at: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// One sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// ComfyUI's own words about those parts.
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
