//! A node of a prompt with the slots, values and size that it has in UI format.

use std::borrow::Cow;
use std::collections::HashSet;

use comfy_runner_protocol::graph::{Link, Node};
use comfy_runner_protocol::object_info::{InputKind, NodeSchema};
use serde_json::{Value, json};

use crate::from_api::ConversionWarning;
use crate::node_builder::NodeTypes;
use crate::rules::Sent;
use crate::size;
use crate::text::{escape_dynamic_prompt, resolve_dynamic_prompt};
use crate::widgets::{EditorNode, Widget, WidgetValues, flag};

/// The number of outputs that a node of an unknown type may have.
const MAX_OUTPUTS: usize = 1_000;

/// A node with the slots, values and size that it will have in UI format.
pub(crate) struct Shape<'g> {
    pub node: Cow<'g, Node>,
    pub schema: Option<&'g NodeSchema>,
    pub inputs: Vec<InputShape>,
    /// The name and the type of each output.
    pub outputs: Vec<(String, String)>,
    pub values: Vec<Value>,
    /// The names of the widgets that have the values, if they are saved by name.
    pub value_names: Option<Vec<String>>,
    /// The values of inputs that have a slot and no widget.
    pub without_widget: Vec<(String, Value)>,
    /// The camera of a 3D view.
    pub camera: Option<Value>,
    pub size: [u32; 2],
    pub warnings: Vec<ConversionWarning>,
}

/// An input slot of a [`Shape`].
pub(crate) struct InputShape {
    pub name: String,
    pub kind: String,
    pub optional: bool,
    /// Whether a widget of the same name has the value when nothing is linked.
    pub widget: bool,
}

impl<'g> Shape<'g> {
    pub fn new(types: &mut NodeTypes<'g>, id: &str, node: &'g Node, schema: Option<&'g NodeSchema>) -> Self {
        let unknown = NodeSchema::default();
        let mut warnings = Vec::new();
        if schema.is_none() {
            warnings
                .push(ConversionWarning::UnknownType { node: id.to_owned(), kind: node.class_type.clone() });
        }
        let value = |name: &str| {
            let value = node.inputs.get(name)?;
            if Link::from_value(value).is_some() { None } else { Some(unwrapped(value)) }
        };
        let mut create = |linked: &[&str]| match schema {
            Some(schema) => types.create(&node.class_type, schema, WidgetValues::Named(&value), linked),
            None => EditorNode::default(),
        };
        let linked: Vec<&str> = node.links().map(|(name, _)| name).collect();
        let mut editor_node = create(&linked);
        // An autogrow input has a slot for a value, too, as for a link.
        let has_no_slot = |name: &str| editor_node.slot(name).is_none() && editor_node.widget(name).is_none();
        if node.inputs.keys().any(|name| has_no_slot(name)) {
            let all: Vec<&str> = node.inputs.keys().map(String::as_str).collect();
            let grown = create(&all);
            if node.inputs.iter().any(|(name, given)| {
                Link::from_value(given).is_none() && has_no_slot(name) && grown.slot(name).is_some()
            }) {
                editor_node = grown;
            }
        }
        let mut without_widget = Vec::new();
        let mut values = Vec::new();
        let mut camera = None;
        for widget in &mut editor_node.widgets {
            if widget.sent == Sent::View {
                camera = widget.value.replace(json!("")).and_then(|view| view.get("camera_info").cloned());
            }
            if widget.spec.is_none() && widget.name == "control_after_generate" {
                // Keeps the seed of the prompt.
                widget.value = Some(json!("fixed"));
            }
            if has_choices(widget)
                && let Some(text) = widget.value.as_ref().and_then(Value::as_str)
            {
                widget.value = Some(json!(escape_dynamic_prompt(text)));
            }
        }
        // The widgets that a combo's value adds are saved by name.
        let by_name =
            schema.is_some_and(|schema| schema.inputs().any(|(_, spec, _)| spec.has_option_widgets()));
        let mut value_names = by_name.then(Vec::new);
        for widget in editor_node.widgets.iter().filter(|widget| widget.saved) {
            values.push(widget.value.clone().unwrap_or(Value::Null));
            value_names.iter_mut().for_each(|names| names.push(widget.name.to_string()));
        }
        for (name, given) in node.inputs.iter().filter(|(_, given)| Link::from_value(given).is_none()) {
            match editor_node.widget(name) {
                None if editor_node.slot(name).is_some() => {
                    without_widget.push((name.clone(), unwrapped(given)));
                }
                None if schema.is_some() => {
                    warnings.push(ConversionWarning::NoWidget { node: id.to_owned(), input: name.clone() });
                }
                None => values.push(unwrapped(given)),
                Some(widget) if widget.sent != Sent::No && changes(given, widget) => {
                    warnings
                        .push(ConversionWarning::TextChanges { node: id.to_owned(), input: name.clone() });
                }
                Some(_) => {}
            }
        }
        let slots = editor_node.slots.iter().map(|slot| InputShape {
            name: slot.name.to_string(),
            kind: slot.kind.to_string(),
            optional: slot.optional,
            widget: slot.widget,
        });
        let mut inputs: Vec<InputShape> = slots.collect();
        for (name, _) in node.links().filter(|(name, _)| editor_node.slot(name).is_none()) {
            inputs.push(InputShape {
                name: name.to_owned(),
                kind: "*".to_owned(),
                optional: true,
                widget: false,
            });
        }
        let outputs = outputs(schema.unwrap_or(&unknown));
        let names: Vec<String> = outputs.iter().map(|(name, _)| name.clone()).collect();
        let size = size::size(node.title(), &editor_node, &names, schema);
        let node = Cow::Borrowed(node);
        Self { node, schema, inputs, outputs, values, value_names, without_widget, camera, size, warnings }
    }

    /// Returns the values of the widgets as the editor saves them: a list, or a map by name.
    pub fn widgets_values(&self) -> Option<Value> {
        match &self.value_names {
            _ if self.values.is_empty() => None,
            Some(names) => Some(names.iter().cloned().zip(self.values.iter().cloned()).collect()),
            None => Some(Value::Array(self.values.clone())),
        }
    }

    /// Removes the slots of widgets that are not linked, except those in `promoted`.
    pub fn remove_unlinked(&mut self, promoted: &HashSet<String>) {
        let node = &self.node;
        self.inputs.retain(|input| {
            !input.widget
                || promoted.contains(&input.name)
                || node.inputs.get(&input.name).is_some_and(|value| Link::from_value(value).is_some())
        });
    }

    /// Returns whether the output exists. A node of an unknown type gets the outputs that links name.
    pub fn reaches(&mut self, output: usize) -> bool {
        if self.schema.is_none() && output < MAX_OUTPUTS {
            while self.outputs.len() <= output {
                self.outputs.push((format!("output_{}", self.outputs.len()), "*".to_owned()));
            }
        }
        output < self.outputs.len()
    }

    /// Returns the index of the input slot with this name.
    pub fn slot(&self, input: &str) -> usize {
        self.inputs.iter().position(|slot| slot.name == input).unwrap_or(0)
    }
}

/// Returns whether the string that the editor would send for a widget differs from that of the prompt.
fn changes(given: &Value, widget: &Widget<'_>) -> bool {
    match (given.as_str(), widget.value.as_ref().and_then(Value::as_str)) {
        (Some(given), Some(held)) if has_choices(widget) => given != resolve_dynamic_prompt(held),
        (Some(given), Some(held)) => given != held,
        _ => false,
    }
}

fn has_choices(widget: &Widget<'_>) -> bool {
    widget.spec.as_deref().is_some_and(|spec| spec.kind == InputKind::String && flag(spec, "dynamicPrompts"))
}

/// Unwraps a list, which is wrapped to distinguish it from a link.
pub(crate) fn unwrapped(value: &Value) -> Value {
    match value.as_object() {
        Some(map) if map.keys().all(|key| matches!(key.as_str(), "__type__" | "__value__")) => {
            map.get("__value__").unwrap_or(value).clone()
        }
        _ => value.clone(),
    }
}

/// Returns the names and types of the outputs.
fn outputs(schema: &NodeSchema) -> Vec<(String, String)> {
    let names = schema.other.get("output_name").and_then(Value::as_array);
    let kinds = schema.output.iter().enumerate().map(|(at, kind)| {
        let name = names.and_then(|names| names.get(at)?.as_str()).unwrap_or(kind);
        // The links of the node determine the type of such an output.
        let kind = if kind == "COMFY_MATCHTYPE_V3" { "*" } else { kind };
        (name.to_owned(), kind.to_owned())
    });
    kinds.collect()
}
