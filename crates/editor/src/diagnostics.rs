//! Checks of a converted prompt: values that cannot belong to their inputs, and 3D views without images.
//!
//! UI format lists the values of widgets without their names. A file that was saved with another version of a node then
//! assigns values to the wrong widgets, and the editor sends them. These checks let a caller warn about it.

use comfy_runner_protocol::graph::{Graph, Link};
use comfy_runner_protocol::object_info::{InputKind, InputSpec, ObjectInfo};
use serde_json::Value;

/// A value that its input does not accept.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "node {node} ({kind}): `{input}` takes {wanted} and would get {value}: the file was saved with a version of this \
     node that has other `widgets_values`; open it in the editor, set the values and save it again"
)]
#[non_exhaustive]
pub struct InvalidValue {
    /// The node's id in the prompt.
    pub node: String,
    /// The node's type.
    pub kind: String,
    /// The input's name.
    pub input: String,
    /// A description of the values that the input accepts.
    pub wanted: &'static str,
    /// The value that was found.
    pub value: Value,
}

/// Returns the values of a prompt that their inputs do not accept.
pub fn invalid_values(prompt: &Graph, schemas: &ObjectInfo) -> Vec<InvalidValue> {
    let mut invalid_values = Vec::new();
    for (id, node) in &prompt.nodes {
        let Some(schema) = schemas.get(&node.class_type) else { continue };
        for (name, value) in node.inputs.iter().filter(|(_, value)| Link::from_value(value).is_none()) {
            let Some(wanted) = schema.input(name).and_then(|(spec, _)| refused(spec, value)) else {
                continue;
            };
            let (node, kind) = (id.clone(), node.class_type.clone());
            invalid_values.push(InvalidValue {
                node,
                kind,
                input: name.clone(),
                wanted,
                value: value.clone(),
            });
        }
    }
    invalid_values
}

/// A 3D view that has no images, because only a browser can render them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "node {node} ({kind}): the editor renders the images of `{input}` when it sends the prompt, and this conversion has \
     none; use \"Export (API)\" in the editor if the node's images are needed"
)]
#[non_exhaustive]
pub struct UnrenderedView {
    /// The node's id in the prompt.
    pub node: String,
    /// The node's type.
    pub kind: String,
    /// The input's name.
    pub input: String,
}

/// Returns the 3D views of a prompt whose nodes load rendered images that the prompt does not have.
pub fn unrendered_views(prompt: &Graph, schemas: &ObjectInfo) -> Vec<UnrenderedView> {
    let mut views = Vec::new();
    for (id, node) in &prompt.nodes {
        // The editor renders images for the input `image`. It sends the camera only for all others.
        let is_view = schemas.get(&node.class_type).and_then(|schema| schema.input("image"));
        let is_view = is_view.is_some_and(|(spec, _)| spec.type_name() == "LOAD_3D");
        let image = node.inputs.get("image").and_then(|view| view.get("image")?.as_str());
        if is_view && image == Some("") {
            views.push(UnrenderedView {
                node: id.clone(),
                kind: node.class_type.clone(),
                input: "image".to_owned(),
            });
        }
    }
    views
}

/// Returns what the input accepts, if the value is something else.
fn refused(spec: &InputSpec, value: &Value) -> Option<&'static str> {
    let (wanted, fits) = match spec.kind {
        InputKind::Int => ("a whole number", value.is_number()),
        InputKind::Float => ("a number", value.is_number()),
        InputKind::Boolean => ("true or false", value.is_boolean()),
        InputKind::String => ("a string", value.is_string()),
        // A choice may be any value, and so may a type that is unknown here.
        _ => return None,
    };
    // A widget without a value is null.
    (!fits && !value.is_null()).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_that_slipped_to_another_widget_are_named() {
        let schemas: ObjectInfo = serde_json::from_value(json!({"K": {"input": {"required":
            {"seed": ["INT", {}], "steps": ["INT", {}], "tile": ["BOOLEAN", {}], "mode": [["a"], {}]}}}}))
        .unwrap();
        let prompt = Graph::from_value(json!({"3": {"class_type": "K", "inputs":
            {"seed": 5, "steps": "randomize", "tile": ["4", 0], "mode": 7}}}))
        .unwrap();
        let invalid_values = invalid_values(&prompt, &schemas);
        assert_eq!(invalid_values.len(), 1);
        let message = invalid_values[0].to_string();
        assert!(
            message.starts_with("node 3 (K): `steps` takes a whole number and would get \"randomize\""),
            "{message}"
        );
    }
}
