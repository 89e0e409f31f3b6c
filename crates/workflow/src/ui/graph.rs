//! The UI format as it stands in a file. What we have no use for is kept as it came.

use std::fmt;

use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A graph as ComfyUI's editor saves it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UiGraph {
    /// The highest node id ever given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_node_id: Option<UiNodeId>,
    /// The highest link id ever given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_link_id: Option<i64>,
    /// The nodes.
    pub nodes: Vec<UiNode>,
    /// The links between them.
    #[serde(default)]
    pub links: Vec<UiLink>,
    /// The coloured frames.
    #[serde(default)]
    pub groups: Vec<Value>,
    /// The subgraphs that nodes refer to by their type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definitions: Option<Definitions>,
    /// What the editor and its extensions remember.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Value>,
    /// The version of the format: 0.4, or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Value>,
    /// Keys without a meaning here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Definitions that the nodes of a [`UiGraph`] use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Definitions {
    /// The subgraphs.
    #[serde(default)]
    pub subgraphs: Vec<Subgraph>,
    /// Keys without a meaning here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A graph that stands for one node. A node whose type is the subgraph's id is a use of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subgraph {
    /// A UUID; the type of the nodes that use it.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// What it takes.
    #[serde(default)]
    pub inputs: Vec<SubgraphSlot>,
    /// What it gives.
    #[serde(default)]
    pub outputs: Vec<SubgraphSlot>,
    /// The nodes in it.
    #[serde(default)]
    pub nodes: Vec<UiNode>,
    /// The links in it. Those from [`SUBGRAPH_INPUT`] and to [`SUBGRAPH_OUTPUT`] cross its border.
    #[serde(default)]
    pub links: Vec<UiLink>,
    /// Keys without a meaning here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The id under which links inside a subgraph name its inputs.
pub const SUBGRAPH_INPUT: UiNodeId = UiNodeId::Number(-10);
/// The id under which links inside a subgraph name its outputs.
pub const SUBGRAPH_OUTPUT: UiNodeId = UiNodeId::Number(-20);

/// An input or output of a [`Subgraph`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubgraphSlot {
    /// Its name, by which uses of the subgraph refer to it.
    pub name: String,
    /// Keys without a meaning here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A node's id: a number in graphs drawn by hand, a text in those that were imported.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UiNodeId {
    /// A number.
    Number(i64),
    /// A text, like `12:34`.
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

/// Whether a node takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It runs.
    Active,
    /// Muted: it is left out, and so are links from it.
    Muted,
    /// Bypassed: links pass through it.
    Bypassed,
}

/// A node as drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UiNode {
    /// Its id, unique within its graph or subgraph.
    pub id: UiNodeId,
    /// A key of `/object_info`, a subgraph's id, or a kind that only the editor knows.
    #[serde(rename = "type")]
    pub kind: String,
    /// The editor's number for its [`Mode`].
    #[serde(default)]
    pub mode: i64,
    /// The title a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its input slots. Absent in old files for nodes without any.
    #[serde(default, deserialize_with = "null_as_default")]
    pub inputs: Vec<UiInput>,
    /// Its output slots.
    #[serde(default, deserialize_with = "null_as_default")]
    pub outputs: Vec<UiOutput>,
    /// The values of its widgets: a list in the editor's order, or of some custom nodes a map by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widgets_values: Option<Value>,
    /// Keys without a meaning here (`pos`, `size`, `properties`, ...).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl UiNode {
    /// Whether the node takes part.
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
    /// The type of what it takes; of old combos a list.
    #[serde(rename = "type", default)]
    pub kind: Value,
    /// The link that ends here.
    #[serde(default)]
    pub link: Option<i64>,
    /// Which widget it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub widget: Option<Value>,
    /// Keys without a meaning here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An output slot of a [`UiNode`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UiOutput {
    /// The output's name.
    #[serde(default)]
    pub name: String,
    /// The type of what it gives.
    #[serde(rename = "type", default)]
    pub kind: Value,
    /// The links that begin here.
    #[serde(default)]
    pub links: Option<Vec<i64>>,
    /// Keys without a meaning here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A link. Files write it as a list of six in graphs and as an object in subgraphs; each is written back as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct UiLink {
    /// Its id, unique within its graph or subgraph.
    pub id: i64,
    /// The node it comes from.
    pub origin_id: UiNodeId,
    /// The index of that node's output.
    pub origin_slot: i64,
    /// The node it goes to.
    pub target_id: UiNodeId,
    /// The index of that node's input.
    pub target_slot: i64,
    /// The type of what it carries.
    pub kind: Value,
    /// The spelling.
    pub spelling: LinkSpelling,
}

/// How a file writes a [`UiLink`].
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
        let told = |error: serde_json::Error| serde::de::Error::custom(format!("not a link: {error}"));
        if value.is_array() {
            let (id, origin_id, origin_slot, target_id, target_slot, kind) =
                serde_json::from_value::<LinkList>(value).map_err(told)?;
            let spelling = LinkSpelling::List;
            return Ok(Self { id, origin_id, origin_slot, target_id, target_slot, kind, spelling });
        }
        let LinkObject { id, origin_id, origin_slot, target_id, target_slot, kind, other } =
            serde_json::from_value(value).map_err(told)?;
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
