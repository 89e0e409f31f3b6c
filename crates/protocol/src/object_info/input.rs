//! An input of a node type: its kind of value and its options.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::dynamic::DynamicInput;

/// The specification of an input: `[type, options]`, or `[[choice, ...], options]`.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// The kind of value.
    pub kind: InputKind,
    /// `default`, `min`, `max`, `step`, `multiline`, `forceInput` and other options of the node's author.
    pub options: Map<String, Value>,
    /// The inputs that a dynamic input creates.
    dynamic: Option<Box<DynamicInput>>,
    /// The spec as it was sent.
    raw: Value,
}

/// The kind of value that an input takes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum InputKind {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A string.
    String,
    /// True or false.
    Boolean,
    /// One of these values. The list is empty if, for example, no model of the kind is installed.
    Combo(Vec<Value>),
    /// Any other type, by name: one that only links have (`MODEL`, `IMAGE`), several separated by commas (`FLOAT,INT`), a
    /// V3 kind (`COMFY_MATCHTYPE_V3`), or a type of a custom node.
    Other(String),
}

/// The template of a `COMFY_MATCHTYPE_V3` input or output. All inputs and outputs of a node with the same `id` must have
/// the same type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MatchTemplate<'s> {
    /// The template's id, unique within the node.
    pub id: &'s str,
    /// The allowed types, separated by commas; `*` is any type.
    pub allowed_types: &'s str,
}

impl InputSpec {
    /// Returns the spec as ComfyUI sent it.
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// Returns the type as ComfyUI sent it: a string, or the list of choices of a combo in the older notation.
    pub fn raw_type(&self) -> &Value {
        self.raw.get(0).unwrap_or(&self.raw)
    }

    /// Returns the type's name: `COMBO` for a combo in either notation.
    pub fn type_name(&self) -> &str {
        match &self.kind {
            InputKind::Int => "INT",
            InputKind::Float => "FLOAT",
            InputKind::String => "STRING",
            InputKind::Boolean => "BOOLEAN",
            InputKind::Combo(_) => "COMBO",
            InputKind::Other(name) => name,
        }
    }

    /// Returns the types that the input takes: several for a union such as `FLOAT,INT`, one otherwise.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.type_name().split(',').map(str::trim)
    }

    /// Returns the type whose widget the editor shows: the option `widgetType`, or the input's own type. An input without
    /// a `widgetType` that takes several types has no widget.
    pub fn widget_type(&self) -> Option<&str> {
        match self.options.get("widgetType").and_then(Value::as_str) {
            Some(kind) => Some(kind),
            None => Some(self.type_name()).filter(|name| !name.contains(',')),
        }
    }

    /// Returns whether the input has a widget and takes no link (option `socketless`).
    pub fn is_socketless(&self) -> bool {
        self.options.get("socketless").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Returns whether the input takes only a link although its type has a widget (option `forceInput`).
    pub fn forces_input(&self) -> bool {
        self.options.get("forceInput").and_then(Value::as_bool).unwrap_or(false)
    }

    /// Returns the number that an option has.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.options.get(key).and_then(Value::as_f64)
    }

    /// Returns the inputs that a dynamic V3 input creates.
    pub fn dynamic(&self) -> Option<&DynamicInput> {
        self.dynamic.as_deref()
    }

    /// Returns the template of a `COMFY_MATCHTYPE_V3` input.
    pub fn match_template(&self) -> Option<MatchTemplate<'_>> {
        if self.type_name() != "COMFY_MATCHTYPE_V3" {
            return None;
        }
        let template = self.options.get("template")?;
        let text = |key: &str| template.get(key).and_then(Value::as_str);
        Some(MatchTemplate { id: text("template_id")?, allowed_types: text("allowed_types").unwrap_or("*") })
    }
}

impl InputKind {
    /// Reads the kind from a type's name or list of choices.
    fn parse(kind: &Value, options: &Map<String, Value>) -> Option<Self> {
        Some(match kind {
            Value::Array(choices) => Self::Combo(choices.clone()),
            Value::String(name) => match name.as_str() {
                "INT" => Self::Int,
                "FLOAT" => Self::Float,
                "STRING" => Self::String,
                "BOOLEAN" => Self::Boolean,
                "COMBO" => match options.get("options") {
                    Some(Value::Array(choices)) => Self::Combo(choices.clone()),
                    _ => Self::Other(name.clone()),
                },
                _ => Self::Other(name.clone()),
            },
            _ => return None,
        })
    }
}

impl From<Value> for InputSpec {
    /// Reads a spec in every notation that nodes use: custom nodes also write a type without a list around it. An invalid
    /// spec becomes an input of a type that no output has.
    fn from(raw: Value) -> Self {
        let (kind, options) = match &raw {
            Value::Array(parts) => (parts.first(), parts.get(1)),
            other => (Some(other), None),
        };
        let options = options.and_then(Value::as_object).cloned().unwrap_or_default();
        let kind = kind
            .and_then(|kind| InputKind::parse(kind, &options))
            .unwrap_or_else(|| InputKind::Other(raw.to_string()));
        let dynamic = match &kind {
            InputKind::Other(name) => DynamicInput::parse(name, &options).map(Box::new),
            _ => None,
        };
        Self { kind, options, dynamic, raw }
    }
}

impl<'de> Deserialize<'de> for InputSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from)
    }
}

impl Serialize for InputSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_combo_is_read_in_both_its_spellings_and_written_as_it_came() {
        for raw in
            [json!([["a", "b"], {"default": "b"}]), json!(["COMBO", {"default": "b", "options": ["a", "b"]}])]
        {
            let spec = InputSpec::from(raw.clone());
            assert_eq!(spec.kind, InputKind::Combo(vec![json!("a"), json!("b")]));
            assert_eq!(spec.options["default"], "b");
            assert_eq!(serde_json::to_value(&spec).unwrap(), raw);
        }
    }

    #[test]
    fn odd_specs_of_custom_nodes_are_no_reason_to_refuse_all_schemas() {
        for raw in [json!("IMAGE"), json!([]), json!([3]), json!(["INT", null]), json!({"x": 1})] {
            serde_json::from_value::<InputSpec>(raw).unwrap();
        }
    }

    #[test]
    fn a_union_has_the_widget_that_it_names_and_else_none() {
        let named = InputSpec::from(json!(["FLOAT,INT", {"widgetType": "FLOAT", "min": 1.0}]));
        assert_eq!(named.types().collect::<Vec<_>>(), ["FLOAT", "INT"]);
        assert_eq!(named.widget_type(), Some("FLOAT"));
        let links_only = InputSpec::from(json!(["IMAGE,MASK", {}]));
        assert_eq!(links_only.widget_type(), None);
        assert_eq!(
            InputSpec::from(json!(["STRING", {"widgetType": "PAINTER"}])).widget_type(),
            Some("PAINTER")
        );
    }

    #[test]
    fn sockets_and_match_templates_are_read_from_the_options() {
        let spec = InputSpec::from(json!(["INT", {"socketless": true, "forceInput": true}]));
        assert!(spec.is_socketless() && spec.forces_input());
        let template = json!({"template_id": "switch", "allowed_types": "IMAGE,MASK"});
        let spec = InputSpec::from(json!(["COMFY_MATCHTYPE_V3", {"template": template}]));
        assert_eq!(spec.match_template(), Some(MatchTemplate { id: "switch", allowed_types: "IMAGE,MASK" }));
    }
}
