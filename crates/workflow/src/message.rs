//! Pieces of error messages.

use comfy_runner_protocol::Graph;

/// Returns a node's id and title for an error message: `3 "Sampler"`.
pub(crate) fn called(graph: &Graph, id: &str) -> String {
    graph.node(id).map_or_else(|| id.to_owned(), |node| format!("{id} \"{}\"", node.title()))
}

/// Returns the JSON pointer of these keys.
pub(crate) fn pointer(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("/{}", comfy_runner_manifest::lines::escape(key))).collect()
}
