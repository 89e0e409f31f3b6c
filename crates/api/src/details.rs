//! A job with more detail than its status has: what the bodies of the Comfy API v2 are made from. No body has this form.

use std::sync::Arc;

use comfy_runner_protocol::{NodeId, OutputFile};
use serde_json::Value;

use crate::status::Status;

/// The state of a recorded job. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDetails {
    /// The job's id.
    pub prompt_id: String,
    /// The status.
    pub status: Status,
    /// Whether a caller asked to cancel it.
    pub cancel_asked: bool,
    /// The name of the ComfyUI that it was given; None while it waits for one.
    pub comfyui: Option<String>,
    /// When it was accepted from the caller.
    pub queued_at: i64,
    /// When it began to run.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
    /// The place of a waiting job among all waiting jobs, from 1.
    pub queue_position: Option<usize>,
    /// How far a running job is, or was when it ended in this process.
    pub progress: ProgressDetails,
    /// Whether ComfyUI took the results of any node from its cache.
    pub used_cache: bool,
    /// Why it failed, as a sentence.
    pub error: Option<String>,
    /// The node that failed.
    pub failed_node: Option<NodeRef>,
    /// The files and texts so far, by node, in the graph's order.
    pub outputs: Vec<ReportedNode>,
    /// A sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// What the caller attached to it.
    pub metadata: Option<Arc<Value>>,
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgressDetails {
    /// The percent that is done: 0 to 99, and 100 once the job completed. It never falls.
    pub percent: u8,
    /// The number of nodes that have started.
    pub nodes_done: usize,
    /// The number of nodes that run, at least 1.
    pub nodes_total: usize,
    /// The node that most recently started or made a step.
    pub current_node: Option<NodeRef>,
    /// The steps that the current node has made; 0 if it does not count steps.
    pub step: u64,
    /// The steps that the current node will make; 0 if it does not count steps.
    pub total_steps: u64,
}

/// A node of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRef {
    /// Its id.
    pub id: NodeId,
    /// Its type, if the node is in the graph.
    pub class_type: Option<String>,
}

/// What a node reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportedNode {
    /// The node of the graph, or the node that reported if the graph does not have it.
    pub node_id: NodeId,
    /// The files, in the order in which it reported them.
    pub files: Vec<OutputFile>,
    /// The texts.
    pub texts: Vec<String>,
}
