//! Node schemas: what `GET /object_info` says a node takes and gives.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The schemas of every node type that a ComfyUI has, by type.
pub type ObjectInfo = IndexMap<String, NodeSchema>;

/// What one node type takes and gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeSchema {
    /// The inputs.
    #[serde(default)]
    pub input: NodeInputs,
    /// The types of the outputs, in order of their index.
    #[serde(default, deserialize_with = "output_types")]
    pub output: Vec<String>,
    /// Whether the node is one for whose sake a prompt runs: it saves or shows something.
    #[serde(default)]
    pub output_node: bool,
    /// What people call it.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Keys that we have no use for here (`input_order`, `category`, `python_module`, ...), kept as they were.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The inputs of a node type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeInputs {
    /// Inputs without which the node does not run.
    #[serde(default)]
    pub required: IndexMap<String, InputSpec>,
    /// Inputs that may be left out.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub optional: IndexMap<String, InputSpec>,
    /// Inputs that ComfyUI fills itself.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub hidden: Map<String, Value>,
}

/// What one input takes: written `[type, options]`, or `[[choice, ...], options]`.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// The kind of value.
    pub kind: InputKind,
    /// `default`, `min`, `max`, `step`, `multiline`, `forceInput` and what else the node's author wrote.
    pub options: Map<String, Value>,
    /// As it was sent.
    raw: Value,
}

/// The kind of value that an input takes.
#[derive(Debug, Clone, PartialEq)]
pub enum InputKind {
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// A text.
    String,
    /// True or false.
    Boolean,
    /// One of these values; of an empty list nothing can be chosen, as with models that nobody has installed.
    Combo(Vec<Value>),
    /// A type that only links carry (`MODEL`, `IMAGE`), or one that we do not know.
    Other(String),
}

/// Whether an input must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// The node does not run without it.
    Required,
    /// It may be left out.
    Optional,
}

impl NodeSchema {
    /// The spec of the input of this name, and whether it must be there. Hidden inputs are not found.
    pub fn input(&self, name: &str) -> Option<(&InputSpec, Requirement)> {
        let required = self.input.required.get(name).map(|spec| (spec, Requirement::Required));
        required.or_else(|| self.input.optional.get(name).map(|spec| (spec, Requirement::Optional)))
    }

    /// Every input that people and links can fill, required ones first.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &InputSpec, Requirement)> {
        let required = self.input.required.iter().map(|(name, spec)| (name, spec, Requirement::Required));
        let optional = self.input.optional.iter().map(|(name, spec)| (name, spec, Requirement::Optional));
        required.chain(optional).map(|(name, spec, requirement)| (name.as_str(), spec, requirement))
    }
}

impl InputSpec {
    /// The spec as ComfyUI sent it.
    pub fn raw(&self) -> &Value {
        &self.raw
    }

    /// The number under this key of the options.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.options.get(key).and_then(Value::as_f64)
    }
}

impl InputKind {
    /// The kind that this type's name, or list of choices, stands for.
    fn of(kind: &Value, options: &Map<String, Value>) -> Option<Self> {
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

impl<'de> Deserialize<'de> for InputSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Value::deserialize(deserializer)?;
        // Custom nodes also write a bare type, without a list around it.
        let (kind, options) = match &raw {
            Value::Array(parts) => (parts.first(), parts.get(1)),
            other => (Some(other), None),
        };
        let options = options.and_then(Value::as_object).cloned().unwrap_or_default();
        let kind = kind
            .and_then(|kind| InputKind::of(kind, &options))
            .unwrap_or_else(|| InputKind::Other(raw.to_string()));
        Ok(Self { kind, options, raw })
    }
}

impl Serialize for InputSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

/// Custom nodes give a list of choices as an output's type; it then is a combo.
fn output_types<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let types = Option::<Vec<Value>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(types
        .into_iter()
        .map(|kind| kind.as_str().map_or_else(|| "COMBO".to_owned(), str::to_owned))
        .collect())
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
            let spec: InputSpec = serde_json::from_value(raw.clone()).unwrap();
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
        let schema: NodeSchema = serde_json::from_value(json!({"output": ["IMAGE", ["x", "y"]]})).unwrap();
        assert_eq!(schema.output, ["IMAGE", "COMBO"]);
    }
}
