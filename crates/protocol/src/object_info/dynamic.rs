//! Inputs that create other inputs: the dynamic kinds of ComfyUI's V3 schemas.

use serde_json::{Map, Value};

use super::{InputSpec, NodeInputs, Requirement};

/// The number of inputs that an autogrow input may create. ComfyUI does not load a node that declares more.
const MOST_NAMES: u64 = 100;

/// An input that creates other inputs of the node. Their names begin with its own name and a dot.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DynamicInput {
    /// `COMFY_DYNAMICCOMBO_V3`: a choice with its own inputs (`model`, `model.resolution`).
    Combo(Vec<DynamicOption>),
    /// `COMFY_AUTOGROW_V3`: any number of inputs of one kind (`images.image_4`, `values.a`). It has no value itself.
    Autogrow(Autogrow),
    /// `COMFY_DYNAMICSLOT_V3`: a socket that creates further inputs when it is linked.
    Slot(DynamicSlot),
}

/// One choice of a [`DynamicInput::Combo`].
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicOption {
    /// The value that selects it: a string in all of ComfyUI's own nodes.
    pub key: Value,
    /// The inputs that exist while it is selected. They may be dynamic too.
    pub inputs: NodeInputs,
}

/// The inputs that a [`DynamicInput::Autogrow`] creates.
#[derive(Debug, Clone, PartialEq)]
pub struct Autogrow {
    /// The names of the inputs that it can create, without the name of the dynamic input.
    pub names: Vec<String>,
    /// The prefix of all names, if they are a prefix and a number from 0.
    pub prefix: Option<String>,
    /// The number of names, from the first, that are required if the template is.
    pub min: usize,
    /// The name under which the template is declared. The editor uses it for labels.
    pub template_name: String,
    /// The spec of each created input.
    pub template: InputSpec,
    /// Whether the template is declared as required.
    pub requirement: Requirement,
}

/// The type and the inputs of a [`DynamicInput::Slot`].
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicSlot {
    /// The type of the socket.
    pub slot_type: String,
    /// The inputs that exist while the slot has a value.
    pub inputs: NodeInputs,
}

impl DynamicInput {
    /// Reads a dynamic kind from a type's name and the options of its spec. Returns `None` for every other type, and if the
    /// options that the kind needs are missing.
    pub(super) fn parse(kind: &str, options: &Map<String, Value>) -> Option<Self> {
        match kind {
            "COMFY_DYNAMICCOMBO_V3" => {
                let options = options.get("options")?.as_array()?;
                Some(Self::Combo(options.iter().filter_map(DynamicOption::parse).collect()))
            }
            "COMFY_AUTOGROW_V3" => Autogrow::parse(options.get("template")?).map(Self::Autogrow),
            "COMFY_DYNAMICSLOT_V3" => Some(Self::Slot(DynamicSlot {
                slot_type: options.get("slotType")?.as_str()?.to_owned(),
                inputs: inputs(options.get("inputs")?),
            })),
            _ => None,
        }
    }
}

impl DynamicOption {
    fn parse(option: &Value) -> Option<Self> {
        Some(Self { key: option.get("key")?.clone(), inputs: inputs(option.get("inputs")?) })
    }
}

impl Autogrow {
    fn parse(template: &Value) -> Option<Self> {
        let declared = inputs(template.get("input")?);
        // The template is the first input of the first category that has inputs.
        let (template_name, spec, requirement) = declared.iter().next()?;
        let count = |key: &str| template.get(key).and_then(Value::as_u64);
        let prefix = template.get("prefix").and_then(Value::as_str);
        let (names, prefix) = match (template.get("names").and_then(Value::as_array), prefix) {
            (Some(names), _) => (names.iter().filter_map(Value::as_str).map(str::to_owned).collect(), None),
            (None, Some(prefix)) => {
                let numbers = 0..count("max")?.min(MOST_NAMES);
                (numbers.map(|number| format!("{prefix}{number}")).collect(), Some(prefix.to_owned()))
            }
            (None, None) => return None,
        };
        Some(Self {
            names,
            prefix,
            min: count("min").and_then(|min| usize::try_from(min).ok()).unwrap_or_default(),
            template_name: template_name.to_owned(),
            template: spec.clone(),
            requirement,
        })
    }

    /// Returns whether the input at this position of `names` is required.
    pub fn requirement(&self, position: usize) -> Requirement {
        if position < self.min { self.requirement } else { Requirement::Optional }
    }
}

/// Reads the inputs of an option, a slot or a template. Malformed ones are left out.
fn inputs(written: &Value) -> NodeInputs {
    serde_json::from_value(written.clone()).unwrap_or_default()
}
