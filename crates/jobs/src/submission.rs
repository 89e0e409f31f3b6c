//! What is submitted.

use std::sync::Arc;

use comfy_runner_protocol::{Graph, NodeId};
use comfy_runner_scheduler::Priority;
use comfy_runner_store::{Record, Summary};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::idempotency::Idempotency;
use crate::partner_key::PartnerKey;
use crate::state::unix_millis;
use crate::watch::client_id_of;

/// A graph to run, and what is recorded with it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Submission {
    /// The workflow that the graph was made from.
    pub workflow_id: String,
    /// The workflow's name.
    pub workflow_name: String,
    /// The parameters as the caller sent them.
    pub params: Map<String, Value>,
    /// The value of each seed input.
    pub seeds: IndexMap<String, u64>,
    /// The graph.
    pub graph: Arc<Graph>,
    /// The nodes whose files are the result; if it is empty, the result is chosen among all files.
    pub result_nodes: Vec<NodeId>,
    /// The job's folder below ComfyUI's output folder.
    pub output_folder: String,
    /// The files that the graph reads, by their names in ComfyUI's input folder.
    pub input_files: Vec<String>,
    /// What the caller attaches to the job: labels, or another JSON value.
    pub metadata: Option<Value>,
    /// The caller who takes turns with others in the queue; empty for callers without a key.
    pub caller: String,
    /// The priority: a higher one goes first.
    pub priority: Priority,
    /// The tags that a ComfyUI must have to run the job.
    pub required_tags: Vec<String>,
    /// The job that this one repeats.
    pub retry_of: Option<String>,
    /// What identifies a repeated request.
    pub idempotency: Option<Idempotency>,
    /// The key for partner nodes; if there is none, that of the configuration. It is not recorded.
    pub partner_key: Option<PartnerKey>,
}

impl Submission {
    /// Creates a submission of a graph, named after the workflow that it was made from. All else is empty.
    pub fn new(workflow_id: impl Into<String>, workflow_name: impl Into<String>, graph: Arc<Graph>) -> Self {
        Self {
            workflow_id: workflow_id.into(),
            workflow_name: workflow_name.into(),
            params: Map::new(),
            seeds: IndexMap::new(),
            graph,
            result_nodes: Vec::new(),
            output_folder: String::new(),
            input_files: Vec::new(),
            metadata: None,
            caller: String::new(),
            priority: Priority::default(),
            required_tags: Vec::new(),
            retry_of: None,
            idempotency: None,
            partner_key: None,
        }
    }

    pub(crate) fn into_record(self) -> Record {
        let prompt_id = new_prompt_id();
        let client_id = client_id_of(&prompt_id);
        let mut summary = Summary::new(prompt_id, client_id, self.workflow_id, unix_millis());
        summary.workflow_name = self.workflow_name;
        summary.output_folder = self.output_folder;
        summary.metadata = self.metadata;
        summary.retry_of = self.retry_of;
        summary.priority = self.priority.get();
        let mut record = Record::new(summary, self.graph);
        record.params = self.params;
        record.seeds = self.seeds;
        record.input_files = self.input_files;
        record.caller = self.caller;
        record.required_tags = self.required_tags;
        record.result_nodes = self.result_nodes;
        (record.idempotency_key, record.request_digest) =
            self.idempotency.map(|Idempotency { key, digest }| (key, digest)).unzip();
        record
    }
}

/// Creates a prompt id.
pub(crate) fn new_prompt_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
