//! `GET /history/{prompt_id}`: what ended, and with what.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::{Graph, NodeId};
use crate::message::{ExecutionError, Message};
use crate::output::NodeOutput;

/// Ended prompts by their id. ComfyUI keeps ten thousand and forgets them all when it restarts.
pub type History = IndexMap<String, HistoryEntry>;

/// One ended prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// `[number, prompt_id, graph, extra_data, outputs]`, as it was queued.
    #[serde(default)]
    pub prompt: Value,
    /// What nodes reported.
    #[serde(default)]
    pub outputs: IndexMap<NodeId, NodeOutput>,
    /// How it ended. Very old versions leave it out.
    #[serde(default)]
    pub status: Option<HistoryStatus>,
    /// Where expanded nodes came from.
    #[serde(default)]
    pub meta: Value,
}

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// `success` or `error`; an interrupted prompt has `error`.
    pub status_str: String,
    /// Whether every output was made.
    #[serde(default)]
    pub completed: bool,
    /// The events of the execution, each `[type, data]`.
    #[serde(default)]
    pub messages: Vec<(String, Value)>,
}

impl HistoryEntry {
    /// Whether the prompt ended with every output made. An entry without a status counts as done: only such
    /// versions leave it out that record nothing but success.
    pub fn succeeded(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.status_str == "success")
    }

    /// Whether somebody interrupted it.
    pub fn interrupted(&self) -> bool {
        self.messages().any(|(kind, _)| kind == "execution_interrupted")
    }

    /// The error that ended it.
    pub fn error(&self) -> Option<ExecutionError> {
        let (_, data) = self.messages().find(|(kind, _)| kind == "execution_error")?;
        ExecutionError::deserialize(data).ok()
    }

    /// Nodes that did not run because an earlier prompt had made what they make.
    pub fn cached(&self) -> Vec<NodeId> {
        let cached = self.messages().find(|(kind, _)| kind == "execution_cached");
        cached.and_then(|(_, data)| Vec::deserialize(data.get("nodes")?).ok()).unwrap_or_default()
    }

    /// When it started and ended, in milliseconds since 1970 by ComfyUI's clock.
    pub fn times(&self) -> (Option<u64>, Option<u64>) {
        let at = |data: &Value| data.get("timestamp").and_then(Value::as_u64);
        let start = self.messages().find(|(kind, _)| kind == "execution_start");
        let end = self.messages().find(|(kind, _)| Message::ends_a_prompt(kind));
        (start.and_then(|(_, data)| at(data)), end.and_then(|(_, data)| at(data)))
    }

    /// What was given as `extra_data` when the prompt was submitted, the `client_id` among it.
    pub fn extra_data(&self) -> Option<&Map<String, Value>> {
        self.prompt.get(3)?.as_object()
    }

    /// The graph that ran, when the entry holds one.
    pub fn graph(&self) -> Option<Graph> {
        Graph::from_value(self.prompt.get(2)?.clone()).ok()
    }

    fn messages(&self) -> impl Iterator<Item = &(String, Value)> {
        self.status.iter().flat_map(|status| &status.messages)
    }
}
