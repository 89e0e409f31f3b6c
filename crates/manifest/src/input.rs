//! An input of a workflow: a value that a caller may set, and the fields that take it.

use std::fmt;

use serde_json::{Map, Number, Value};

use crate::check::Wrong;
use crate::diagnostic::{DiagnosticKind, FileDiagnostics};
use crate::fields::{self, Fields};
use crate::nearest::did_you_mean;

/// One input of a workflow.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Input {
    /// The key of the value in a request.
    pub id: String,
    /// The type of its values.
    pub kind: InputKind,
    /// The display name: `label`, or `name` in older files.
    pub label: Option<String>,
    /// Whether a value is required that is not empty.
    pub required: bool,
    /// The value if the caller gives none, in the form in which [`Params`](crate::Params) returns it.
    pub default: Option<Value>,
    /// The smallest number allowed (of a resolution: of either side; of a scene list: how many scenes).
    pub min: Option<Number>,
    /// The largest number allowed, of the same quantity as `min`.
    pub max: Option<Number>,
    /// The step of a form's control. A value between two steps is not refused.
    pub step: Option<Number>,
    /// The values to choose from; empty when there is no list.
    pub options: Vec<Choice>,
    /// The fields of the graph that take the value. Empty when placeholders do, or in a dynamic workflow.
    pub targets: Vec<NodeField>,
    /// The fields of one scene of a [`InputKind::SceneList`].
    pub per_scene: Vec<Input>,
    /// Unknown keys (`tooltip`, `placeholder`, ...), kept unchanged.
    pub other: Map<String, Value>,
    pointer: String,
}

/// The type of an [`Input`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputKind {
    /// A string.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// One of the options.
    Select,
    /// A whole number from 0, or -1 for a random one.
    Seed,
    /// An image that the caller uploads.
    Image,
    /// A video that the caller uploads.
    Video,
    /// Audio that the caller uploads.
    Audio,
    /// A mask that the caller uploads.
    Mask,
    /// A 3D model that the caller uploads: GLB, glTF, OBJ, FBX, STL and others.
    ThreeD,
    /// The file name of a checkpoint.
    CheckpointPicker,
    /// The file name of a VAE.
    VaePicker,
    /// One LoRA: a file name, `{file, strength}`, or what a dynamic workflow makes of it. Null for none.
    LoraPicker,
    /// A list of `{file, strength}`.
    LoraPickerDynamic,
    /// A width and a height: `{w, h}`.
    ResolutionPicker,
    /// A list of objects whose fields `per_scene` describes.
    SceneList,
    /// An unknown type, by its name: any value is accepted.
    Other(String),
}

/// One entry of `options`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// The display name.
    pub label: String,
    /// The value for the graph.
    pub value: Value,
}

/// A field of the graph that takes an input's value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeField {
    /// The node's id.
    pub node: String,
    /// The name of the node's input.
    pub field: String,
    /// The part of a value that has several: `w` or `h` of a resolution, `file` or `strength` of a LoRA.
    pub part: Option<String>,
}

/// The names of all known types, as manifests write them.
const KNOWN: [(&str, InputKind); 17] = [
    ("text", InputKind::Text),
    ("int", InputKind::Int),
    ("float", InputKind::Float),
    ("boolean", InputKind::Boolean),
    ("select", InputKind::Select),
    ("seed", InputKind::Seed),
    ("image", InputKind::Image),
    ("video", InputKind::Video),
    ("audio", InputKind::Audio),
    ("mask", InputKind::Mask),
    ("3d", InputKind::ThreeD),
    ("checkpoint_picker", InputKind::CheckpointPicker),
    ("vae_picker", InputKind::VaePicker),
    ("lora_picker", InputKind::LoraPicker),
    ("lora_picker_dynamic", InputKind::LoraPickerDynamic),
    ("resolution_picker", InputKind::ResolutionPicker),
    ("scene_list", InputKind::SceneList),
];

impl InputKind {
    /// Returns the type with this name.
    pub fn from_name(name: &str) -> Self {
        let known = KNOWN.iter().find(|(known, _)| *known == name);
        known.map_or_else(|| Self::Other(name.to_owned()), |(_, kind)| kind.clone())
    }

    /// Returns the name of the type, as manifests write it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            kind => KNOWN.iter().find(|(_, known)| known == kind).map_or("", |(name, _)| name),
        }
    }

    /// Returns whether the value is a file that the caller uploads.
    pub fn is_file(&self) -> bool {
        matches!(self, Self::Image | Self::Video | Self::Audio | Self::Mask | Self::ThreeD)
    }

    /// Returns whether the value is an image that the caller uploads.
    pub fn is_image(&self) -> bool {
        matches!(self, Self::Image | Self::Mask)
    }
}

impl fmt::Display for InputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Input {
    /// Returns the display name: the label, or else the id.
    pub fn title(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.id)
    }

    /// Returns the input's place in the manifest as a JSON pointer: `/inputs/3`, or `/inputs/1/items/0` in a group.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Reads one input and reports its errors. Returns `None` if it has no id.
    pub(crate) fn read(value: &Value, pointer: &str, report: &mut FileDiagnostics<'_>) -> Option<Self> {
        let Value::Object(entry) = value else {
            let message =
                format!("an input is a map with `id` and `type`, this is {}", fields::kind_of(value));
            report.error(DiagnosticKind::WrongType, pointer, message);
            return None;
        };
        let id = read_id(entry, pointer, report)?;
        let subject = format!("input \"{id}\": ");
        let kind = read_kind(entry, &subject, pointer, report);
        let mut fields = Fields::new(entry, subject, pointer, report);
        fields.warn_of_typos(&OUR_KEYS, &ALIASES);
        let label = match &kind {
            InputKind::Other(_) => entry.get("label").and_then(Value::as_str).map(str::to_owned),
            _ => fields.text("label").or_else(|| fields.text("name")),
        };
        let required = fields.boolean("required").unwrap_or(false);
        let numeric = !matches!(kind, InputKind::Other(_) | InputKind::Text);
        let (min, max, step) = if numeric {
            (fields.number("min"), fields.number("max"), fields.number("step"))
        } else {
            (None, None, None)
        };
        let options =
            if matches!(kind, InputKind::Other(_)) { Vec::new() } else { read_options(&mut fields) };
        let targets = read_targets(&kind, &mut fields);
        if let (Some(low), Some(high)) = (&min, &max)
            && fields::compare(low, high).is_gt()
        {
            fields.error(
                DiagnosticKind::Range,
                "min",
                format!("`min` {low} is greater than `max` {high}; swap them"),
            );
        }
        if kind == InputKind::Select && options.is_empty() {
            let message = "a select without `options` takes any value; list what may be chosen";
            fields.warning(DiagnosticKind::WrongType, "options", message);
        }
        let per_scene =
            if kind == InputKind::SceneList { read_per_scene(entry, pointer, report) } else { Vec::new() };
        let other = entry.iter().filter(|(key, _)| !OUR_KEYS.contains(&key.as_str()));
        let other = other.map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut input = Self {
            id,
            kind,
            label,
            required,
            default: None,
            min,
            max,
            step,
            options,
            targets,
            per_scene,
            other,
            pointer: pointer.to_owned(),
        };
        if let Some(default) = entry.get("default") {
            input.take_default(default, &format!("{pointer}/default"), report);
        }
        Some(input)
    }

    /// Sets the default, or reports why the input does not accept it. A default that is none of the options is accepted
    /// with a warning; callers may then give it too.
    pub(crate) fn take_default(&mut self, default: &Value, pointer: &str, report: &mut FileDiagnostics<'_>) {
        let subject = format!("input \"{}\": the default", self.id);
        let mut wrong = Wrong::default();
        self.default = self.check(&subject, default, &mut wrong);
        if wrong.is_empty() {
            return;
        }
        let options = std::mem::take(&mut self.options);
        let mut wrong_without_options = Wrong::default();
        let default = self.check(&subject, default, &mut wrong_without_options);
        self.options = options;
        if wrong_without_options.is_empty() {
            self.default = default;
            wrong
                .first
                .into_iter()
                .for_each(|message| report.warning(DiagnosticKind::Default, pointer, message));
        } else {
            wrong
                .first
                .into_iter()
                .for_each(|message| report.error(DiagnosticKind::Default, pointer, message));
        }
    }
}

/// The known keys of an input.
const OUR_KEYS: [&str; 14] = [
    "id",
    "type",
    "label",
    "name",
    "required",
    "default",
    "min",
    "max",
    "step",
    "options",
    "node_id",
    "field",
    "targets",
    "per_scene",
];

/// The known keys of a group of inputs.
const GROUP_KEYS: [&str; 3] = ["group", "items", "collapsed"];

/// Alternative spellings of an input's keys, used for hints.
const ALIASES: [(&str, &str); 4] =
    [("title", "label"), ("minimum", "min"), ("maximum", "max"), ("choices", "options")];

/// The keys of an entry of `targets`.
const TARGET_KEYS: [&str; 3] = ["node_id", "field", "part"];

fn read_id(entry: &Map<String, Value>, pointer: &str, report: &mut FileDiagnostics<'_>) -> Option<String> {
    let message = match entry.get("id") {
        Some(Value::String(id)) if id.starts_with('_') => {
            format!("input \"{id}\": an id may not begin with `_`; such keys are the API's own")
        }
        Some(Value::String(id)) if !id.trim().is_empty() => return Some(id.clone()),
        None => match entry.get("label").or(entry.get("name")).and_then(Value::as_str) {
            Some(label) => {
                format!("the input \"{label}\" has no `id`; callers give its value under that key")
            }
            None => "an input has no `id`; callers give its value under that key".to_owned(),
        },
        Some(Value::String(_)) => "the `id` of an input is empty".to_owned(),
        Some(other) => {
            let kind = fields::kind_of(other);
            format!("the `id` of an input must be a string, {other} is {kind}; put it in quotes")
        }
    };
    report.error(DiagnosticKind::InputId, &format!("{pointer}/id"), message);
    None
}

fn read_kind(
    entry: &Map<String, Value>,
    subject: &str,
    pointer: &str,
    report: &mut FileDiagnostics<'_>,
) -> InputKind {
    let pointer = format!("{pointer}/type");
    let kind = match entry.get("type") {
        Some(Value::String(name)) => InputKind::from_name(name),
        None => {
            let message = format!("{subject}`type` is missing; it is treated as a plain value of any kind");
            report.warning(DiagnosticKind::UnknownInputType, &pointer, message);
            return InputKind::Other(String::new());
        }
        Some(other) => {
            let message = format!("{subject}`type` must be a string, this is {}", fields::kind_of(other));
            report.error(DiagnosticKind::WrongType, &pointer, message);
            return InputKind::Other(String::new());
        }
    };
    if let InputKind::Other(name) = &kind {
        let hint = did_you_mean(name, KNOWN.iter().map(|(name, _)| *name));
        let message =
            format!("{subject}the type \"{name}\" is not known; it is treated as a plain value.{hint}");
        report.warning(DiagnosticKind::UnknownInputType, &pointer, message);
    }
    kind
}

fn read_options(fields: &mut Fields<'_, '_, '_>) -> Vec<Choice> {
    let mut options = Vec::new();
    for (index, option) in fields.list("options").unwrap_or_default().iter().enumerate() {
        let place = format!("options/{index}");
        match option {
            // An option with a label only is its own value.
            Value::Object(entry) => match entry.get("value").or_else(|| entry.get("label")) {
                Some(value) => {
                    let label = entry.get("label").map_or_else(|| fields::plain(value), fields::plain);
                    options.push(Choice { label, value: value.clone() });
                }
                None => fields.error(
                    DiagnosticKind::WrongType,
                    &place,
                    "an option that is a map needs `value`, `label`, or both".to_owned(),
                ),
            },
            Value::Array(_) => fields.error(
                DiagnosticKind::WrongType,
                &place,
                "an option is a value, or a map of `label` and `value`; this is a list".to_owned(),
            ),
            value => options.push(Choice { label: fields::plain(value), value: value.clone() }),
        }
    }
    options
}

fn read_targets(kind: &InputKind, fields: &mut Fields<'_, '_, '_>) -> Vec<NodeField> {
    let mut targets = Vec::new();
    if let Some(node) = fields.node_id("node_id") {
        match (fields.text("field"), kind) {
            (Some(field), _) => targets.push(NodeField { node, field, part: None }),
            (None, InputKind::ResolutionPicker) => {
                let target =
                    |field: &str| NodeField { node: node.clone(), field: field.to_owned(), part: None };
                targets.extend([target("width"), target("height")]);
            }
            (None, _) => {
                let message = "`node_id` needs `field`, the name of that node's input";
                fields.error(DiagnosticKind::Binding, "node_id", message.to_owned());
            }
        }
    } else if fields.entry.contains_key("field") && !fields.entry.contains_key("node_id") {
        let message = "`field` needs `node_id`, the node whose field it is";
        fields.error(DiagnosticKind::Binding, "field", message.to_owned());
    }
    for (index, target) in fields.list("targets").unwrap_or_default().iter().enumerate() {
        let place = format!("targets/{index}");
        let Value::Object(entry) = target else {
            let message = "a target is a map of `node_id` and `field`".to_owned();
            fields.error(DiagnosticKind::WrongType, &place, message);
            continue;
        };
        let mut fields = fields.inside(entry, &place);
        fields.warn_of_typos(&TARGET_KEYS, &[]);
        let (node, field, part) = (fields.node_id("node_id"), fields.text("field"), fields.text("part"));
        match (node, field) {
            (Some(node), Some(field)) => targets.push(NodeField { node, field, part }),
            _ if entry.contains_key("node_id") && entry.contains_key("field") => {}
            _ => {
                let message = "a target needs both `node_id` and `field`".to_owned();
                fields.error(DiagnosticKind::Binding, "", message);
            }
        }
    }
    targets
}

/// Reads the fields of a scene: a list of inputs, or a map from id to input.
fn read_per_scene(entry: &Map<String, Value>, pointer: &str, report: &mut FileDiagnostics<'_>) -> Vec<Input> {
    let pointer = format!("{pointer}/per_scene");
    match entry.get("per_scene") {
        None => Vec::new(),
        Some(Value::Array(list)) => read_all(list, &pointer, report),
        Some(Value::Object(map)) => {
            let inputs = map.iter().filter_map(|(id, spec)| {
                let mut spec = spec.clone();
                if let Value::Object(spec) = &mut spec {
                    spec.entry("id").or_insert_with(|| id.clone().into());
                }
                Input::read(&spec, &format!("{pointer}/{}", crate::lines::escape(id)), report)
            });
            inputs.collect()
        }
        Some(other) => {
            let message = format!(
                "`per_scene` is a list of inputs, or a map from id to input; this is {}",
                fields::kind_of(other)
            );
            report.error(DiagnosticKind::WrongType, &pointer, message);
            Vec::new()
        }
    }
}

/// Reads a list of inputs and groups of them, and reports duplicate ids.
pub(crate) fn read_all(list: &[Value], pointer: &str, report: &mut FileDiagnostics<'_>) -> Vec<Input> {
    let mut inputs = Vec::with_capacity(list.len());
    read_into(&mut inputs, list, pointer, report);
    inputs
}

fn read_into(inputs: &mut Vec<Input>, list: &[Value], pointer: &str, report: &mut FileDiagnostics<'_>) {
    for (index, value) in list.iter().enumerate() {
        let pointer = format!("{pointer}/{index}");
        if let Some(group) = value.as_object().filter(|entry| is_group(entry)) {
            read_group(inputs, group, &pointer, report);
            continue;
        }
        let Some(input) = Input::read(value, &pointer, report) else { continue };
        if inputs.iter().any(|earlier| earlier.id == input.id) {
            let message = format!("input \"{}\": another input has this id too; rename one", input.id);
            report.error(DiagnosticKind::InputId, &format!("{pointer}/id"), message);
        } else {
            inputs.push(input);
        }
    }
}

/// Returns whether an entry of `inputs` is a group: a section of a form with inputs of its own under `items`.
fn is_group(entry: &Map<String, Value>) -> bool {
    !entry.contains_key("id") && (entry.contains_key("items") || entry.contains_key("group"))
}

/// Reads the inputs of a group, which may contain groups itself. Its other keys are for form pages.
fn read_group(
    inputs: &mut Vec<Input>,
    group: &Map<String, Value>,
    pointer: &str,
    report: &mut FileDiagnostics<'_>,
) {
    let name = group.get("group").map(fields::plain).unwrap_or_default();
    let mut fields = Fields::new(group, format!("the group \"{name}\": "), pointer, report);
    fields.warn_of_typos(&GROUP_KEYS, &[]);
    if !group.contains_key("items") {
        let message = "`items` is missing, the list of the group's inputs".to_owned();
        fields.error(DiagnosticKind::WrongType, "items", message);
    }
    let items = fields.list("items").unwrap_or_default();
    read_into(inputs, items, &format!("{pointer}/items"), report);
}
