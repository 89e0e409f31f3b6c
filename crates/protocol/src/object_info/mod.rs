//! Node schemas: the inputs and outputs of node types, as `GET /object_info` returns them.

mod dynamic;
mod expand;
mod input;
mod undeclared;
mod union;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use dynamic::{Autogrow, DynamicInput, DynamicOption, DynamicSlot};
pub use expand::{ExpandedInput, Expansion};
pub use input::{InputKind, InputSpec, MatchTemplate};
pub use undeclared::{POWER_LORA_LOADER, POWER_LORA_LOADER_WIDGETS};
pub use union::union_of_schemas;

/// The schemas of all node types of a ComfyUI, by type.
pub type ObjectInfo = IndexMap<String, NodeSchema>;

/// The inputs and outputs of a node type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "WrittenSchema")]
pub struct NodeSchema {
    /// The inputs.
    pub input: NodeInputs,
    /// The types of the outputs, in order of their index. A list of choices is written `COMBO`.
    pub output: Vec<String>,
    /// The choices of those outputs whose type is a list of choices, by index. Custom nodes write such types.
    #[serde(skip_serializing)]
    pub output_choices: IndexMap<usize, Vec<Value>>,
    /// Whether this is an output node, which saves or shows something. A prompt needs at least one.
    pub output_node: bool,
    /// The name that the editor shows.
    pub display_name: Option<String>,
    /// Keys that this crate does not use (`input_order`, `category`, `python_module`, ...), unchanged.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The inputs of a node type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeInputs {
    /// Inputs that the node needs.
    #[serde(default)]
    pub required: IndexMap<String, InputSpec>,
    /// Inputs that may be left out.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub optional: IndexMap<String, InputSpec>,
    /// Inputs that ComfyUI fills itself.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub hidden: Map<String, Value>,
}

/// Whether an input is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Requirement {
    /// The node does not run without the input.
    Required,
    /// The input may be left out.
    Optional,
}

impl NodeSchema {
    /// Returns the spec of an input, and whether it is required. Hidden inputs and those that a dynamic input
    /// creates are not found; [`NodeSchema::expanded_inputs`] lists the latter.
    pub fn input(&self, name: &str) -> Option<(&InputSpec, Requirement)> {
        self.input.get(name)
    }

    /// Returns all inputs as declared, required ones first.
    pub fn inputs(&self) -> impl Iterator<Item = (&str, &InputSpec, Requirement)> {
        self.input.iter()
    }

    /// Returns whether the node uses ComfyUI's V3 interface (`io.ComfyNode`). ComfyUI then fills in keys that
    /// older nodes do not have.
    pub fn is_v3(&self) -> bool {
        let all = |keys: &[&str]| keys.iter().all(|key| self.other.contains_key(*key));
        self.other.contains_key("output_matchtypes") || all(&["api_node", "deprecated", "experimental"])
    }
}

impl NodeInputs {
    /// Returns the spec of an input, and whether it is required.
    pub fn get(&self, name: &str) -> Option<(&InputSpec, Requirement)> {
        let required = self.required.get(name).map(|spec| (spec, Requirement::Required));
        required.or_else(|| self.optional.get(name).map(|spec| (spec, Requirement::Optional)))
    }

    /// Returns all inputs as declared, required ones first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &InputSpec, Requirement)> {
        let required = self.required.iter().map(|(name, spec)| (name, spec, Requirement::Required));
        let optional = self.optional.iter().map(|(name, spec)| (name, spec, Requirement::Optional));
        required.chain(optional).map(|(name, spec, requirement)| (name.as_str(), spec, requirement))
    }
}

/// A [`NodeSchema`] as `/object_info` writes it.
#[derive(Deserialize)]
struct WrittenSchema {
    #[serde(default)]
    input: NodeInputs,
    #[serde(default)]
    output: Option<Vec<Value>>,
    #[serde(default)]
    output_node: bool,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

impl From<WrittenSchema> for NodeSchema {
    fn from(written: WrittenSchema) -> Self {
        let WrittenSchema { input, output, output_node, display_name, other } = written;
        let mut output_choices = IndexMap::new();
        let types = output.unwrap_or_default().into_iter().enumerate().map(|(index, kind)| match kind {
            Value::String(name) => name,
            Value::Array(choices) => {
                output_choices.insert(index, choices);
                "COMBO".to_owned()
            }
            _ => "COMBO".to_owned(),
        });
        let output = types.collect();
        Self { input, output, output_choices, output_node, display_name, other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_of_choices_as_an_output_type_is_a_combo_and_keeps_its_choices() {
        let schema: NodeSchema = serde_json::from_value(json!({"output": ["IMAGE", ["x", "y"]]})).unwrap();
        assert_eq!(schema.output, ["IMAGE", "COMBO"]);
        assert_eq!(schema.output_choices[&1], [json!("x"), json!("y")]);
    }

    #[test]
    fn v3_nodes_are_recognized_in_the_schemas_of_each_release() {
        for (file, v3, v1) in [
            (include_str!("../../../../fixtures/object_info/0.3.64.json"), "SaveVideo", "KSampler"),
            (include_str!("../../../../fixtures/object_info/0.8.0.json"), "SaveVideo", "KSampler"),
            (include_str!("../../../../fixtures/object_info/0.33.0.json"), "SaveVideo", "KSampler"),
        ] {
            let info: ObjectInfo = serde_json::from_str(file).unwrap();
            assert!(info[v3].is_v3());
            assert!(!info[v1].is_v3());
        }
    }
}
