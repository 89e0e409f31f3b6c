//! Records of jobs.

use std::sync::Arc;

use comfy_runner_api::Status;
use comfy_runner_protocol::{Graph, NodeErrors, NodeId, OutputFile};
use indexmap::IndexMap;
use serde_json::{Map, Value};

/// Everything that is kept of a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The part that lists show.
    pub summary: Summary,
    /// The parameters as the caller sent them.
    pub params: Map<String, Value>,
    /// The value of each seed input.
    pub seeds: IndexMap<String, u64>,
    /// The files that the job reads, by their names in ComfyUI's input folder.
    pub input_files: Vec<String>,
    /// The nodes whose files are the result; if it is empty, the result is chosen among all files.
    pub result_nodes: Vec<NodeId>,
    /// The graph that is sent to ComfyUI.
    pub graph: Arc<Graph>,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// A digest of the request that came with the key.
    pub request_digest: Option<String>,
    /// The caller who takes turns with others in the queue; empty for callers without a key.
    pub caller: String,
    /// The tags that a ComfyUI must have to run the job.
    pub required_tags: Vec<String>,
}

impl Record {
    /// Creates the record of a job without parameters, seeds, files and idempotency key.
    pub fn new(summary: Summary, graph: Arc<Graph>) -> Self {
        Self {
            summary,
            params: Map::new(),
            seeds: IndexMap::new(),
            input_files: Vec::new(),
            result_nodes: Vec::new(),
            graph,
            idempotency_key: None,
            request_digest: None,
            caller: String::new(),
            required_tags: Vec::new(),
        }
    }
}

/// The part of a [`Record`] that lists show. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// The job's id.
    pub prompt_id: String,
    /// The id by which callers follow the job.
    pub client_id: String,
    /// The workflow's id.
    pub workflow_id: String,
    /// The workflow's name when the job was submitted.
    pub workflow_name: String,
    /// The job's folder below ComfyUI's output folder.
    pub output_folder: String,
    /// The job that this one repeats.
    pub retry_of: Option<String>,
    /// Whether the server repeated a lost job without a request. A job has at most one such
    /// repetition, which may itself be repeated once.
    pub automatic: bool,
    /// When it was accepted from the caller.
    pub queued_at: i64,
    /// What the caller attached to it: labels, or another JSON value.
    pub metadata: Option<Value>,
    /// Its priority: a higher one goes first.
    pub priority: i8,
    /// Its present state.
    pub outcome: Outcome,
}

impl Summary {
    /// Creates the summary of a job that ComfyUI has not accepted yet. The workflow's name is its id, and the output folder
    /// is empty.
    pub fn new(
        prompt_id: impl Into<String>,
        client_id: impl Into<String>,
        workflow_id: impl Into<String>,
        queued_at: i64,
    ) -> Self {
        let workflow_id = workflow_id.into();
        Self {
            prompt_id: prompt_id.into(),
            client_id: client_id.into(),
            workflow_name: workflow_id.clone(),
            workflow_id,
            output_folder: String::new(),
            retry_of: None,
            automatic: false,
            queued_at,
            metadata: None,
            priority: 0,
            outcome: Outcome::default(),
        }
    }
}

/// The state of a job: the part of a [`Record`] that changes. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The status.
    pub status: Status,
    /// The name of the ComfyUI that the prompt was or is to be sent to; `None` while the job waits for one.
    pub comfyui: Option<String>,
    /// Whether the caller was told that the job is accepted, although no ComfyUI had it yet. Nobody sends it again, so it
    /// must not be given up when a ComfyUI turns out not to have it.
    pub answered: bool,
    /// How often ComfyUIs lost it, and the jobs that it repeats without a request.
    pub losses: u32,
    /// The names of the ComfyUIs that stopped while they ran it, or a job that it repeats without a request.
    pub stopped: Vec<String>,
    /// Whether ComfyUI is known to have accepted the prompt.
    pub accepted: bool,
    /// Whether a caller asked to cancel it.
    pub cancel_asked: bool,
    /// When it began to run.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// The node that failed.
    pub failed_node: Option<NodeId>,
    /// A sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// ComfyUI's own errors about those parts.
    pub node_errors: NodeErrors,
    /// The files that it made so far, by node.
    pub outputs: IndexMap<NodeId, Vec<OutputFile>>,
    /// The texts that it showed so far, by node.
    pub texts: IndexMap<NodeId, Vec<String>>,
}

impl Outcome {
    /// Creates the state of a job with this status; `accepted` says whether ComfyUI is known to have accepted it.
    pub fn new(status: Status, accepted: bool) -> Self {
        Self {
            status,
            comfyui: None,
            answered: false,
            losses: 0,
            stopped: Vec::new(),
            accepted,
            cancel_asked: false,
            started_at: None,
            finished_at: None,
            error: None,
            failed_node: None,
            warnings: Vec::new(),
            node_errors: NodeErrors::default(),
            outputs: IndexMap::new(),
            texts: IndexMap::new(),
        }
    }
}

impl Default for Outcome {
    /// Returns the state of a job that ComfyUI has not accepted yet.
    fn default() -> Self {
        Self::new(Status::Pending, false)
    }
}
