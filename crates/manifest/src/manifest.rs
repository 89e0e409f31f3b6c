//! `manifest.yaml`: a workflow's name, inputs and outputs.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::check::is_empty;
use crate::diagnostic::{Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics};
use crate::fields::{self, Fields};
use crate::input::{self, Input, InputKind};
use crate::lines::Lines;
use crate::older_dialect;
use crate::preset::{self, Preset};
use crate::stage::{self, LoraPair, Stage};
use crate::yaml;

/// The name of the file in a workflow's folder.
pub const MANIFEST_FILE: &str = "manifest.yaml";

/// Names under `/api/run/` that are not workflows: no workflow can have one of them as its id.
pub const RESERVED_IDS: [&str; 7] = ["upload-image", "status", "result", "ws", "events", "preview", "cancel"];

/// The known keys of a manifest.
const OUR_KEYS: [&str; 19] = [
    "id",
    "name",
    "type",
    "category",
    "description",
    "version",
    "inputs",
    "outputs",
    "required_models",
    "required_nodes",
    "requires_tags",
    "workflow_file",
    "blocks_dir",
    "pipeline",
    "defaults",
    "computed",
    "lora_pairs",
    "presets",
    "connections",
];

/// Alternative spellings of a manifest's keys, used for hints.
const ALIASES: [(&str, &str); 1] = [("title", "name")];

/// The known keys of an output.
const OUTPUT_KEYS: [&str; 3] = ["type", "format", "node_id"];

/// A manifest, checked on its own. The workflow crate checks it against the graph.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The id, equal to the folder's name.
    pub id: String,
    /// The display name; the id if the file has none.
    pub name: String,
    /// Whether the workflow has a graph, or blocks that are assembled per request.
    pub kind: WorkflowKind,
    /// The category in lists: `image`, `video`, ...
    pub category: Option<String>,
    /// A description for people.
    pub description: Option<String>,
    /// The author's version of the workflow.
    pub version: Option<String>,
    /// The values that callers may set, in order. Groups of inputs are flattened.
    pub inputs: Vec<Input>,
    /// The outputs.
    pub outputs: Vec<Output>,
    /// File names of models that must be installed.
    pub required_models: Vec<String>,
    /// Packages of custom nodes that must be installed.
    pub required_nodes: Vec<String>,
    /// Tags that a ComfyUI must have to run the workflow.
    pub requires_tags: Vec<String>,
    /// The graph of a static workflow, relative to the folder.
    pub workflow_file: String,
    /// The folder of a dynamic workflow's blocks, relative to the manifest's.
    pub blocks_dir: String,
    /// The stages of a dynamic workflow, in order. Empty for a static one.
    pub pipeline: Vec<Stage>,
    /// Values of names that are not inputs, and defaults of inputs without their own.
    pub defaults: Map<String, Value>,
    /// Expressions of a dynamic workflow by name, in order.
    pub computed: IndexMap<String, String>,
    /// LoRAs that belong together, by id: for stages with `lora_injection: paired`. A library adds those of
    /// [`LORA_PAIRS_FILE`](crate::LORA_PAIRS_FILE).
    pub lora_pairs: IndexMap<String, LoraPair>,
    /// Named values for inputs, by name: those of the manifest, and in a library also those of `presets.yaml`.
    pub presets: IndexMap<String, Preset>,
    json: Map<String, Value>,
    lines: Lines,
}

/// The source of a workflow's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkflowKind {
    /// A graph file whose fields take the inputs' values.
    Static,
    /// Blocks that are assembled per request.
    Dynamic,
}

/// One entry of a manifest's `outputs`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Output {
    /// The kind of media: `video`, `image`, `audio`, ...
    pub kind: Option<String>,
    /// The file format: `mp4`, `png`, ...
    pub format: Option<String>,
    /// The node whose file is the result.
    pub node: Option<String>,
    /// Unknown keys, kept unchanged.
    pub other: Map<String, Value>,
}

impl WorkflowKind {
    /// Returns the kind as manifests write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
        }
    }
}

impl Manifest {
    /// Parses the text of a `manifest.yaml` in the folder of this name.
    ///
    /// Returns the manifest with warnings, or every problem that could be found, warnings included.
    pub fn parse(text: &str, folder: &str) -> Result<(Self, Diagnostics), Diagnostics> {
        match Self::parse_partly(text, folder) {
            (Some(manifest), problems) if !problems.iter().any(Diagnostic::is_error) => {
                Ok((manifest, problems))
            }
            (_, problems) => Err(problems),
        }
    }

    /// Parses like [`Manifest::parse`], but also returns a manifest with errors, without the parts that are wrong.
    /// Such a manifest serves to find further errors; it must not be run.
    pub fn parse_partly(text: &str, folder: &str) -> (Option<Self>, Diagnostics) {
        let entry = match yaml::parse(text, MANIFEST_FILE) {
            Ok(Value::Object(entry)) => entry,
            Ok(other) => {
                let is = if other.is_null() { "it is empty" } else { fields::kind_of(&other) };
                let is = if other.is_null() { is.to_owned() } else { format!("this is {is}") };
                let message = format!("a manifest is a map with `id`, `name`, `inputs`, ...; {is}");
                return (None, Diagnostic::error(DiagnosticKind::WrongType, MANIFEST_FILE, message).into());
            }
            Err(problem) => return (None, problem.into()),
        };
        let lines = Lines::parse(text);
        let mut report = FileDiagnostics::new(MANIFEST_FILE, &lines);
        let manifest = Self::read(entry, folder, &mut report);
        let problems = report.finish();
        (Some(Self { lines, ..manifest }), problems)
    }

    fn read(entry: Map<String, Value>, folder: &str, report: &mut FileDiagnostics<'_>) -> Self {
        let id = read_id(&entry, folder, report);
        let kind = read_kind(&entry, report);
        let mut fields = Fields::new(&entry, String::new(), "", report);
        fields.warn_of_typos(&OUR_KEYS, &ALIASES);
        let name = fields.text("name").unwrap_or_else(|| id.clone());
        let (category, description) = (fields.text("category"), fields.text("description"));
        let version = fields.text_or_number("version");
        let inputs = fields.list("inputs").unwrap_or_default();
        let outputs = read_outputs(&mut fields);
        let required_models = read_names(&mut fields, "required_models");
        let required_nodes = read_names(&mut fields, "required_nodes");
        let requires_tags = read_names(&mut fields, "requires_tags");
        let workflow_file = fields.text("workflow_file").unwrap_or_else(|| "workflow.json".to_owned());
        let blocks_dir = fields.text("blocks_dir").unwrap_or_else(|| "blocks".to_owned());
        let pipeline = fields.list("pipeline").unwrap_or_default();
        let defaults = fields.map("defaults").cloned().unwrap_or_default();
        let computed = stage::read_computed(&mut fields);
        let lora_pairs = stage::read_pairs(&mut fields);
        let pipeline = match kind {
            WorkflowKind::Dynamic => {
                let mut stages = stage::read_all(pipeline, report);
                older_dialect::translate(&entry, pipeline, &mut stages, report);
                stages
            }
            WorkflowKind::Static => Vec::new(),
        };
        if kind == WorkflowKind::Dynamic && entry.get("pipeline").is_none_or(is_empty) {
            let message = "a dynamic workflow needs `pipeline`, a list of stages with `block` and `file`";
            report.error(DiagnosticKind::Stage, "/pipeline", message);
        }
        let mut inputs = input::read_all(inputs, "/inputs", report);
        for input in inputs.iter_mut().filter(|input| input.default.is_none()) {
            if let Some(default) = defaults.get(&input.id) {
                input.take_default(
                    default,
                    &format!("/defaults/{}", crate::lines::escape(&input.id)),
                    report,
                );
            }
        }
        Self {
            id,
            name,
            kind,
            category,
            description,
            version,
            inputs,
            outputs,
            required_models,
            required_nodes,
            requires_tags,
            workflow_file,
            blocks_dir,
            pipeline,
            defaults,
            computed,
            lora_pairs,
            presets: preset::from_json(entry.get("presets")),
            json: with_presets(with_type(entry, kind)),
            lines: Lines::default(),
        }
    }

    /// Returns the manifest as JSON for a form page: every key of the file in order, and `type` even if it is omitted.
    pub fn json(&self) -> &Map<String, Value> {
        &self.json
    }

    /// Adds presets of another file.
    pub(crate) fn add_presets(&mut self, added: IndexMap<String, Preset>) {
        if added.is_empty() {
            return;
        }
        let mut json = preset::to_json(&added);
        self.presets.extend(added);
        // Presets that are no map are an error already.
        if let (Some(Value::Object(known)), Value::Object(added)) = (self.json.get_mut("presets"), &mut json)
        {
            known.append(added);
        } else {
            self.json.insert("presets".to_owned(), json);
        }
    }

    /// Returns the input with this id.
    pub fn input(&self, id: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.id == id)
    }

    /// Returns the input that takes a file sent as a part of this name: the one with that id, or for `input_image` the
    /// first image input (if there is none, the first input that takes a file).
    pub fn file_input(&self, part: &str) -> Option<&Input> {
        let files = || self.inputs.iter().filter(|input| input.kind.is_file());
        let first = || files().find(|input| input.kind == InputKind::Image).or_else(|| files().next());
        files().find(|input| input.id == part).or_else(|| if part == "input_image" { first() } else { None })
    }

    /// Returns the first resolution input, which also takes the separate keys `width` and `height`.
    pub fn resolution_input(&self) -> Option<&Input> {
        self.inputs.iter().find(|input| input.kind == InputKind::ResolutionPicker)
    }

    /// Returns the first input that is a list of scenes.
    pub fn scene_input(&self) -> Option<&Input> {
        self.inputs.iter().find(|input| input.kind == InputKind::SceneList)
    }

    /// Returns an empty collection for this manifest's file, for checks that need more than the manifest.
    pub fn diagnostics(&self) -> FileDiagnostics<'_> {
        FileDiagnostics::new(MANIFEST_FILE, &self.lines)
    }
}

impl serde::Serialize for Manifest {
    /// See [`Manifest::json`].
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

/// Returns why this cannot be a workflow's id, or `None` if it can.
pub fn refuse_id(id: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if id.is_empty() || id == "." || id == ".." || !id.chars().all(legal) {
        Some(format!("{id:?} cannot be a workflow's id; use letters, digits, `.`, `_` and `-`"))
    } else if RESERVED_IDS.contains(&id) {
        Some(format!("\"{id}\" is a path of the API itself (/api/run/{id}); choose another id"))
    } else {
        None
    }
}

fn read_id(entry: &Map<String, Value>, folder: &str, report: &mut FileDiagnostics<'_>) -> String {
    let message = match entry.get("id") {
        Some(Value::String(id)) => match refuse_id(id) {
            Some(reason) => reason,
            None if id == folder => return id.clone(),
            None => format!("the id \"{id}\" is not the folder's name \"{folder}\"; make them equal"),
        },
        None | Some(Value::Null) => format!("`id` is missing; write `id: {folder}`, the folder's name"),
        Some(other) => {
            format!("`id` must be a string, this is {}; write `id: \"{folder}\"`", fields::kind_of(other))
        }
    };
    report.error(DiagnosticKind::WorkflowId, "/id", message);
    folder.to_owned()
}

fn read_kind(entry: &Map<String, Value>, report: &mut FileDiagnostics<'_>) -> WorkflowKind {
    match entry.get("type") {
        None | Some(Value::Null) => WorkflowKind::Static,
        Some(Value::String(kind)) if kind == "static" => WorkflowKind::Static,
        Some(Value::String(kind)) if kind == "dynamic" => WorkflowKind::Dynamic,
        Some(other) => {
            let message = format!("`type` must be `static` or `dynamic`, not {other}");
            report.error(DiagnosticKind::WrongType, "/type", message);
            WorkflowKind::Static
        }
    }
}

fn read_outputs(fields: &mut Fields<'_, '_, '_>) -> Vec<Output> {
    let mut outputs = Vec::new();
    for (index, output) in fields.list("outputs").unwrap_or_default().iter().enumerate() {
        let place = format!("outputs/{index}");
        let Value::Object(entry) = output else {
            let message = "an output is a map with `type`, and optionally `format` and `node_id`".to_owned();
            fields.error(DiagnosticKind::WrongType, &place, message);
            continue;
        };
        let mut fields = fields.inside(entry, &place);
        fields.warn_of_typos(&OUTPUT_KEYS, &[]);
        let (kind, format) = (fields.text("type"), fields.text("format"));
        let node = fields.node_id("node_id");
        let other = entry.iter().filter(|(key, _)| !OUTPUT_KEYS.contains(&key.as_str()));
        let other = other.map(|(key, value)| (key.clone(), value.clone())).collect();
        outputs.push(Output { kind, format, node, other });
    }
    outputs
}

/// Reads a list of names. Each is a string, or a map with the name at one of these keys. Empty entries are ignored.
fn read_names(fields: &mut Fields<'_, '_, '_>, key: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (index, entry) in fields.list(key).unwrap_or_default().iter().enumerate() {
        let named = || ["name", "filename", "file"].iter().find_map(|key| entry.get(key)?.as_str());
        match entry.as_str().or_else(named) {
            None if entry.is_null() => {}
            Some(name) if name.trim().is_empty() => {}
            Some(name) => names.push(name.to_owned()),
            None => {
                let message = format!("`{key}` lists names, or maps with `name`; this is {entry}");
                fields.error(DiagnosticKind::WrongType, &format!("{key}/{index}"), message);
            }
        }
    }
    names
}

/// Returns the manifest's keys, with each preset in the form that has a key `params`.
fn with_presets(mut entry: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(presets)) = entry.get_mut("presets") {
        let read = preset::from_json(Some(&Value::Object(presets.clone())));
        if let Value::Object(read) = preset::to_json(&read) {
            for (name, preset) in read {
                presets.insert(name, preset);
            }
        }
    }
    entry
}

/// Returns the manifest's keys, with `type` after `name` if it is omitted.
fn with_type(mut entry: Map<String, Value>, kind: WorkflowKind) -> Map<String, Value> {
    if entry.get("type").is_none_or(Value::is_null) {
        let position = |key: &str| entry.keys().position(|known| known == key).map(|position| position + 1);
        let after = position("name").or_else(|| position("id")).unwrap_or(0);
        entry.remove("type");
        entry.shift_insert(after.min(entry.len()), "type".to_owned(), kind.as_str().into());
    }
    entry
}
