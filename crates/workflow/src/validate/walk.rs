//! The walk over one node and its schema, for graphs and for blocks.

use comfy_runner_protocol::{InputSpec, Node, NodeSchema, Requirement};
use serde_json::Value;

use super::Validator;

/// A step of the walk, in this order: the missing required inputs, then each input that the node has.
pub(super) enum Walked<'w> {
    /// No schema for the node's type. Nothing else follows.
    UnknownNode,
    /// A required input that the node lacks.
    Missing { name: &'w str, spec: &'w InputSpec },
    /// An input that the type declares.
    Input { name: &'w str, value: &'w Value, spec: &'w InputSpec },
    /// An input that the type does not declare.
    Unknown { name: &'w str, schema: &'w NodeSchema },
}

/// Compares a node with its schema.
pub(super) fn walk(validator: &Validator<'_>, node: &Node, visit: &mut dyn FnMut(Walked<'_>)) {
    let Some(schema) = validator.info.get(&node.class_type) else { return visit(Walked::UnknownNode) };
    let declared = validator.declared(schema, node);
    for input in &declared {
        if input.requirement == Requirement::Required && !node.inputs.contains_key(&*input.name) {
            visit(Walked::Missing { name: &input.name, spec: input.spec });
        }
    }
    for (name, value) in &node.inputs {
        match declared.iter().find(|input| input.name == name.as_str()) {
            Some(input) => visit(Walked::Input { name, value, spec: input.spec }),
            None if schema.input.hidden.contains_key(name) => {}
            None if schema.takes_undeclared(&node.class_type, name, &node.inputs) => {}
            None => visit(Walked::Unknown { name, schema }),
        }
    }
}
