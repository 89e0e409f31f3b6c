//! The spec of a field, also of one that another's value brings (`model.resolution`) or that is one of many (`values.a`).

use std::borrow::Cow;

use comfy_runner_protocol::graph::Node;
use comfy_runner_protocol::object_info::{
    DynamicInput, DynamicOption, Expansion, InputKind, InputSpec, NodeSchema, Requirement,
};
use serde_json::{Value, json};

/// The spec of a field of this node, as one of a plain kind where there is one: of a choice that brings inputs of its own,
/// a combo of the options that need nothing beyond what the node has.
pub fn spec<'s>(schema: &'s NodeSchema, node: &Node, field: &str) -> Option<Cow<'s, InputSpec>> {
    let declared = schema.input(field).map(|(spec, _)| spec);
    let spec = declared.or_else(|| {
        let inputs = schema.expanded_inputs(Expansion::All, &|name| node.inputs.get(name));
        inputs.into_iter().find(|input| input.name == field).map(|input| input.spec)
    })?;
    let plain = match spec.dynamic() {
        Some(DynamicInput::Combo(options)) => {
            let offered = options.iter().filter(|option| is_complete(option, node, field));
            json!([offered.map(|option| &option.key).collect::<Vec<&Value>>(), spec.options])
        }
        Some(_) => return Some(Cow::Borrowed(spec)),
        None => {
            let InputKind::Other(_) = &spec.kind else { return Some(Cow::Borrowed(spec)) };
            let known = |kind: &&str| ["FLOAT", "INT", "STRING", "BOOLEAN"].contains(kind);
            let Some(kind) = spec.widget_type().filter(known).or_else(|| spec.types().find(known)) else {
                return Some(Cow::Borrowed(spec));
            };
            json!([kind, spec.options])
        }
    };
    Some(serde_json::from_value(plain).map_or(Cow::Borrowed(spec), Cow::Owned))
}

/// Whether the node has everything that this option needs.
fn is_complete(option: &DynamicOption, node: &Node, field: &str) -> bool {
    let required = option.inputs.iter().filter(|(_, _, requirement)| *requirement == Requirement::Required);
    required.map(|(name, ..)| format!("{field}.{name}")).all(|name| {
        let grown = |other: &String| other.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'));
        node.inputs.contains_key(&name) || node.inputs.keys().any(grown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_depend_on_a_choice_have_the_spec_of_that_choice() {
        let schema: NodeSchema = serde_json::from_value(json!({"input": {"required": {
            "model": ["COMFY_DYNAMICCOMBO_V3", {"options": [
                {"key": "a", "inputs": {"required": {"size": [["1K", "2K"], {}], "n": ["INT", {"max": 3}]}}},
                {"key": "b", "inputs": {"required": {"size": [["1K"], {}]}}},
                {"key": "c", "inputs": {"required": {"depth": ["INT", {}]}}},
            ]}],
            "values": ["COMFY_AUTOGROW_V3", {"template":
                {"input": {"required": {"value": ["FLOAT,INT", {"min": 1}]}}, "names": ["a", "b"]}}],
        }}}))
        .unwrap();
        let node: Node = serde_json::from_value(json!({"class_type": "A", "inputs": {
            "model": "a", "model.size": "2K", "model.n": 2, "values.a": 1.5,
        }}))
        .unwrap();
        let kind = |field: &str| spec(&schema, &node, field).map(|spec| spec.kind.clone());
        assert_eq!(kind("model"), Some(InputKind::Combo(vec![json!("a"), json!("b")])));
        assert_eq!(kind("model.size"), Some(InputKind::Combo(vec![json!("1K"), json!("2K")])));
        assert_eq!(spec(&schema, &node, "model.n").unwrap().number("max"), Some(3.0));
        assert_eq!(kind("values.a"), Some(InputKind::Float));
        assert_eq!(kind("model.other"), None);
        assert_eq!(kind("nothing"), None);
    }
}
