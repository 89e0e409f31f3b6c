//! A workflow, compiled once: a graph and where each value goes, or blocks.

use comfy_runner_manifest::{Input, Library, Lines, Manifest};
use comfy_runner_protocol::{Graph, Media, NodeId};
use serde_json::Value;

use crate::dynamic::{DynamicWorkflow, Expression};
use crate::placeholder::Template;

/// A folder of workflows.
pub type Workflows = Library<Workflow>;

/// A workflow: its manifest and its graph or blocks, checked against each other.
#[derive(Debug)]
pub struct Workflow {
    pub(crate) plan: Plan,
}

/// How a workflow's graph comes to be.
#[derive(Debug)]
pub(crate) enum Plan {
    Static(StaticWorkflow),
    Dynamic(DynamicWorkflow),
}

/// A static workflow: its manifest and graph, checked against each other.
#[derive(Debug)]
pub(crate) struct StaticWorkflow {
    pub(crate) manifest: Manifest,
    pub(crate) graph: Graph,
    /// Lines of the graph's file.
    pub(crate) lines: Lines,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) slots: Vec<Slot>,
    /// The manifest's `computed`, parsed.
    pub(crate) computed: Vec<(String, Expression)>,
    pub(crate) loras: Vec<LoraSwitch>,
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

/// A text of the graph with placeholders.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    /// The node's position in the graph.
    pub node: usize,
    pub place: Place,
    pub template: Template,
}

/// Where in a node a text stands.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// The value of this input.
    Input(String),
    /// Inside the value of this input, at this JSON pointer.
    Inside(String, String),
    /// The node's title.
    Title,
}

/// A LoRA loader that is taken out of the graph when this input says there is no LoRA.
#[derive(Debug, Clone)]
pub(crate) struct LoraSwitch {
    /// The input's id.
    pub input: String,
    /// The node's position in the graph.
    pub node: usize,
}

/// What decides the value of a node's field.
pub(crate) enum Source<'w> {
    /// The graph's own value.
    Graph,
    /// An input (its position and itself), or a part of its value.
    Input(usize, &'w Input, Option<&'w str>),
    /// A text with placeholders, or a name that only a request can fill.
    Request,
    /// A key of the manifest's `defaults`.
    Default(&'w Value),
}

impl Workflow {
    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        match &self.plan {
            Plan::Static(workflow) => &workflow.manifest,
            Plan::Dynamic(workflow) => &workflow.manifest,
        }
    }

    /// The graph as it stands in its file; none for a dynamic workflow.
    pub fn graph(&self) -> Option<&Graph> {
        match &self.plan {
            Plan::Static(workflow) => Some(&workflow.graph),
            Plan::Dynamic(_) => None,
        }
    }

    /// The nodes whose files are the result, by the manifest's `outputs[].node_id`. Empty when it names none.
    pub fn result_nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.manifest().outputs.iter().filter_map(|output| output.node.as_ref())
    }

    /// The kind of media that the manifest's first output promises.
    pub fn expected_media(&self) -> Option<Media> {
        let kinds = self.manifest().outputs.iter().filter_map(|output| output.kind.as_deref());
        kinds.into_iter().find_map(|kind| match kind {
            "video" => Some(Media::Video),
            "image" => Some(Media::Image),
            "audio" => Some(Media::Audio),
            "3d" => Some(Media::ThreeD),
            "text" => Some(Media::Text),
            "file" => Some(Media::File),
            _ => None,
        })
    }
}

impl StaticWorkflow {
    /// What decides the value of this field of the node at this position.
    pub(crate) fn source(&self, node: usize, field: &str) -> Source<'_> {
        let bound = self.bindings.iter().rev().find(|binding| binding.node == node && binding.field == field);
        if let Some(binding) = bound {
            return Source::Input(
                binding.input,
                &self.manifest.inputs[binding.input],
                binding.part.as_deref(),
            );
        }
        let slot = self.slots.iter().find(|slot| {
            let here = matches!(&slot.place, Place::Input(name) | Place::Inside(name, _) if name == field);
            slot.node == node && here
        });
        let Some(slot) = slot else { return Source::Graph };
        let (Template::Whole(name), Place::Input(_)) = (&slot.template, &slot.place) else {
            return Source::Request;
        };
        let position = self.manifest.inputs.iter().position(|input| input.id == name.id);
        match (position, self.manifest.defaults.get(&name.id)) {
            (Some(input), _) => Source::Input(input, &self.manifest.inputs[input], name.part.as_deref()),
            (None, Some(default)) if name.part.is_none() => Source::Default(default),
            _ => Source::Request,
        }
    }
}
