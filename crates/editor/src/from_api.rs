//! Converts a prompt to UI format.

use std::collections::HashMap;

use comfy_runner_protocol::graph::{Graph, NodeId};
use comfy_runner_protocol::object_info::ObjectInfo;
use serde_json::json;

use crate::annotations::Annotations;
use crate::compose::Wire;
use crate::enclosure;
use crate::frontend::FrontendVersion;
use crate::graph::UiGraph;
use crate::node_builder::NodeTypes;
use crate::node_shape::Shape;

/// A graph in UI format, and warnings about what UI format cannot represent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UiConversion {
    /// The graph.
    pub graph: UiGraph,
    /// The differences from the prompt, in the graph's order. The graph has the same list, as strings, under
    /// `extra.comfy_runner.remarks`.
    pub warnings: Vec<ConversionWarning>,
}

/// A part of a prompt that UI format cannot represent exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionWarning {
    /// The type has no schema: its widgets and the names of its outputs are guesses.
    #[error(
        "node {node}: type \"{kind}\" has no schema; its links and values are converted as far as they are known"
    )]
    UnknownType {
        /// The node's id.
        node: NodeId,
        /// Its type.
        kind: String,
    },
    /// The input has no widget for its value.
    #[error("node {node}: input \"{input}\" has no widget in the editor; its value is left out")]
    NoWidget {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
    },
    /// The editor changes the string when it sends it.
    #[error("node {node}: the editor changes the string of \"{input}\" when it sends it")]
    TextChanges {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
    },
}

/// Why a prompt cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FromApiError {
    /// A link names a node that does not exist.
    #[error("node {node}: input \"{input}\" is linked to node {missing}, which does not exist")]
    MissingNode {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
        /// The id that the link names.
        missing: NodeId,
    },
    /// A link names an output that the node's type does not have.
    #[error("node {node}: input \"{input}\" is linked to output {output} of node {from}, which has {count}")]
    MissingOutput {
        /// The node's id.
        node: NodeId,
        /// The input.
        input: String,
        /// The node that the link names.
        from: NodeId,
        /// The output that the link names.
        output: usize,
        /// The number of outputs of that node.
        count: usize,
    },
}

/// Converts a prompt to UI format: nodes keep their ids, values and links, and are laid out in columns by depth.
///
/// # Errors
/// See [`FromApiError`]. What UI format cannot represent is listed in [`UiConversion::warnings`].
pub fn from_api(
    graph: &Graph,
    schemas: &ObjectInfo,
    annotations: &Annotations,
) -> Result<UiConversion, FromApiError> {
    from_api_for(FrontendVersion::detect(schemas), graph, schemas, annotations)
}

/// Converts a prompt as [`from_api`] does, for a known version of the editor.
///
/// # Errors
/// See [`FromApiError`].
pub fn from_api_for(
    frontend: FrontendVersion,
    graph: &Graph,
    schemas: &ObjectInfo,
    annotations: &Annotations,
) -> Result<UiConversion, FromApiError> {
    let rules = frontend.rules();
    let mut types = NodeTypes::new(rules);
    let mut shapes: Vec<Shape<'_>> = Vec::with_capacity(graph.len());
    for (id, node) in &graph.nodes {
        shapes.push(Shape::new(&mut types, id, node, schemas.get(&node.class_type)));
    }
    let enclosures = if rules.promotes_to_slots { enclosure::plan(graph, &shapes) } else { Vec::new() };
    for (at, shape) in shapes.iter_mut().enumerate() {
        shape.remove_unlinked(&enclosure::promoted_inputs(&enclosures, at));
    }
    let wires = wires(graph, &mut shapes)?;
    let mut warnings = Vec::new();
    for (at, (id, shape)) in graph.nodes.keys().zip(&mut shapes).enumerate() {
        warnings.append(&mut shape.warnings);
        let held = enclosure::promoted_inputs(&enclosures, at);
        for (input, _) in shape.without_widget.iter().filter(|(input, _)| !held.contains(input)) {
            warnings.push(ConversionWarning::NoWidget { node: id.clone(), input: input.clone() });
        }
    }
    let mut converted = enclosure::compose_all(graph, &shapes, &wires, &enclosures, annotations);
    if !warnings.is_empty() {
        let messages: Vec<String> = warnings.iter().map(ConversionWarning::to_string).collect();
        converted.extra = Some(json!({"comfy_runner": {"remarks": messages}}));
    }
    Ok(UiConversion { graph: converted, warnings })
}

/// Returns the links between the nodes.
fn wires(graph: &Graph, shapes: &mut [Shape<'_>]) -> Result<Vec<Wire>, FromApiError> {
    let places: HashMap<&str, usize> =
        graph.nodes.keys().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    let mut wires = Vec::new();
    for (at, (id, node)) in graph.nodes.iter().enumerate() {
        for (input, link) in node.links() {
            let Some(&from) = places.get(link.node) else {
                let (node, input, missing) = (id.clone(), input.to_owned(), link.node.to_owned());
                return Err(FromApiError::MissingNode { node, input, missing });
            };
            if !shapes[from].reaches(link.output) {
                return Err(FromApiError::MissingOutput {
                    node: id.clone(),
                    input: input.to_owned(),
                    from: link.node.to_owned(),
                    output: link.output,
                    count: shapes[from].outputs.len(),
                });
            }
            wires.push((from, link.output, at, shapes[at].slot(input)));
        }
    }
    Ok(wires)
}
