//! The graph in API format, which `POST /prompt` takes: a map from node id to node.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A node's id. ComfyUI's editor writes small numbers, subgraphs write `12:34`, blocks write names; all are strings.
pub type NodeId = String;

/// A graph in API format. Nodes keep the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Graph {
    /// The nodes by id.
    pub nodes: IndexMap<NodeId, Node>,
}

/// A node of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Node {
    /// The node's type, a key of `/object_info`.
    pub class_type: String,
    /// Values and links by input name. A missing input has its default or is not connected.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Metadata of the editor, usually `{"title": "..."}`. ComfyUI ignores it.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Map<String, Value>>,
    /// Other keys, unchanged (`is_changed` in old exports).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A reference to another node's output, written `["12", 0]` in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// The node that it comes from.
    pub node: &'a str,
    /// The index of that node's output, from 0.
    pub output: usize,
}

/// Why a string is not a graph in API format.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// The string is not JSON.
    #[error("not valid JSON: {0}")]
    Json(serde_json::Error),
    /// The JSON value is not an object.
    #[error("a graph in API format is a JSON object from node id to node; this is {0}")]
    NotAnObject(&'static str),
    /// The graph is in UI format.
    #[error(
        "this is ComfyUI's UI format (it has `nodes` and `links`); export it with \"Workflow > Export (API)\" in \
         ComfyUI's menu"
    )]
    UiFormat,
    /// The JSON is the body of a `POST /prompt`.
    #[error("this is a request body; the graph is under its key `prompt`")]
    RequestBody,
    /// An entry is not a node.
    #[error("node \"{node}\": {reason}")]
    Node {
        /// The entry's key.
        node: NodeId,
        /// What is wrong with it.
        reason: String,
    },
}

impl Graph {
    /// Parses a graph from JSON. The error distinguishes the formats that are mistaken for a graph.
    pub fn from_json(text: &str) -> Result<Self, GraphError> {
        Self::from_value(serde_json::from_str(text).map_err(GraphError::Json)?)
    }

    /// Reads a graph from a JSON value. See [`Graph::from_json`].
    pub fn from_value(value: Value) -> Result<Self, GraphError> {
        let Value::Object(entries) = value else {
            return Err(GraphError::NotAnObject(json_kind(&value)));
        };
        if entries.get("nodes").is_some_and(Value::is_array) {
            return Err(GraphError::UiFormat);
        }
        if entries
            .get("prompt")
            .is_some_and(|prompt| prompt.is_object() && prompt.get("class_type").is_none())
        {
            return Err(GraphError::RequestBody);
        }
        let mut nodes = IndexMap::with_capacity(entries.len());
        for (id, entry) in entries {
            match Node::from_value(entry) {
                Ok(node) => nodes.insert(id, node),
                Err(reason) => return Err(GraphError::Node { node: id, reason }),
            };
        }
        Ok(Self { nodes })
    }

    /// Returns the node with this id.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Returns the number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Returns links to nodes that do not exist: the node, its input, and the missing id.
    pub fn dangling_links(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.nodes.iter().flat_map(|(id, node)| {
            node.links()
                .filter(|(_, link)| !self.nodes.contains_key(link.node))
                .map(move |(input, link)| (id.as_str(), input, link.node))
        })
    }
}

impl Node {
    fn from_value(value: Value) -> Result<Self, String> {
        let Value::Object(entry) = &value else {
            return Err(format!(
                "a node is an object with `class_type` and `inputs`, this is {}",
                json_kind(&value)
            ));
        };
        match entry.get("class_type") {
            None => return Err("`class_type` is missing".to_owned()),
            Some(Value::String(class)) if !class.is_empty() => {}
            Some(_) => return Err("`class_type` must be the name of a node type".to_owned()),
        }
        match entry.get("inputs") {
            None | Some(Value::Object(_)) => {}
            Some(other) => return Err(format!("`inputs` must be an object; this is {}", json_kind(other))),
        }
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Returns the title that the node has in the editor, or else its type.
    pub fn title(&self) -> &str {
        let title = self.meta.as_ref().and_then(|meta| meta.get("title")).and_then(Value::as_str);
        title.filter(|title| !title.is_empty()).unwrap_or(&self.class_type)
    }

    /// Returns the inputs that are links, by name.
    pub fn links(&self) -> impl Iterator<Item = (&str, Link<'_>)> {
        self.inputs.iter().filter_map(|(name, value)| Some((name.as_str(), Link::from_value(value)?)))
    }
}

impl<'a> Link<'a> {
    /// Reads a value as a link, by ComfyUI's rule: a list of a string and a number.
    pub fn from_value(value: &'a Value) -> Option<Self> {
        let [Value::String(node), Value::Number(output)] = value.as_array()?.as_slice() else {
            return None;
        };
        let whole = |n: &f64| n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n);
        let output = output.as_u64().or_else(|| output.as_f64().filter(whole).map(|n| n as u64))?;
        Some(Self { node, output: usize::try_from(output).ok()? })
    }
}

impl fmt::Display for Graph {
    /// Writes the graph as indented JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}

/// Returns the type of a JSON value for an error message: `a string`, `a list`, ...
pub fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(text: &str) -> String {
        Graph::from_json(text).expect_err("must be refused").to_string()
    }

    #[test]
    fn a_graph_survives_reading_and_writing_in_its_order_and_to_the_last_digit() {
        let text = r#"{"9":{"class_type":"K","inputs":{"seed":18446744073709551615,"cfg":8.000000000000002},"_meta":{"title":"T"}},"1":{"class_type":"A","inputs":{},"is_changed":["x"]}}"#;
        let graph = Graph::from_json(text).unwrap();
        assert_eq!(serde_json::to_string(&graph).unwrap(), text);
    }

    #[test]
    fn links_to_missing_nodes_are_found() {
        let graph = Graph::from_value(json!({
            "a": {"class_type": "A", "inputs": {"x": ["b", 0]}},
            "b": {"class_type": "B", "inputs": {"x": ["a", 1]}},
            "c": {"class_type": "C", "inputs": {"x": ["gone", 0]}},
        }))
        .unwrap();
        assert_eq!(graph.dangling_links().collect::<Vec<_>>(), [("c", "x", "gone")]);
    }

    #[test]
    fn only_a_string_and_a_number_make_a_link() {
        assert_eq!(Link::from_value(&json!(["4", 1])), Some(Link { node: "4", output: 1 }));
        assert_eq!(Link::from_value(&json!(["4", 1.0])), Some(Link { node: "4", output: 1 }));
        for no in
            [json!([4, 1]), json!(["4"]), json!(["4", "1"]), json!("4"), json!(["4", -1]), json!(["4", 0.5])]
        {
            assert_eq!(Link::from_value(&no), None, "{no}");
        }
    }

    #[test]
    fn errors_name_the_format_that_was_given() {
        assert!(message("{").contains("not valid JSON"));
        assert!(message("[1]").contains("this is a list"));
        assert!(message(r#"{"nodes": [], "links": []}"#).contains("Export (API)"));
        assert!(message(r#"{"prompt": {"1": {}}}"#).contains("under its key `prompt`"));
        assert_eq!(message(r#"{"3": {"inputs": {}}}"#), "node \"3\": `class_type` is missing");
        assert!(message(r#"{"3": 4}"#).contains("this is a number"));
        assert!(
            message(r#"{"3": {"class_type": "A", "inputs": []}}"#).contains("`inputs` must be an object")
        );
    }
}
