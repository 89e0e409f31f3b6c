//! The widgets that the editor makes for a node type, in its order.

use comfy_runner_protocol::object_info::{InputKind, InputSpec, NodeSchema};
use serde_json::{Map, Value, json};

/// One widget of a node, as the editor makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Widget<'s> {
    /// Its name: that of the input, or the editor's own for the widgets it adds.
    pub name: &'s str,
    /// What it holds when a file gives no value.
    pub default: Value,
    /// Whether a prompt carries its value. The widgets that the editor adds are for people only.
    pub sent: bool,
}

/// The widgets of a node of this schema, in the order in which `widgets_values` lists them.
pub fn widgets(schema: &NodeSchema) -> Vec<Widget<'_>> {
    let mut widgets = Vec::new();
    let mut upload = false;
    for (name, spec) in ordered_inputs(schema) {
        let Some(default) = default_of(spec).filter(|_| !flag(spec, "forceInput")) else { continue };
        widgets.push(Widget { name, default, sent: true });
        if is_controlled(name, spec) {
            widgets.push(Widget { name: "control_after_generate", default: json!("randomize"), sent: false });
            if matches!(spec.kind, InputKind::Combo(_)) {
                widgets.push(Widget { name: "control_filter_list", default: json!(""), sent: false });
            }
        }
        upload |= ["image_upload", "video_upload", "animated_image_upload"].iter().any(|key| flag(spec, key));
    }
    if upload {
        widgets.push(Widget { name: "upload", default: json!("image"), sent: false });
    }
    widgets
}

/// The values of a node's widgets by name: what the file gives, or else the default.
///
/// Files from before an input became `forceInput` still hold a value for it; that value is passed over, as the
/// editor does. Values beyond the last widget are ignored, as the editor does. `None` when `values` is neither a
/// list nor a map.
pub fn widget_values<'s>(schema: &'s NodeSchema, values: Option<&Value>) -> Option<Vec<(Widget<'s>, Value)>> {
    let widgets = widgets(schema);
    let empty = Value::Array(Vec::new());
    let values = match values {
        None | Some(Value::Null) => &empty,
        Some(values) => values,
    };
    let given: Vec<Option<Value>> = match values {
        Value::Array(list) => {
            let stale = stale_values(schema, list.len());
            let mut kept =
                list.iter().enumerate().filter(|(at, _)| !stale.contains(at)).map(|(_, v)| v.clone());
            widgets.iter().map(|_| kept.next()).collect()
        }
        Value::Object(map) => widgets.iter().map(|widget| map.get(widget.name).cloned()).collect(),
        _ => return None,
    };
    let pairs = widgets.into_iter().zip(given);
    Some(
        pairs
            .map(|(widget, given)| {
                let value = given.unwrap_or_else(|| widget.default.clone());
                (widget, value)
            })
            .collect(),
    )
}

/// Where a list of this length holds values for inputs that only links fill by now.
fn stale_values(schema: &NodeSchema, length: usize) -> Vec<usize> {
    let mut forced = Vec::new();
    for (name, spec) in ordered_inputs(schema) {
        let force = flag(spec, "forceInput");
        if force || default_of(spec).is_some() {
            forced.push(force);
            if is_controlled(name, spec) {
                forced.push(false);
            }
        }
    }
    if forced.len() != length {
        return Vec::new();
    }
    forced.iter().enumerate().filter(|(_, force)| **force).map(|(at, _)| at).collect()
}

/// The inputs in the order that the schema's `input_order` gives, those it leaves out behind them.
pub fn ordered_inputs(schema: &NodeSchema) -> Vec<(&str, &InputSpec)> {
    let mut inputs = Vec::new();
    for (section, specs) in [("required", &schema.input.required), ("optional", &schema.input.optional)] {
        let order = schema.other.get("input_order").and_then(|order| order.get(section));
        let names: Vec<&str> =
            order.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let place = |name: &str| names.iter().position(|n| *n == name).unwrap_or(names.len());
        let mut section: Vec<_> = specs.iter().map(|(name, spec)| (name.as_str(), spec)).collect();
        section.sort_by_key(|(name, _)| place(name));
        inputs.extend(section);
    }
    inputs
}

fn is_controlled(name: &str, spec: &InputSpec) -> bool {
    match spec.options.get("control_after_generate") {
        Some(told) => told.as_bool().unwrap_or(true),
        None => spec.kind == InputKind::Int && matches!(name, "seed" | "noise_seed"),
    }
}

fn flag(spec: &InputSpec, key: &str) -> bool {
    spec.options.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// What a fresh widget for this input holds; `None` when the input has no widget.
fn default_of(spec: &InputSpec) -> Option<Value> {
    let fallback = match &spec.kind {
        InputKind::Int | InputKind::Float => json!(0),
        InputKind::String => json!(""),
        InputKind::Boolean => json!(false),
        InputKind::Combo(choices) => choices.first().cloned().unwrap_or(Value::Null),
        InputKind::Other(kind) if kind == "COMBO" => Value::Null,
        InputKind::Other(kind) if kind == "COLOR" => json!("#ffffff"),
        InputKind::Other(_) => return None,
    };
    Some(spec.options.get("default").cloned().unwrap_or(fallback))
}

/// Titles and default sizes need no more than this: whether an input of this name is a widget.
pub fn is_widget(schema: &NodeSchema, name: &str) -> bool {
    schema.input(name).is_some_and(|(spec, _)| default_of(spec).is_some() && !flag(spec, "forceInput"))
}

/// The values as a map by name, of those widgets that a prompt carries.
pub fn sent_values(values: &[(Widget<'_>, Value)]) -> Map<String, Value> {
    let sent = values.iter().filter(|(widget, _)| widget.sent);
    sent.map(|(widget, value)| (widget.name.to_owned(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(required: Value) -> NodeSchema {
        serde_json::from_value(json!({"input": {"required": required}})).unwrap()
    }

    fn names(schema: &NodeSchema) -> Vec<&str> {
        widgets(schema).into_iter().map(|widget| widget.name).collect()
    }

    #[test]
    fn the_editor_adds_a_control_behind_a_seed_and_an_upload_button_at_the_end() {
        let sampler =
            schema(json!({"model": ["MODEL"], "seed": ["INT", {}], "steps": ["INT", {"default": 20}]}));
        assert_eq!(names(&sampler), ["seed", "control_after_generate", "steps"]);
        let image =
            schema(json!({"image": [["a.png"], {"image_upload": true}], "x": ["COMBO", {"options": []}]}));
        assert_eq!(names(&image), ["image", "x", "upload"]);
    }

    #[test]
    fn a_value_kept_from_before_an_input_was_forced_is_passed_over() {
        let node = schema(json!({"a": ["STRING", {"forceInput": true}], "b": ["INT", {}]}));
        let values = widget_values(&node, Some(&json!(["old", 7]))).unwrap();
        assert_eq!(Value::Object(sent_values(&values)), json!({"b": 7}));
        let values = widget_values(&node, Some(&json!({"b": 8}))).unwrap();
        assert_eq!(Value::Object(sent_values(&values)), json!({"b": 8}));
        assert!(widget_values(&node, Some(&json!("text"))).is_none());
    }
}
