//! The UI format as types. Unknown keys are kept.

use std::fmt;

use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A graph as ComfyUI's editor saves it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UiGraph {
    /// The highest node id ever assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_node_id: Option<UiNodeId>,
    /// The highest link id ever assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_link_id: Option<i64>,
    /// The nodes.
    pub nodes: Vec<UiNode>,
    /// The links between them.
    #[serde(default)]
    pub links: Vec<UiLink>,
    /// The groups: colored frames around nodes.
    #[serde(default)]
    pub groups: Vec<Value>,
    /// The subgraph definitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definitions: Option<Definitions>,
    /// Data of the editor and its extensions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
    /// The version of the format: 0.4, or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Value>,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Definitions that the nodes of a [`UiGraph`] refer to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// The subgraphs.
    #[serde(default)]
    pub subgraphs: Vec<Subgraph>,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A subgraph definition. A node whose type is the subgraph's id is an instance of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subgraph {
    /// A UUID; the type of the instances.
    pub id: String,
    /// The name that the editor shows.
    #[serde(default)]
    pub name: String,
    /// The inputs of the subgraph.
    #[serde(default)]
    pub inputs: Vec<SubgraphSlot>,
    /// The outputs of the subgraph.
    #[serde(default)]
    pub outputs: Vec<SubgraphSlot>,
    /// The nodes inside.
    #[serde(default)]
    pub nodes: Vec<UiNode>,
    /// The links inside, including those from [`SUBGRAPH_INPUT`] and to [`SUBGRAPH_OUTPUT`].
    #[serde(default)]
    pub links: Vec<UiLink>,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The node id that represents the inputs of a subgraph in the links inside.
pub const SUBGRAPH_INPUT: UiNodeId = UiNodeId::Number(-10);
/// The node id that represents the outputs of a subgraph in the links inside.
pub const SUBGRAPH_OUTPUT: UiNodeId = UiNodeId::Number(-20);

/// An input or output of a [`Subgraph`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgraphSlot {
    /// Its name, by which instances refer to it.
    pub name: String,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The id of a node: a number, or a string in graphs that were imported from API format.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UiNodeId {
    /// A number.
    Number(i64),
    /// A string, like `12:34`.
    Text(String),
}

impl fmt::Display for UiNodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Whether a node takes part in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The node is executed.
    Active,
    /// Muted: the node and the links from it are left out.
    Muted,
    /// Bypassed: the node is left out, and links go through it.
    Bypassed,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UiNode {
    /// Its id, unique within its graph or subgraph.
    pub id: UiNodeId,
    /// A key of `/object_info`, a subgraph's id, or a virtual node type that only the editor knows.
    #[serde(rename = "type")]
    pub kind: String,
    /// The number that represents its [`Mode`].
    #[serde(default)]
    pub mode: i64,
    /// The title, if a user changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The input slots. Old files leave them out for nodes without any.
    #[serde(default, deserialize_with = "null_as_default")]
    pub inputs: Vec<UiInput>,
    /// The output slots.
    #[serde(default, deserialize_with = "null_as_default")]
    pub outputs: Vec<UiOutput>,
    /// The values of the widgets: a list in the order of the widgets, or a map by name for some custom nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widgets_values: Option<Value>,
    /// Other keys (`pos`, `size`, `properties`, ...).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl UiNode {
    /// Returns whether the node takes part in a prompt.
    pub fn mode(&self) -> Mode {
        match self.mode {
            2 => Mode::Muted,
            4 => Mode::Bypassed,
            _ => Mode::Active,
        }
    }
}

/// An input slot of a [`UiNode`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UiInput {
    /// The input's name.
    pub name: String,
    /// The type that it accepts; a list of choices in old files.
    #[serde(rename = "type", default)]
    pub kind: Value,
    /// The id of the link that ends here.
    #[serde(default)]
    pub link: Option<i64>,
    /// The widget whose value the input replaces: `{"name": ...}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widget: Option<Value>,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An output slot of a [`UiNode`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UiOutput {
    /// The output's name.
    #[serde(default)]
    pub name: String,
    /// The type of the output.
    #[serde(rename = "type", default)]
    pub kind: Value,
    /// The ids of the links that begin here.
    #[serde(default)]
    pub links: Option<Vec<i64>>,
    /// Other keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A link. Graphs write it as a list of six values, subgraphs as an object. It is serialized in the form that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct UiLink {
    /// Its id, unique within its graph or subgraph.
    pub id: i64,
    /// The origin node.
    pub origin_id: UiNodeId,
    /// The index of the output of the origin node.
    pub origin_slot: i64,
    /// The target node.
    pub target_id: UiNodeId,
    /// The index of the input of the target node.
    pub target_slot: i64,
    /// The type of the value that it transports.
    pub kind: Value,
    /// Its notation in the file.
    pub spelling: LinkSpelling,
}

/// The notation of a [`UiLink`] in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkSpelling {
    /// `[id, origin, slot, target, slot, type]`.
    List,
    /// `{"id": ..., ...}`, with these further keys.
    Object(Map<String, Value>),
}

#[derive(Serialize, Deserialize)]
struct LinkObject {
    id: i64,
    origin_id: UiNodeId,
    origin_slot: i64,
    target_id: UiNodeId,
    target_slot: i64,
    #[serde(rename = "type", default)]
    kind: Value,
    #[serde(flatten)]
    other: Map<String, Value>,
}

type LinkList = (i64, UiNodeId, i64, UiNodeId, i64, Value);

impl<'de> Deserialize<'de> for UiLink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let not_a_link = |error: serde_json::Error| serde::de::Error::custom(format!("not a link: {error}"));
        if value.is_array() {
            let (id, origin_id, origin_slot, target_id, target_slot, kind) =
                serde_json::from_value::<LinkList>(value).map_err(not_a_link)?;
            let spelling = LinkSpelling::List;
            return Ok(Self { id, origin_id, origin_slot, target_id, target_slot, kind, spelling });
        }
        let LinkObject { id, origin_id, origin_slot, target_id, target_slot, kind, other } =
            serde_json::from_value(value).map_err(not_a_link)?;
        let spelling = LinkSpelling::Object(other);
        Ok(Self { id, origin_id, origin_slot, target_id, target_slot, kind, spelling })
    }
}

impl Serialize for UiLink {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { id, origin_id, origin_slot, target_id, target_slot, kind, spelling } = self;
        match spelling {
            LinkSpelling::List => {
                let mut list = serializer.serialize_tuple(6)?;
                list.serialize_element(id)?;
                list.serialize_element(origin_id)?;
                list.serialize_element(origin_slot)?;
                list.serialize_element(target_id)?;
                list.serialize_element(target_slot)?;
                list.serialize_element(kind)?;
                list.end()
            }
            LinkSpelling::Object(other) => LinkObject {
                id: *id,
                origin_id: origin_id.clone(),
                origin_slot: *origin_slot,
                target_id: target_id.clone(),
                target_slot: *target_slot,
                kind: kind.clone(),
                other: other.clone(),
            }
            .serialize(serializer),
        }
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn links_are_read_in_both_spellings_and_written_as_they_came() {
        for raw in [
            json!([1, 2, 0, "3:4", 1, "MODEL"]),
            json!({"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 3, "target_slot": 1, "type": "*", "parentId": 7}),
        ] {
            let link: UiLink = serde_json::from_value(raw.clone()).unwrap();
            assert_eq!(link.id, 1);
            assert_eq!(serde_json::to_value(&link).unwrap(), raw);
        }
    }

    #[test]
    fn what_has_no_meaning_here_is_kept() {
        let raw = json!({"last_node_id": 1, "nodes": [{"id": 1, "type": "A", "mode": 4, "pos": [1.5, 2],
            "inputs": [], "outputs": [], "widgets_values": {"a": 1}}], "links": [], "groups": [], "mine": {"x": 1}});
        let graph: UiGraph = serde_json::from_value(raw.clone()).unwrap();
        assert_eq!(graph.nodes[0].mode(), Mode::Bypassed);
        assert_eq!(serde_json::to_value(&graph).unwrap(), raw);
    }
}
