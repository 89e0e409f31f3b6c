//! A job's state as the contract's `/status` shows it: serialised, it has the same fields in the same order.

use comfy_runner_protocol::OutputFile;
use indexmap::IndexMap;
use serde::Serialize;

use crate::outputs::NodeFiles;
use crate::status::Status;

/// A job's state at one moment. It borrows from the [`Progress`](crate::Progress) that gave it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Snapshot<'a> {
    /// It waits in the queue.
    Pending(PendingSnapshot),
    /// It runs.
    Running(RunningSnapshot<'a>),
    /// It ended well.
    Completed(CompletedSnapshot<'a>),
    /// It failed or was cancelled.
    Failed(FailedSnapshot<'a>),
}

/// See [`Snapshot::Pending`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PendingSnapshot {
    /// `pending`
    pub status: Status,
    /// 0
    pub step: u64,
    /// 0
    pub total_steps: u64,
}

/// See [`Snapshot::Running`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunningSnapshot<'a> {
    /// `running`
    pub status: Status,
    /// What people call the node that works now: the one that last started or made a step.
    pub node_title: Option<&'a str>,
    /// Its type.
    pub node_type: Option<&'a str>,
    /// Its steps so far, 0 while it does not count.
    pub step: u64,
    /// Its steps in all, 0 while it does not count.
    pub total_steps: u64,
    /// How much of the job is done: 0 to 99, never less than before.
    pub percent: u8,
    /// Nodes started so far.
    pub nodes_done: usize,
    /// Nodes in the prompt.
    pub total_nodes: usize,
    /// Nodes that run, at least 1: ancestors of outputs, less the cached ones and those that do nothing.
    pub effective_total: usize,
    /// Nodes that an earlier prompt spared this one.
    pub cached_count: usize,
    /// Seconds that it will still take; `None` while nobody can know.
    pub eta_seconds: Option<u64>,
    /// Steps per second over the last ten steps, to two decimals; 0 while unknown.
    pub step_rate: f64,
    /// The files reported so far, by node.
    pub node_outputs: IndexMap<&'a str, NodeFiles<'a>>,
}

/// See [`Snapshot::Completed`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CompletedSnapshot<'a> {
    /// `completed`
    pub status: Status,
    /// The result of each kind of media, under `video`, `image`, `audio` or `file`.
    pub outputs: IndexMap<&'static str, &'a OutputFile>,
}

/// See [`Snapshot::Failed`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailedSnapshot<'a> {
    /// `error` or `cancelled`
    pub status: Status,
    /// Why; a job that was cancelled has no reason to give.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

impl Snapshot<'_> {
    /// The status that the snapshot shows.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending(pending) => pending.status,
            Self::Running(running) => running.status,
            Self::Completed(completed) => completed.status,
            Self::Failed(failed) => failed.status,
        }
    }
}
