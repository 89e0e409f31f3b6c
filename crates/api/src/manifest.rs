//! `GET /api/run/{workflow_id}`: a workflow's manifest.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Manifest`] |
//! | 400 | [`ErrorBody`](crate::ErrorBody): `resolve` is neither `true` nor `false` |
//! | 404 | [`ErrorBody`](crate::ErrorBody): there is no such workflow |
//! | 500 | [`ErrorBody`](crate::ErrorBody): the workflow's files are broken, or options are to be resolved and ComfyUI's node schemas cannot be fetched |
//!
//! The query string is a [`ManifestQuery`].
//!
//! The server answers every key of `manifest.yaml`, in the file's order. The keys that a form needs are fields here;
//! the others are in `other`.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

use crate::workflows::WorkflowKind;

/// The query string of a manifest. Unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ManifestQuery {
    /// `true` or `1`: inputs without `options` of their own get those that this ComfyUI offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub resolve: Option<String>,
}

/// A workflow's manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Manifest {
    /// The workflow's id.
    pub id: String,
    /// The workflow's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the workflow has one graph or is assembled from blocks.
    #[serde(rename = "type")]
    pub kind: WorkflowKind,
    /// What the workflow makes: `image`, `video`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The author's version of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// What callers may set, in the order of a form. [`Manifest::flat_inputs`] leaves out the groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<InputEntry>>,
    /// What the workflow makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<Output>>,
    /// The models that must be installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_models: Option<Vec<RequiredFile>>,
    /// Named values for inputs: those of the manifest and of `presets.yaml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presets: Option<Presets>,
    /// The packages of custom nodes that must be installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_nodes: Option<Vec<RequiredFile>>,
    /// Every other key of the file, such as those that say how the graph is assembled (`pipeline`, `defaults`,
    /// `computed`, ...) and keys that the author added.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The presets of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Presets {
    /// By name. A request names one as `_preset`.
    ByName(IndexMap<String, Preset>),
    /// Something else that the author wrote, which requests cannot use.
    Other(Value),
}

/// Values for some inputs of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Preset {
    /// The label for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The values, by input id.
    pub params: Map<String, Value>,
    /// The author's own keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A version, as text or as a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Version {
    /// `"1.2"`
    Text(String),
    /// `1.2`
    Number(Number),
}

impl Manifest {
    /// Returns the inputs in the order of the form, those in groups included.
    pub fn flat_inputs(&self) -> Vec<&Input> {
        let mut flat = Vec::new();
        collect(self.inputs.iter().flatten(), &mut flat);
        flat
    }
}

fn collect<'m>(entries: impl IntoIterator<Item = &'m InputEntry>, flat: &mut Vec<&'m Input>) {
    for entry in entries {
        match entry {
            InputEntry::Input(input) => flat.push(input),
            InputEntry::Group(group) => collect(group.items.iter().flatten(), flat),
        }
    }
}

/// An entry of `inputs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum InputEntry {
    /// An input.
    Input(Box<Input>),
    /// Inputs that belong together.
    Group(Box<InputGroup>),
}

/// A section of a form. Callers set its inputs as if they were not in a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InputGroup {
    /// The section's heading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Value>,
    /// Whether a form shows the section closed at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collapsed: Option<Value>,
    /// The inputs, and groups inside of this one.
    pub items: Option<Vec<InputEntry>>,
    /// Keys for form pages.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An input of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input {
    /// The key of `params` under which callers give the value.
    pub id: String,
    /// The type of the value. Absent: any value.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<InputType>,
    /// The label for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The label in older manifests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether a value must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// The value that applies when none is given.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The smallest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Number>,
    /// The largest number allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Number>,
    /// The step of a form's control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Number>,
    /// The values to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<InputOption>>,
    /// The node of a static workflow that takes the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeNumber>,
    /// The field of that node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The fields that take the value, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<NodeField>>,
    /// The inputs of one scene of a `scene_list`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_scene: Option<PerScene>,
    /// Keys for form pages (`tooltip`, `placeholder`, `presets`, ...).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The type of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputType {
    /// A string.
    Text,
    /// An integer.
    Int,
    /// A number.
    Float,
    /// True or false.
    Boolean,
    /// One of `options`.
    Select,
    /// An integer from 0, or -1 for a random one.
    Seed,
    /// An image file.
    Image,
    /// A video file.
    Video,
    /// An audio file.
    Audio,
    /// An image file whose alpha channel is the mask.
    Mask,
    /// A file of a 3D model.
    #[serde(rename = "3d")]
    ThreeD,
    /// The file name of a checkpoint.
    CheckpointPicker,
    /// The file name of a VAE.
    VaePicker,
    /// A LoRA: a file name, or `{file, strength}`.
    LoraPicker,
    /// A list of `{file, strength}`.
    LoraPickerDynamic,
    /// A resolution: `{w, h}`, or a string such as `832x1216`.
    ResolutionPicker,
    /// A list of objects with the fields of `per_scene`.
    SceneList,
    /// A type of the author's own: any value.
    #[serde(untagged)]
    Other(String),
}

/// An entry of `options`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum InputOption {
    /// A value with a label.
    Labelled(LabelledOption),
    /// A value alone.
    Value(Value),
}

/// A value to choose, with its label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LabelledOption {
    /// The value that callers send.
    pub value: Value,
    /// The label for people.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub label: Option<Value>,
    /// The author's own keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A field of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeField {
    /// The node's id.
    pub node_id: NodeNumber,
    /// The name of the node's input.
    pub field: String,
    /// The part of a value that has several: `w` or `h` of a resolution, `file` or `strength` of a LoRA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The author's own keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A node's id, as the manifest's author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum NodeNumber {
    /// `12`
    Number(u64),
    /// `"12"`, `"12:34"` or the name of a block's node.
    Text(String),
}

/// The inputs of one scene.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum PerScene {
    /// A list of inputs.
    List(Vec<InputEntry>),
    /// Inputs by id, without the id in them.
    Map(
        // Generators of clients make the same name of a map and of the maps in it.
        #[cfg_attr(feature = "schema", schemars(with = "Map<String, Value>"))]
        IndexMap<String, Map<String, Value>>,
    ),
}

/// Something that a workflow makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Output {
    /// The kind of media: `video`, `image`, `audio`, ...
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The file format: `mp4`, `png`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The node whose file is the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<NodeNumber>,
    /// The author's own keys.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A model or a package of nodes that a workflow needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[non_exhaustive]
pub enum RequiredFile {
    /// Its name.
    Name(String),
    /// A map with its name under `name`, `filename` or `file`, and the author's own keys (`url`, ...).
    Described(Map<String, Value>),
}

/// Reads a value that is present, null included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
