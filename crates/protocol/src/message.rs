//! The text frames of ComfyUI's WebSocket.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::NodeId;
use crate::json;
use crate::output::NodeOutput;
use crate::queue::QueueStatus;

/// One text frame. ComfyUI sends `{"type": ..., "data": ...}`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Message {
    /// The length of the queue changed. Every socket gets it; the first message after connecting has our `sid`.
    Status {
        /// The length of the queue.
        status: QueueStatus,
        /// The client id of the socket, in the first message only.
        sid: Option<String>,
    },
    /// The features of the server, sent in response to ours.
    FeatureFlags(Map<String, Value>),
    /// A prompt starts.
    ExecutionStart(PromptEvent),
    /// Nodes that will not run because their results are cached.
    ExecutionCached {
        /// The prompt.
        prompt_id: String,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// A node starts; without a node, the prompt has ended.
    Executing {
        /// The prompt; very old versions leave it out.
        prompt_id: Option<String>,
        /// The node; `None` if the prompt has ended.
        node: Option<NodeId>,
        /// The node of the submitted graph that represents it: another one if `node` is from an expansion.
        display_node: Option<NodeId>,
    },
    /// A node made progress.
    Progress {
        /// The prompt; very old versions leave it out.
        prompt_id: Option<String>,
        /// The node.
        node: Option<NodeId>,
        /// Steps done.
        value: f64,
        /// The number of steps.
        max: f64,
    },
    /// The state of every node that has started so far.
    ProgressState {
        /// The prompt.
        prompt_id: String,
        /// The nodes by id.
        nodes: IndexMap<NodeId, NodeProgress>,
    },
    /// A node has finished and reported output for the user interface.
    Executed {
        /// The prompt.
        prompt_id: String,
        /// The node.
        node: NodeId,
        /// See [`Message::Executing`].
        display_node: Option<NodeId>,
        /// The output; `null` for nodes that report none.
        output: Option<NodeOutput>,
    },
    /// The prompt succeeded.
    ExecutionSuccess(PromptEvent),
    /// A node failed, so the prompt failed.
    ExecutionError(ExecutionError),
    /// The prompt was interrupted.
    ExecutionInterrupted(ExecutionInterrupted),
    /// An unknown type: newer versions and custom nodes add their own.
    Unknown {
        /// The value of `type`.
        kind: String,
    },
}

/// A message with only a prompt and a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptEvent {
    /// The prompt.
    pub prompt_id: String,
    /// Milliseconds since 1970 by ComfyUI's clock.
    #[serde(default)]
    pub timestamp: u64,
}

/// The progress of a node, in [`Message::ProgressState`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeProgress {
    /// Steps done.
    #[serde(deserialize_with = "json::null_as_zero")]
    pub value: f64,
    /// The number of steps; 1 for a node without steps.
    #[serde(deserialize_with = "json::null_as_zero")]
    pub max: f64,
    /// Pending, running, finished or failed.
    pub state: NodeState,
    /// The node.
    pub node_id: NodeId,
    /// The prompt.
    #[serde(default)]
    pub prompt_id: String,
    /// The node of the submitted graph that represents it.
    #[serde(default)]
    pub display_node_id: Option<NodeId>,
    /// The node that expanded into it.
    #[serde(default)]
    pub parent_node_id: Option<NodeId>,
    /// The node that executes it.
    #[serde(default)]
    pub real_node_id: Option<NodeId>,
}

/// The state of a node in [`NodeProgress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NodeState {
    /// Not started.
    Pending,
    /// Running.
    Running,
    /// Finished.
    Finished,
    /// Failed.
    Error,
    /// An unknown state.
    #[serde(other)]
    Unknown,
}

/// The error of a failed prompt. ComfyUI also sends `current_inputs` and `current_outputs`, which can be megabytes of
/// tensors. They are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionError {
    /// The prompt.
    #[serde(default)]
    pub prompt_id: String,
    /// The node that failed.
    #[serde(default)]
    pub node_id: NodeId,
    /// Its type.
    #[serde(default)]
    pub node_type: String,
    /// The message of the exception.
    #[serde(default)]
    pub exception_message: String,
    /// The Python class of the exception.
    #[serde(default)]
    pub exception_type: String,
    /// Python's traceback. It contains paths of the server, so it must not be sent to callers.
    #[serde(default)]
    pub traceback: Vec<String>,
    /// The nodes that had been executed.
    #[serde(default)]
    pub executed: Vec<NodeId>,
    /// Milliseconds since 1970 by ComfyUI's clock.
    #[serde(default)]
    pub timestamp: u64,
}

/// The state of a prompt when it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionInterrupted {
    /// The prompt.
    pub prompt_id: String,
    /// The node that was running.
    #[serde(default)]
    pub node_id: NodeId,
    /// Its type.
    #[serde(default)]
    pub node_type: String,
    /// The nodes that had been executed.
    #[serde(default)]
    pub executed: Vec<NodeId>,
    /// Milliseconds since 1970 by ComfyUI's clock.
    #[serde(default)]
    pub timestamp: u64,
}

/// An error in a text frame. Callers should skip the frame and keep the connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The frame is not a JSON object with a `type`.
    #[error("the frame is not a message: {0}")]
    Envelope(serde_json::Error),
    /// The data does not fit the type.
    #[error("message \"{kind}\" has invalid data: {reason}")]
    Data {
        /// The value of `type`.
        kind: String,
        /// What is wrong with the data.
        reason: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(default, borrow)]
    data: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize, Serialize)]
struct StatusData {
    status: QueueStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct CachedData {
    nodes: Vec<NodeId>,
    prompt_id: String,
}

#[derive(Deserialize, Serialize)]
struct ExecutingData {
    node: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    display_node: Option<NodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt_id: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct ProgressData {
    #[serde(deserialize_with = "json::null_as_zero")]
    value: f64,
    #[serde(deserialize_with = "json::null_as_zero")]
    max: f64,
    #[serde(default)]
    prompt_id: Option<String>,
    #[serde(default)]
    node: Option<NodeId>,
}

#[derive(Deserialize, Serialize)]
struct ProgressStateData {
    prompt_id: String,
    nodes: IndexMap<NodeId, NodeProgress>,
}

#[derive(Deserialize, Serialize)]
struct ExecutedData {
    node: NodeId,
    #[serde(default)]
    display_node: Option<NodeId>,
    #[serde(default)]
    output: Option<NodeOutput>,
    prompt_id: String,
}

impl Message {
    /// Parses a text frame, which Python wrote: see [`json`].
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        Self::parse_json(text).or_else(|error| {
            let repaired = json::repair(text.as_bytes()).and_then(|text| String::from_utf8(text).ok());
            repaired.map_or(Err(error), |text| Self::parse_json(&text))
        })
    }

    fn parse_json(text: &str) -> Result<Self, MessageError> {
        let envelope: Envelope = serde_json::from_str(text).map_err(MessageError::Envelope)?;
        let kind = envelope.kind.as_ref();
        let data = envelope.data.map_or("null", |data| data.get());
        Self::from_parts(kind, data).map_err(|reason| MessageError::Data { kind: kind.to_owned(), reason })
    }

    fn from_parts(kind: &str, data: &str) -> Result<Self, serde_json::Error> {
        use serde_json::from_str as read;
        Ok(match kind {
            "status" => {
                let StatusData { status, sid } = read(data)?;
                Self::Status { status, sid }
            }
            "feature_flags" => Self::FeatureFlags(read(data)?),
            "execution_start" => Self::ExecutionStart(read(data)?),
            "execution_cached" => {
                let CachedData { nodes, prompt_id } = read(data)?;
                Self::ExecutionCached { prompt_id, nodes }
            }
            "executing" => {
                let ExecutingData { node, display_node, prompt_id } = read(data)?;
                Self::Executing { prompt_id, node, display_node }
            }
            "progress" => {
                let ProgressData { value, max, prompt_id, node } = read(data)?;
                Self::Progress { prompt_id, node, value, max }
            }
            "progress_state" => {
                let ProgressStateData { prompt_id, nodes } = read(data)?;
                Self::ProgressState { prompt_id, nodes }
            }
            "executed" => {
                let ExecutedData { node, display_node, output, prompt_id } = read(data)?;
                Self::Executed { prompt_id, node, display_node, output }
            }
            "execution_success" => Self::ExecutionSuccess(read(data)?),
            "execution_error" => Self::ExecutionError(read(data)?),
            "execution_interrupted" => Self::ExecutionInterrupted(read(data)?),
            _ => Self::Unknown { kind: kind.to_owned() },
        })
    }

    /// Returns the id of the prompt that this message is about, if any.
    pub fn prompt_id(&self) -> Option<&str> {
        match self {
            Self::Status { .. } | Self::FeatureFlags(_) | Self::Unknown { .. } => None,
            Self::ExecutionStart(event) | Self::ExecutionSuccess(event) => Some(&event.prompt_id),
            Self::ExecutionCached { prompt_id, .. }
            | Self::ProgressState { prompt_id, .. }
            | Self::Executed { prompt_id, .. } => Some(prompt_id),
            Self::Executing { prompt_id, .. } | Self::Progress { prompt_id, .. } => prompt_id.as_deref(),
            Self::ExecutionError(error) => Some(&error.prompt_id),
            Self::ExecutionInterrupted(interrupted) => Some(&interrupted.prompt_id),
        }
    }

    /// Returns whether a message of this `type` ends a prompt.
    pub fn ends_a_prompt(kind: &str) -> bool {
        matches!(kind, "execution_success" | "execution_error" | "execution_interrupted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_type_is_not_an_error() {
        let message = Message::parse(r#"{"type": "crystools.monitor", "data": {"cpu": 3}}"#).unwrap();
        assert_eq!(message, Message::Unknown { kind: "crystools.monitor".into() });
        assert_eq!(Message::parse(r#"{"type": "x"}"#).unwrap().prompt_id(), None);
    }

    #[test]
    fn a_message_of_the_wrong_shape_says_which_and_why() {
        let error = Message::parse(r#"{"type": "progress_state", "data": {"nodes": {}}}"#).unwrap_err();
        assert!(error.to_string().contains("\"progress_state\"") && error.to_string().contains("prompt_id"));
        assert!(matches!(Message::parse("[]"), Err(MessageError::Envelope(_))));
    }

    #[test]
    fn an_executed_node_may_report_nothing() {
        let message = Message::parse(
            r#"{"type": "executed", "data": {"node": "4", "output": null, "prompt_id": "p"}}"#,
        )
        .unwrap();
        assert!(matches!(message, Message::Executed { output: None, .. }));
    }

    #[test]
    fn a_message_with_nan_is_read() {
        let error = r#"{"type": "execution_error", "data": {"prompt_id": "p", "node_id": "3",
            "exception_message": "cannot convert float NaN to integer", "current_inputs": {"value": [NaN]}}}"#;
        let Ok(Message::ExecutionError(error)) = Message::parse(error) else { panic!("an error") };
        assert_eq!(error.exception_message, "cannot convert float NaN to integer");
        let state = r#"{"type": "progress_state", "data": {"prompt_id": "p", "nodes": {
            "1": {"value": NaN, "max": Infinity, "state": "running", "node_id": "1"},
            "2": {"value": 3, "max": 4, "state": "finished", "node_id": "2"}}}}"#;
        let Ok(Message::ProgressState { nodes, .. }) = Message::parse(state) else { panic!("a state") };
        assert_eq!((nodes["1"].value, nodes["1"].max, nodes["2"].value), (0.0, 0.0, 3.0));
        let step = r#"{"type": "progress", "data": {"value": NaN, "max": 4, "prompt_id": "p", "node": "1"}}"#;
        assert!(matches!(Message::parse(step), Ok(Message::Progress { value: 0.0, max: 4.0, .. })));
    }

    #[test]
    fn deep_json_is_an_error_and_no_stack_overflow() {
        let deep = format!(r#"{{"type": "feature_flags", "data": {{"a": {}"#, "[".repeat(1_000_000));
        assert!(Message::parse(&deep).is_err());
        let whole = format!("{deep}{}}}}}", "]".repeat(1_000_000));
        assert!(Message::parse(&whole).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = Message::parse(&text);
        }
    }
}
