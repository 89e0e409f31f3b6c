//! Finds the nodes with negative prompts.

use std::collections::HashSet;

use comfy_runner_protocol::graph::{Graph, Link};
use comfy_runner_protocol::object_info::{InputKind, NodeSchema, ObjectInfo};

const CONDITIONING: &str = "CONDITIONING";

/// Returns the nodes whose strings reach the negative input of samplers and guiders, and no positive input.
pub fn negative<'g>(graph: &'g Graph, schemas: &ObjectInfo) -> HashSet<&'g str> {
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    for node in graph.nodes.values() {
        let Some(schema) = schemas.get(&node.class_type) else { continue };
        if gives_conditioning(schema) {
            continue;
        }
        for (input, link) in node.links().filter(|(input, _)| carries_words(schema, input)) {
            if input.contains("negative") { negative.push(link) } else { positive.push(link) }
        }
    }
    let positive = reached(graph, schemas, positive, false);
    let mut negative = reached(graph, schemas, negative, true);
    negative.retain(|node| !positive.contains(node));
    negative
}

/// Returns the nodes whose strings reach these links.
fn reached<'g>(
    graph: &'g Graph,
    schemas: &ObjectInfo,
    mut open: Vec<Link<'g>>,
    negative: bool,
) -> HashSet<&'g str> {
    let mut seen = HashSet::new();
    while let Some(link) = open.pop() {
        if !seen.insert((link.node, link.output)) {
            continue;
        }
        let Some(node) = graph.node(link.node) else { continue };
        let Some(schema) = schemas.get(&node.class_type) else { continue };
        // Zeroed conditioning has no negative prompt: its string is that of the positive side.
        if negative && node.class_type == "ConditioningZeroOut" {
            continue;
        }
        // A node with both outputs has the positive one first.
        let both = node.inputs.contains_key("positive") && node.inputs.contains_key("negative");
        let side = ["positive", "negative"].get(link.output).copied().filter(|_| both);
        let links = node.links().filter(|(input, _)| carries_words(schema, input));
        open.extend(links.filter(|(input, _)| side.is_none_or(|side| side == *input)).map(|(_, link)| link));
    }
    seen.into_iter().map(|(node, _)| node).collect()
}

fn gives_conditioning(schema: &NodeSchema) -> bool {
    schema.output.iter().any(|kind| kind == CONDITIONING)
}

/// Returns whether this input takes a prompt, as conditioning or as a string.
fn carries_words(schema: &NodeSchema, input: &str) -> bool {
    schema.input(input).is_some_and(|(spec, _)| match &spec.kind {
        InputKind::String => true,
        InputKind::Other(kind) => kind == CONDITIONING,
        _ => false,
    })
}
