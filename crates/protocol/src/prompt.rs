//! The request and the responses of `POST /prompt`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::graph::{Graph, NodeId};
use crate::json;
use crate::queue::ExtraData;

/// The body of `POST /prompt`.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct PromptRequest<'a> {
    /// The graph to run.
    pub prompt: &'a Graph,
    /// The client id of the socket that gets this prompt's events.
    pub client_id: &'a str,
    /// An id that the client generates, so that it knows the job before the first event. Older versions of ComfyUI ignore
    /// it and respond with another id, which is then the prompt's id.
    pub prompt_id: &'a str,
    /// Data that ComfyUI stores with the prompt and returns in its history, in addition to the client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_data: Option<&'a ExtraData>,
}

impl<'a> PromptRequest<'a> {
    /// Creates a request without `extra_data`.
    pub fn new(prompt: &'a Graph, client_id: &'a str, prompt_id: &'a str) -> Self {
        Self { prompt, client_id, prompt_id, extra_data: None }
    }
}

/// The response if at least one output can run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptAccepted {
    /// The id under which ComfyUI runs the prompt.
    pub prompt_id: String,
    /// The number in the order of submission.
    #[serde(default, deserialize_with = "json::null_as_zero")]
    pub number: f64,
    /// Outputs that were dropped because of these errors; empty when all run.
    #[serde(default, deserialize_with = "list_as_empty_map")]
    pub node_errors: NodeErrors,
}

/// The response (400) if no output can run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRefused {
    /// The error of the prompt as a whole.
    pub error: PromptError,
    /// The errors of nodes.
    #[serde(default, deserialize_with = "list_as_empty_map")]
    pub node_errors: NodeErrors,
}

/// An error of a prompt as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptError {
    /// A machine-readable code: `prompt_no_outputs`, `invalid_prompt`, `prompt_outputs_failed_validation`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// A message for users.
    #[serde(default)]
    pub message: String,
    /// The subject of the message, often a node's id.
    #[serde(default)]
    pub details: String,
    /// Machine-readable details.
    #[serde(default)]
    pub extra_info: Map<String, Value>,
}

/// Errors by node id.
pub type NodeErrors = IndexMap<NodeId, NodeError>;

/// The errors of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeError {
    /// The errors of its inputs.
    pub errors: Vec<InputError>,
    /// The output nodes that cannot run because of it.
    #[serde(default)]
    pub dependent_outputs: Vec<NodeId>,
    /// The node's type.
    #[serde(default)]
    pub class_type: String,
}

/// An error of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputError {
    /// A machine-readable code: `value_not_in_list`, `required_input_missing`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// A message for users.
    #[serde(default)]
    pub message: String,
    /// The subject of the message, usually the input's name and value.
    #[serde(default)]
    pub details: String,
    /// Machine-readable details: `input_name`, `input_config`, `received_value`, ...
    #[serde(default)]
    pub extra_info: Map<String, Value>,
}

/// Reads node errors. Older versions of ComfyUI send `"node_errors": []` if there are none.
fn list_as_empty_map<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<NodeErrors, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Spelling {
        Map(NodeErrors),
        List(Vec<Value>),
    }
    match Spelling::deserialize(deserializer)? {
        Spelling::Map(errors) => Ok(errors),
        Spelling::List(list) if list.is_empty() => Ok(NodeErrors::new()),
        Spelling::List(_) => Err(serde::de::Error::custom("`node_errors` is a list that is not empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_of_node_errors_is_no_errors() {
        let accepted: PromptAccepted =
            serde_json::from_str(r#"{"prompt_id": "p", "number": 3, "node_errors": []}"#).unwrap();
        assert!(accepted.node_errors.is_empty());
        assert!(serde_json::from_str::<PromptAccepted>(r#"{"prompt_id": "p", "node_errors": [1]}"#).is_err());
    }
}
