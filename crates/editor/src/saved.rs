//! A saved graph of either format, distinguished by its content.

use comfy_runner_protocol::graph::{Graph, GraphError};
use comfy_runner_protocol::object_info::ObjectInfo;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::graph::{UiGraph, UiLink, UiNode};
use crate::to_api::{ToApiError, to_api};

/// A saved graph.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    /// API format: what `/prompt` takes.
    Api(Graph),
    /// UI format: what the editor saves.
    Ui(Box<UiGraph>),
}

/// Why a JSON document is not a graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedError {
    /// It is not a graph in API format and has no `nodes` list.
    #[error(transparent)]
    Api(GraphError),
    /// It has a `nodes` list, but an entry is invalid.
    #[error("this looks like ComfyUI's UI format, but {place}: {reason}")]
    Ui {
        /// The entry: `node 3`, `link 7 of subgraph "Encode"`, ...
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a saved graph cannot be converted to a prompt.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPrompt {
    /// UI format lists values without names; the names are in the node schemas.
    #[error(
        "this is ComfyUI's UI format, which cannot be read without node schemas; give a ComfyUI, or the file that its \
         /object_info returns"
    )]
    NeedsSchemas,
    /// The conversion fails.
    #[error(transparent)]
    Convert(#[from] ToApiError),
}

impl Saved {
    /// Reads a graph of either format from JSON.
    ///
    /// # Errors
    /// See [`SavedError`].
    pub fn from_json(text: &str) -> Result<Self, SavedError> {
        let value = serde_json::from_str(text).map_err(|error| SavedError::Api(GraphError::Json(error)))?;
        Self::from_value(value)
    }

    /// Reads a graph of either format.
    ///
    /// # Errors
    /// See [`SavedError`].
    pub fn from_value(value: Value) -> Result<Self, SavedError> {
        // An API graph may have a node with the id "nodes"; that is an object.
        if !value.get("nodes").is_some_and(Value::is_array) {
            return Graph::from_value(value).map(Self::Api).map_err(SavedError::Api);
        }
        check(&value, "")?;
        let subgraphs = value.get("definitions").and_then(|definitions| definitions.get("subgraphs"));
        for subgraph in subgraphs.and_then(Value::as_array).into_iter().flatten() {
            let name =
                subgraph.get("name").or_else(|| subgraph.get("id")).and_then(Value::as_str).unwrap_or("?");
            check(subgraph, &format!(" of subgraph \"{name}\""))?;
        }
        let whole = serde_json::from_value(value);
        let graph =
            whole.map_err(|error| SavedError::Ui { place: "in it".to_owned(), reason: error.to_string() })?;
        Ok(Self::Ui(Box::new(graph)))
    }

    /// Converts to API format. Only UI format needs `schemas`.
    ///
    /// # Errors
    /// See [`NoPrompt`].
    pub fn into_prompt(self, schemas: Option<&ObjectInfo>) -> Result<Graph, NoPrompt> {
        match self {
            Self::Api(graph) => Ok(graph),
            Self::Ui(graph) => Ok(to_api(&graph, schemas.ok_or(NoPrompt::NeedsSchemas)?)?),
        }
    }
}

/// Finds the node or link that is invalid.
fn check(graph: &Value, within: &str) -> Result<(), SavedError> {
    check_all::<UiNode>(graph, "nodes", "node", within)?;
    check_all::<UiLink>(graph, "links", "link", within)
}

fn check_all<T: DeserializeOwned>(
    graph: &Value,
    key: &str,
    what: &str,
    within: &str,
) -> Result<(), SavedError> {
    let items = graph.get(key).and_then(Value::as_array);
    for (at, item) in items.into_iter().flatten().enumerate() {
        if let Err(error) = serde_json::from_value::<T>(item.clone()) {
            let id = item.get("id").or_else(|| item.get(0)).filter(|id| id.is_number() || id.is_string());
            let name = match id {
                Some(Value::String(id)) => id.clone(),
                Some(id) => id.to_string(),
                None => format!("number {} in the list", at + 1),
            };
            return Err(SavedError::Ui {
                place: format!("{what} {name}{within}"),
                reason: error.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(value: Value) -> String {
        Saved::from_value(value).unwrap_err().to_string()
    }

    #[test]
    fn content_distinguishes_the_formats() {
        let api = Saved::from_value(json!({"nodes": {"class_type": "A", "inputs": {}}})).unwrap();
        assert!(matches!(api, Saved::Api(graph) if graph.len() == 1));
        let ui = Saved::from_value(json!({"nodes": [{"id": 1, "type": "A"}], "links": []})).unwrap();
        assert!(matches!(&ui, Saved::Ui(graph) if graph.nodes.len() == 1));
        assert_eq!(ui.into_prompt(None), Err(NoPrompt::NeedsSchemas));
    }

    #[test]
    fn errors_name_the_invalid_entry() {
        assert!(error(json!([1])).contains("this is a list"));
        assert!(error(json!({"3": {"inputs": {}}})).contains("`class_type` is missing"));
        let node = error(json!({"nodes": [{"id": 1, "type": "A"}, {"id": 2}]}));
        assert!(node.contains("node 2: missing field `type`"), "{node}");
        let link = error(json!({"nodes": [], "links": [[7, 1, 0, 2]]}));
        assert!(link.contains("link 7: not a link"), "{link}");
        let inner = error(
            json!({"nodes": [], "definitions": {"subgraphs": [{"id": "s", "name": "In", "nodes": [{}]}]}}),
        );
        assert!(inner.contains("node number 1 in the list of subgraph \"In\""), "{inner}");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Saved::from_json(&deep).unwrap_err().to_string().contains("recursion limit"));
    }
}
