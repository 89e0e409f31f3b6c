//! The slots and widgets that the editor creates for a node from the schema of its type, in order.

use std::borrow::Cow;

use comfy_runner_protocol::object_info::{InputKind, InputSpec};
use serde_json::{Map, Value};

use crate::rules::{Normalization, Rules, Sent};
use crate::text::{as_textarea, upload_path};

/// The slots and widgets of a node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EditorNode<'s> {
    /// The input slots: those without a widget first.
    pub slots: Vec<Slot<'s>>,
    /// The widgets, from top to bottom.
    pub widgets: Vec<Widget<'s>>,
    /// The names of inputs that grow: links may add slots called `name.` and more.
    pub growing: Vec<String>,
    /// The names of widgets whose value determines the slots and widgets called `name.` and more.
    pub deciding: Vec<String>,
}

/// An input slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot<'s> {
    /// The input's name.
    pub name: Cow<'s, str>,
    /// The types that it accepts, separated by commas.
    pub kind: Cow<'s, str>,
    /// Whether the input is optional.
    pub optional: bool,
    /// Whether a widget of the same name has the value when nothing is linked.
    pub widget: bool,
}

/// A widget.
#[derive(Debug, Clone, PartialEq)]
pub struct Widget<'s> {
    /// The name of the input, or that of a widget that the editor adds.
    pub name: Cow<'s, str>,
    /// The schema of the input; None for a widget that the editor adds.
    pub spec: Option<Cow<'s, InputSpec>>,
    /// The value. None is JavaScript's undefined: a combo without any options.
    pub value: Option<Value>,
    /// Whether `widgets_values` has an entry for it.
    pub saved: bool,
    /// Whether and how a prompt has an entry for it.
    pub sent: Sent,
}

/// The values to assign to widgets.
#[derive(Clone, Copy)]
pub enum WidgetValues<'v> {
    /// None: all widgets keep their defaults.
    Defaults,
    /// A list, in the order of the widgets that are saved.
    List(&'v [Value]),
    /// By name, as some custom nodes save them, and as prompts have them.
    Named(&'v dyn Fn(&str) -> Option<Value>),
}

impl<'s> EditorNode<'s> {
    /// Finds the widget of this name.
    pub fn widget(&self, name: &str) -> Option<&Widget<'s>> {
        self.widgets.iter().find(|widget| widget.name == name)
    }

    /// Finds the slot of this name.
    pub fn slot(&self, name: &str) -> Option<&Slot<'s>> {
        self.slots.iter().find(|slot| slot.name == name)
    }
}

impl Widget<'_> {
    /// Assigns a value, normalized as the editor does.
    pub fn assign(&mut self, value: Value, rules: &Rules) {
        self.value = Some(match &self.spec {
            Some(spec) if is_textarea(spec) => match (rules.normalization, value) {
                (Normalization::TextAreas, Value::String(text)) => Value::String(text),
                (Normalization::TextAreas | Normalization::TextAreasAndPaths, value) => as_textarea(value),
                (Normalization::None, value) => value,
            },
            Some(spec) if rules.normalization == Normalization::TextAreasAndPaths && uploads(spec) => {
                upload_path(value, self.value.as_ref(), spec)
            }
            _ => value,
        });
    }
}

/// Returns whether the widget is a text area, which converts every value to a string.
pub fn is_textarea(spec: &InputSpec) -> bool {
    match &spec.kind {
        InputKind::String => flag(spec, "multiline"),
        InputKind::Other(kind) => matches!(kind.as_str(), "MARKDOWN" | "TEXTAREA"),
        _ => false,
    }
}

/// Returns whether image or video files can be uploaded for this combo.
pub fn uploads(spec: &InputSpec) -> bool {
    spec.type_name() == "COMBO"
        && ["image_upload", "video_upload", "animated_image_upload"]
            .iter()
            .any(|key| spec.options.get(*key) == Some(&Value::Bool(true)))
}

/// Returns whether an option is truthy in JavaScript.
pub fn flag(spec: &InputSpec, key: &str) -> bool {
    spec.options.get(key).is_some_and(truthy)
}

/// Returns whether the value is truthy in JavaScript.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_true) => *is_true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Returns a function that finds values in a `widgets_values` map.
pub fn named(map: &Map<String, Value>) -> impl Fn(&str) -> Option<Value> {
    |name| map.get(name).cloned()
}
