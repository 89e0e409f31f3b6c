//! What a drawing of a workflow's graph says beside the nodes: which of them take the inputs or make up a block, and a
//! note for whoever opens it.

use std::collections::HashSet;
use std::fmt::Write as _;

use comfy_runner_manifest::{Input, Manifest};

use crate::assemble::Assembled;
use crate::ui::from_api::{Legend, NodeGroup};
use crate::workflow::{Plan, StaticWorkflow, Workflow};

impl Workflow {
    /// What to draw beside the nodes of a graph of this workflow: of a static one a frame around the nodes that take
    /// inputs, of a dynamic one a frame around each block, and for both a note with what the manifest says.
    pub fn legend(&self, assembled: &Assembled) -> Legend {
        let groups = match &self.plan {
            Plan::Static(workflow) => workflow.inputs_group(assembled).into_iter().collect(),
            Plan::Dynamic(_) => assembled.blocks.clone(),
        };
        Legend { groups, note: Some(note(self.manifest(), assembled)) }
    }
}

impl StaticWorkflow {
    /// The nodes that take inputs, as far as they are still there.
    fn inputs_group(&self, assembled: &Assembled) -> Option<NodeGroup> {
        let bound = self.bindings.iter().map(|binding| binding.node);
        let taking: HashSet<usize> = bound.chain(self.slots.iter().map(|slot| slot.node)).collect();
        let ids = self.graph.nodes.keys().enumerate().filter(|(at, _)| taking.contains(at)).map(|(_, id)| id);
        let nodes: Vec<_> = ids.filter(|id| assembled.graph.nodes.contains_key(*id)).cloned().collect();
        (!nodes.is_empty()).then(|| NodeGroup { title: "Inputs".to_owned(), nodes })
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
