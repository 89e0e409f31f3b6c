//! An input of the new manifest, and the fields that take its value.

use std::borrow::Cow;

use comfy_runner_protocol::object_info::InputSpec;
use serde_json::Value;

/// A field of a node, with the node's title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetField<'g> {
    pub node: &'g str,
    pub title: &'g str,
    pub field: &'g str,
}

/// An input of the new manifest.
#[derive(Debug, Clone)]
pub struct DetectedInput<'g> {
    /// Its id, if no other input has the same.
    pub base: String,
    /// The title of its node, which distinguishes it from others of that id.
    pub qualifier: Option<String>,
    /// What its node makes, which distinguishes it from others of that id whose nodes make something else.
    pub medium: Option<&'static str>,
    /// Of several without a qualifier, the order.
    pub order: usize,
    /// The type's name.
    pub kind: &'static str,
    /// The author's label; `None` if the id is enough.
    pub label: Option<String>,
    /// Its rank in the list.
    pub rank: u8,
    /// Whether another field with the same id and value belongs to the same input.
    pub shared: bool,
    /// Whether the author chose it, so that it takes precedence over detected inputs.
    pub chosen: bool,
    /// Whether the editor keeps this seed from run to run.
    pub fixed: bool,
    pub targets: Vec<TargetField<'g>>,
    /// The graph's own value.
    pub value: &'g Value,
    pub spec: Option<Cow<'g, InputSpec>>,
}

impl<'g> DetectedInput<'g> {
    /// Adds these targets.
    pub fn take(&mut self, targets: Vec<TargetField<'g>>) {
        for target in targets {
            if !self.targets.contains(&target) {
                self.targets.push(target);
            }
        }
    }

    /// The subgraph's instance that the input's first node is in: `12:`.
    pub fn scope(&self) -> &'g str {
        let node = self.targets[0].node;
        &node[..node.rfind(':').map_or(0, |at| at + 1)]
    }
}
