//! Annotations of an exported graph: frames around nodes, and a note.

use comfy_runner_protocol::graph::NodeId;

/// Frames and a note that the converted graph shows in addition to the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Annotations {
    /// Nodes that are framed together.
    pub groups: Vec<NodeGroup>,
    /// A note in Markdown, to the left of the nodes.
    pub note: Option<String>,
}

impl Annotations {
    /// Creates annotations from groups of nodes and a note.
    pub fn new(groups: Vec<NodeGroup>, note: Option<String>) -> Self {
        Self { groups, note }
    }
}

/// Nodes that are framed together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeGroup {
    /// The frame's title.
    pub title: String,
    /// The ids of the nodes. A node belongs to the first group that names it.
    pub nodes: Vec<NodeId>,
}

impl NodeGroup {
    /// Creates a group from its title and the ids of its nodes.
    pub fn new(title: impl Into<String>, nodes: Vec<NodeId>) -> Self {
        Self { title: title.into(), nodes }
    }
}
