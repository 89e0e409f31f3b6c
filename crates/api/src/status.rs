//! `GET /api/run/status/{prompt_id}`: the status of a job.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`JobStatus`] |
//! | 404 | [`ErrorBody`](crate::ErrorBody): neither the server nor ComfyUI knows the job |
//! | 500 | [`ErrorBody`](crate::ErrorBody): only ComfyUI may know the job, and it cannot be reached |

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use comfy_runner_protocol::{Media, NodeId, OutputFile};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::error::UnknownWord;

/// The phase of a job's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The job waits in ComfyUI's queue, or is on its way there.
    Pending,
    /// The job runs.
    Running,
    /// The job ended, and every output was made.
    Completed,
    /// The job failed.
    Error,
    /// The job was removed from the queue or interrupted.
    Cancelled,
}

impl Status {
    /// Every status, in the order of a job's life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Completed, Self::Error, Self::Cancelled];
    const WORDS: [&str; 5] = ["pending", "running", "completed", "error", "cancelled"];

    /// Returns the word that JSON and query strings use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns whether the job has ended, successfully or not.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Error | Self::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownWord::new(word, &Self::WORDS))
    }
}

/// A job's state at one moment: the body of `/status`, and the data of a `progress` message. The field `status` says
/// which variant it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "lowercase")]
pub enum JobStatus {
    /// See [`Status::Pending`].
    Pending(PendingStatus),
    /// See [`Status::Running`].
    Running(Box<RunningStatus>),
    /// See [`Status::Completed`].
    Completed(CompletedStatus),
    /// See [`Status::Error`].
    Error(FailedStatus),
    /// See [`Status::Cancelled`].
    Cancelled(FailedStatus),
}

impl JobStatus {
    /// Returns the status without its details.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending(_) => Status::Pending,
            Self::Running(_) => Status::Running,
            Self::Completed(_) => Status::Completed,
            Self::Error(_) => Status::Error,
            Self::Cancelled(_) => Status::Cancelled,
        }
    }
}

/// The details of a pending job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PendingStatus {
    /// Always 0.
    pub step: u64,
    /// Always 0.
    pub total_steps: u64,
    /// Always 0. Absent in answers of servers before this field existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// The details of a running job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunningStatus {
    /// The title of the current node: the one that most recently started or made a step. None before the first.
    pub node_title: Option<String>,
    /// The type of the current node.
    pub node_type: Option<String>,
    /// The steps that the current node has made; 0 if it does not count steps.
    pub step: u64,
    /// The steps that the current node will make; 0 if it does not count steps.
    pub total_steps: u64,
    /// The progress of the whole job, 0 to 99. It never decreases.
    pub percent: u8,
    /// The number of nodes that have started.
    pub nodes_done: usize,
    /// The number of nodes in the graph.
    pub total_nodes: usize,
    /// The number of nodes that run, at least 1: those that an output needs, without cached ones and those that do
    /// nothing.
    pub effective_total: usize,
    /// The number of nodes whose results ComfyUI took from its cache.
    pub cached_count: usize,
    /// The estimated time to the end in seconds, or None while it is unknown.
    pub eta_seconds: Option<u64>,
    /// Steps per second over the last ten steps, to two decimals; 0 while it is unknown.
    pub step_rate: f64,
    /// The files that nodes have made so far, by node id, in the graph's order.
    pub node_outputs: IndexMap<NodeId, NodeFiles>,
}

/// The files of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeFiles {
    /// The node's title, or its type if it has no title.
    pub node_title: String,
    /// The node's type.
    pub node_type: String,
    /// The files, in the order in which the node reported them.
    pub items: Vec<ReportedFile>,
}

/// A file that a node made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportedFile {
    /// The file's name and folder, as `GET /api/comfyui/view` takes them.
    #[serde(flatten)]
    pub file: OutputFile,
    /// The kind of media, by the extension of the file's name.
    pub media: Media,
}

/// The details of a completed job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompletedStatus {
    /// The best file of each kind of media.
    pub outputs: BTreeMap<Media, OutputFile>,
    /// Always 100. Absent in answers of servers before this field existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// The details of a job that failed or was cancelled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FailedStatus {
    /// The reason; a cancelled job has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Always 100: the job is over. Absent in answers of servers before this field existed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}
