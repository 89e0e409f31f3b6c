//! `GET /history/{prompt_id}`: the prompts that have ended, and their results.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::{Graph, NodeId};
use crate::message::{ExecutionError, Message};
use crate::output::NodeOutput;

/// Ended prompts by id. ComfyUI keeps ten thousand, and none when it restarts.
pub type History = IndexMap<String, HistoryEntry>;

/// A prompt that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// `[number, prompt_id, graph, extra_data, outputs]`, as it was queued.
    #[serde(default)]
    pub prompt: Value,
    /// The outputs that nodes reported.
    #[serde(default)]
    pub outputs: IndexMap<NodeId, NodeOutput>,
    /// The status. Very old versions leave it out.
    #[serde(default)]
    pub status: Option<HistoryStatus>,
    /// The origins of expanded nodes.
    #[serde(default)]
    pub meta: Value,
}

/// The status of a prompt that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// `success` or `error`; an interrupted prompt has `error`.
    pub status_str: String,
    /// Whether all outputs were executed.
    #[serde(default)]
    pub completed: bool,
    /// The events of the execution, each `[type, data]`.
    #[serde(default)]
    pub messages: Vec<(String, Value)>,
}

impl HistoryEntry {
    /// Returns whether the prompt succeeded. An entry without a status counts as success: the versions that leave it out
    /// record only successful prompts.
    pub fn succeeded(&self) -> bool {
        self.status.as_ref().is_none_or(|status| status.status_str == "success")
    }

    /// Returns whether the prompt was interrupted.
    pub fn interrupted(&self) -> bool {
        self.messages().any(|(kind, _)| kind == "execution_interrupted")
    }

    /// Returns the error that ended the prompt.
    pub fn error(&self) -> Option<ExecutionError> {
        let (_, data) = self.messages().find(|(kind, _)| kind == "execution_error")?;
        ExecutionError::deserialize(data).ok()
    }

    /// Returns the nodes that did not run because their results were cached.
    pub fn cached(&self) -> Vec<NodeId> {
        let cached = self.messages().find(|(kind, _)| kind == "execution_cached");
        cached.and_then(|(_, data)| Vec::deserialize(data.get("nodes")?).ok()).unwrap_or_default()
    }

    /// Returns when the prompt started and ended, in milliseconds since 1970 by ComfyUI's clock.
    pub fn times(&self) -> (Option<u64>, Option<u64>) {
        let at = |data: &Value| data.get("timestamp").and_then(Value::as_u64);
        let start = self.messages().find(|(kind, _)| kind == "execution_start");
        let end = self.messages().find(|(kind, _)| Message::ends_a_prompt(kind));
        (start.and_then(|(_, data)| at(data)), end.and_then(|(_, data)| at(data)))
    }

    /// Returns the `extra_data` that was submitted with the prompt, including the `client_id`.
    pub fn extra_data(&self) -> Option<&Map<String, Value>> {
        self.prompt.get(3)?.as_object()
    }

    /// Returns the graph of the prompt, if the entry has it.
    pub fn graph(&self) -> Option<Graph> {
        Graph::from_value(self.prompt.get(2)?.clone()).ok()
    }

    fn messages(&self) -> impl Iterator<Item = &(String, Value)> {
        self.status.iter().flat_map(|status| &status.messages)
    }
}
