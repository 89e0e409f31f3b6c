//! Annotations of a built graph in UI format: frames around the nodes that take inputs or form a block, and a note.

use std::collections::HashSet;
use std::fmt::Write as _;

use comfy_runner_editor::{Annotations, NodeGroup};
use comfy_runner_manifest::{Input, Manifest};

use crate::assemble::{Assembled, BlockNodes};
use crate::static_workflow::StaticWorkflow;
use crate::workflow::{Plan, Workflow};

impl Workflow {
    /// Returns the annotations for a graph of this workflow in UI format: a frame around the nodes that take inputs, or one
    /// around each block of a dynamic workflow, and a note that summarizes the manifest.
    pub fn annotations(&self, assembled: &Assembled) -> Annotations {
        let groups = match &self.plan {
            Plan::Static(workflow) => workflow.inputs_group(assembled).into_iter().collect(),
            Plan::Dynamic(_) => {
                let blocks = assembled.blocks.iter().cloned();
                blocks.map(|BlockNodes { name, nodes }| NodeGroup::new(name, nodes)).collect()
            }
        };
        Annotations::new(groups, Some(note(self.manifest(), assembled)))
    }
}

impl StaticWorkflow {
    /// Returns the nodes that take inputs and are in the assembled graph.
    fn inputs_group(&self, assembled: &Assembled) -> Option<NodeGroup> {
        let bound = self.bindings.iter().map(|binding| binding.node);
        let taking: HashSet<usize> = bound.chain(self.slots.iter().map(|slot| slot.node)).collect();
        let ids = self.graph.nodes.keys().enumerate().filter(|(at, _)| taking.contains(at)).map(|(_, id)| id);
        let nodes: Vec<_> = ids.filter(|id| assembled.graph.nodes.contains_key(*id)).cloned().collect();
        (!nodes.is_empty()).then(|| NodeGroup::new("Inputs", nodes))
    }
}

/// The note, in Markdown.
fn note(manifest: &Manifest, assembled: &Assembled) -> String {
    let mut note = format!("# {}\n", manifest.name);
    if let Some(description) = &manifest.description {
        let _ = writeln!(note, "\n{description}");
    }
    let _ = writeln!(note, "\nWorkflow `{}`{}", manifest.id, version(manifest));
    list(&mut note, "Inputs", manifest.inputs.iter().map(input));
    list(&mut note, "Models", assembled.required_models.iter().map(|model| format!("`{model}`")));
    list(&mut note, "Custom nodes", manifest.required_nodes.iter().map(|package| format!("`{package}`")));
    note
}

fn version(manifest: &Manifest) -> String {
    manifest.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default()
}

fn list(note: &mut String, title: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        let _ = write!(note, "\n## {title}\n\n");
        items.for_each(|item| {
            let _ = writeln!(note, "- {item}");
        });
    }
}

fn input(input: &Input) -> String {
    let mut line = format!("`{}`", input.id);
    if let Some(label) = &input.label {
        let _ = write!(line, " {label}");
    }
    let _ = write!(line, " ({}{})", input.kind, if input.required { ", required" } else { "" });
    for target in &input.targets {
        let _ = write!(line, " \u{2192} node {}, `{}`", target.node, target.field);
    }
    line
}
