//! Static workflows: a graph file whose fields take a request's values.

mod assemble;
mod compile;

use comfy_runner_manifest::{Input, Lines, Manifest};
use comfy_runner_protocol::Graph;
use serde_json::Value;

pub(crate) use compile::canonical;

use crate::message::pointer;
use crate::template::{Expression, ValueTemplate};

/// A static workflow: its manifest and graph, checked against each other.
#[derive(Debug)]
pub(crate) struct StaticWorkflow {
    pub manifest: Manifest,
    pub graph: Graph,
    /// Lines of the graph's file.
    pub lines: Lines,
    pub bindings: Vec<Binding>,
    pub slots: Vec<Slot>,
    /// The manifest's `computed`, parsed.
    pub computed: Vec<(String, Expression)>,
    pub loras: Vec<LoraSwitch>,
}

/// A field of the graph that takes an input's value by its node's id.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    /// The input's position in the manifest.
    pub input: usize,
    /// The node's position in the graph.
    pub node: usize,
    pub field: String,
    pub part: Option<String>,
}

/// A value of the graph with expressions in it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// The node's position in the graph.
    pub node: usize,
    pub place: SlotPlace,
    pub template: ValueTemplate,
}

/// The location of a [`Slot`] in a node.
#[derive(Debug, Clone)]
pub(crate) enum SlotPlace {
    /// The value of this input.
    Input(String),
    /// `_meta`, which has the title.
    Meta,
}

/// A LoRA loader that is removed from the graph if this input selects no LoRA.
#[derive(Debug, Clone)]
pub(crate) struct LoraSwitch {
    /// The input's id.
    pub input: String,
    /// The node's position in the graph.
    pub node: usize,
}

/// The source of the value of a node's field.
pub(crate) enum FieldSource<'w> {
    /// The graph's own value.
    Graph,
    /// An input, or a part of its value.
    Input(&'w Input, Option<&'w str>),
    /// A string with placeholders, or a name that only a request provides.
    Request,
    /// A key of the manifest's `defaults`.
    Default(&'w Value),
}

impl StaticWorkflow {
    /// Returns the source of the value of this field of the node at this position.
    pub fn source(&self, node: usize, field: &str) -> FieldSource<'_> {
        let bound = self.bindings.iter().rev().find(|binding| binding.node == node && binding.field == field);
        if let Some(binding) = bound {
            return FieldSource::Input(&self.manifest.inputs[binding.input], binding.part.as_deref());
        }
        let is_here = |slot: &&Slot| {
            slot.node == node && matches!(&slot.place, SlotPlace::Input(name) if name == field)
        };
        let Some(slot) = self.slots.iter().find(is_here) else { return FieldSource::Graph };
        let Some((name, part)) = slot.template.placeholder() else { return FieldSource::Request };
        match (self.manifest.input(name), self.manifest.defaults.get(name)) {
            (Some(input), _) => FieldSource::Input(input, part),
            (None, Some(default)) if part.is_none() => FieldSource::Default(default),
            _ => FieldSource::Request,
        }
    }
}

impl SlotPlace {
    /// Returns the JSON pointer of the location in the graph's file.
    pub fn pointer(&self, node: &str) -> String {
        match self {
            Self::Input(field) => pointer(&[node, "inputs", field]),
            Self::Meta => pointer(&[node, "_meta"]),
        }
    }
}
