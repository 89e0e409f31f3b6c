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
pub enum Message {
    /// The queue grew or shrank. Every socket hears it; the first one after connecting carries our `sid`.
    Status {
        /// How busy ComfyUI is.
        status: QueueStatus,
        /// The client id of the socket, in the first message only.
        sid: Option<String>,
    },
    /// What the server can do, in answer to ours.
    FeatureFlags(Map<String, Value>),
    /// A prompt left the queue and starts.
    ExecutionStart(PromptEvent),
    /// Nodes that will not run, because an earlier prompt made what they make.
    ExecutionCached {
        /// The prompt.
        prompt_id: String,
        /// The nodes.
        nodes: Vec<NodeId>,
    },
    /// A node starts; without a node, the prompt is closed.
    Executing {
        /// The prompt; very old versions leave it out.
        prompt_id: Option<String>,
        /// The node, `None` when the prompt is closed.
        node: Option<NodeId>,
        /// The node of the submitted graph that stands for it: another one when `node` came out of an expansion.
        display_node: Option<NodeId>,
    },
    /// A step of a node.
    Progress {
        /// The prompt; very old versions leave it out.
        prompt_id: Option<String>,
        /// The node.
        node: Option<NodeId>,
        /// Steps done.
        value: f64,
        /// Steps in all.
        max: f64,
    },
    /// The state of every node that has started so far.
    ProgressState {
        /// The prompt.
        prompt_id: String,
        /// The nodes by id.
        nodes: IndexMap<NodeId, NodeProgress>,
    },
    /// A node is done and reported something for people to see.
    Executed {
        /// The prompt.
        prompt_id: String,
        /// The node.
        node: NodeId,
        /// See [`Message::Executing`].
        display_node: Option<NodeId>,
        /// What it reported; `null` for nodes that report nothing.
        output: Option<NodeOutput>,
    },
    /// The prompt ended with every output made.
    ExecutionSuccess(PromptEvent),
    /// A node failed, and the prompt with it.
    ExecutionError(ExecutionError),
    /// Somebody interrupted the prompt.
    ExecutionInterrupted(ExecutionInterrupted),
    /// A type that we do not know: newer versions and custom nodes add their own.
    Unknown {
        /// The value of `type`.
        kind: String,
    },
}

/// A message that only says which prompt and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptEvent {
    /// The prompt.
    pub prompt_id: String,
    /// Milliseconds since 1970 by ComfyUI's clock.
    #[serde(default)]
    pub timestamp: u64,
}

/// Where a node stands, in [`Message::ProgressState`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeProgress {
    /// Steps done.
    #[serde(deserialize_with = "json::null_as_zero")]
    pub value: f64,
    /// Steps in all; 1 for a node that does not count.
    #[serde(deserialize_with = "json::null_as_zero")]
    pub max: f64,
    /// Pending, running, finished or failed.
    pub state: NodeState,
    /// The node.
    pub node_id: NodeId,
    /// The prompt.
    #[serde(default)]
    pub prompt_id: String,
    /// The node of the submitted graph that stands for it.
    #[serde(default)]
    pub display_node_id: Option<NodeId>,
    /// The node that expanded into it.
    #[serde(default)]
    pub parent_node_id: Option<NodeId>,
    /// The node that holds its code.
    #[serde(default)]
    pub real_node_id: Option<NodeId>,
}

/// The state of a node in [`NodeProgress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Not started.
    Pending,
    /// At work.
    Running,
    /// Done.
    Finished,
    /// Failed.
    Error,
    /// A state that we do not know.
    #[serde(other)]
    Unknown,
}

/// Why a prompt failed. ComfyUI also sends `current_inputs` and `current_outputs`; they can be megabytes of tensors
/// and are not kept.
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
    /// What it said.
    #[serde(default)]
    pub exception_message: String,
    /// The Python class of the exception.
    #[serde(default)]
    pub exception_type: String,
    /// Python's traceback. It holds paths of the server: for a log, never for a caller.
    #[serde(default)]
    pub traceback: Vec<String>,
    /// Nodes that had run.
    #[serde(default)]
    pub executed: Vec<NodeId>,
    /// Milliseconds since 1970 by ComfyUI's clock.
    #[serde(default)]
    pub timestamp: u64,
}

/// Where a prompt was when somebody interrupted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionInterrupted {
    /// The prompt.
    pub prompt_id: String,
    /// The node that ran.
    #[serde(default)]
    pub node_id: NodeId,
    /// Its type.
    #[serde(default)]
    pub node_type: String,
    /// Nodes that had run.
    #[serde(default)]
    pub executed: Vec<NodeId>,
    /// Milliseconds since 1970 by ComfyUI's clock.
    #[serde(default)]
    pub timestamp: u64,
}

/// Why a text frame is not a message. Such a frame is to be skipped, not to end the connection.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// No JSON object with a `type`.
    #[error("not a message: {0}")]
    Envelope(serde_json::Error),
    /// A type we know, with data that does not fit it.
    #[error("message \"{kind}\" does not have the shape it should: {reason}")]
    Data {
        /// The value of `type`.
        kind: String,
        /// What does not fit.
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
    /// Reads one text frame, written by Python: see [`json`].
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

    /// The prompt that this message is about, when it is about one.
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

    /// Whether a message of this `type` says that a prompt ended, well or not.
    pub fn ends_a_prompt(kind: &str) -> bool {
        matches!(kind, "execution_success" | "execution_error" | "execution_interrupted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_type_that_nobody_knows_is_no_error() {
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
