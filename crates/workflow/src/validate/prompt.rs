//! A prompt as ComfyUI's server receives it: values by id, which may not be nodes.

use comfy_runner_protocol::Graph;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::python::{Exception, type_name};
use super::release::Rules;

/// The nodes of a prompt.
pub(super) type Nodes<'p> = IndexMap<&'p str, PromptNode<'p>>;

/// One node of a prompt.
#[derive(Debug, Clone, Copy)]
pub(super) struct PromptNode<'p> {
    pub class: Class<'p>,
    pub inputs: Inputs<'p>,
    pub title: Title<'p>,
}

/// A node's `class_type`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Class<'p> {
    Missing,
    Named(&'p str),
    /// A value that is not a string, and therefore not a node type.
    Other(&'p Value),
    /// A list or an object. Looking it up raises an exception.
    Unhashable(&'p Value),
    /// The node is not an object, so that looking for its type raises an exception.
    Broken(&'p Value),
}

/// A node's `inputs`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Inputs<'p> {
    Missing,
    Named(&'p Map<String, Value>),
    /// A value that is not an object.
    Other(&'p Value),
}

/// A node's title, in `_meta`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Title<'p> {
    Missing,
    /// Any value.
    Given(&'p Value),
    /// `_meta` or the node itself is not an object. Reading the title raises an exception.
    Broken(&'p Value),
}

impl<'p> PromptNode<'p> {
    /// The node type; empty when there is none.
    pub fn class_name(&self) -> &'p str {
        match self.class {
            Class::Named(name) => name,
            _ => "",
        }
    }
}

/// The nodes of a graph.
pub(super) fn from_graph(graph: &Graph) -> Nodes<'_> {
    let nodes = graph.nodes.iter().map(|(id, node)| {
        let title = node.meta.as_ref().and_then(|meta| meta.get("title"));
        let node = PromptNode {
            class: Class::Named(&node.class_type),
            inputs: Inputs::Named(&node.inputs),
            title: title.map_or(Title::Missing, Title::Given),
        };
        (id.as_str(), node)
    });
    nodes.collect()
}

/// The nodes of any JSON, or the exception that ComfyUI's server raises before it looks at one node after the other.
pub(super) fn from_json<'p>(prompt: &'p Value, rules: &Rules) -> Result<Nodes<'p>, Exception> {
    let Value::Object(entries) = prompt else {
        return Err(if rules.replacements {
            no_attribute(prompt, "items")
        } else {
            Exception::new("TypeError", format!("the prompt is of type '{}'", type_name(prompt)))
        });
    };
    let nodes: Nodes<'p> = entries.iter().map(|(id, entry)| (id.as_str(), node(entry, rules))).collect();
    if rules.replacements {
        for node in nodes.values() {
            replaceable(node)?;
        }
    }
    Ok(nodes)
}

/// Releases that replace nodes of former types look at the type and the inputs of each node that has both.
fn replaceable(node: &PromptNode<'_>) -> Result<(), Exception> {
    match (node.class, node.inputs) {
        (Class::Broken(entry), _) => Err(not_iterable(entry)),
        (Class::Missing, _) | (_, Inputs::Missing) => Ok(()),
        (Class::Unhashable(class), _) => Err(unhashable(class)),
        (_, Inputs::Other(inputs)) => Err(no_attribute(inputs, "items")),
        (_, Inputs::Named(_)) => Ok(()),
    }
}

fn node<'p>(entry: &'p Value, rules: &Rules) -> PromptNode<'p> {
    let Value::Object(keys) = entry else {
        // Python finds no `class_type` in a string or a list, and then wants the title.
        let class = match entry {
            Value::String(_) | Value::Array(_) => Class::Missing,
            _ => Class::Broken(entry),
        };
        let title = if rules.missing_node_type { Title::Broken(entry) } else { Title::Missing };
        return PromptNode { class, inputs: Inputs::Missing, title };
    };
    let class = match keys.get("class_type") {
        None => Class::Missing,
        Some(Value::String(name)) => Class::Named(name),
        Some(value @ (Value::Array(_) | Value::Object(_))) => Class::Unhashable(value),
        Some(value) => Class::Other(value),
    };
    let inputs = match keys.get("inputs") {
        None => Inputs::Missing,
        Some(Value::Object(inputs)) => Inputs::Named(inputs),
        Some(other) => Inputs::Other(other),
    };
    let title = match keys.get("_meta") {
        None => Title::Missing,
        Some(Value::Object(meta)) => meta.get("title").map_or(Title::Missing, Title::Given),
        Some(other) => Title::Broken(other),
    };
    PromptNode { class, inputs, title }
}

pub(super) fn no_attribute(value: &Value, name: &str) -> Exception {
    Exception::new("AttributeError", format!("'{}' object has no attribute '{name}'", type_name(value)))
}

/// A value that cannot be a key of a dictionary.
pub(super) fn unhashable(value: &Value) -> Exception {
    Exception::new("TypeError", format!("unhashable type: '{}'", type_name(value)))
}

/// The exception for `in` with a value that is not a container.
pub(super) fn not_iterable(value: &Value) -> Exception {
    Exception::new("TypeError", format!("argument of type '{}' is not iterable", type_name(value)))
}
