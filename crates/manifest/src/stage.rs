//! A stage of a dynamic workflow's pipeline, as its manifest writes it.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::diagnostic::{DiagnosticKind, FileDiagnostics};
use crate::fields::{self, Fields};

/// One stage: a block, whether and how often it is used, and what the request injects into it.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Stage {
    /// The block's name; node ids in the graph begin with it.
    pub block: String,
    /// The block's file, relative to `blocks_dir`. A [`Switch`] may pick another.
    pub file: Option<String>,
    /// The expression that must be true for the stage to be used.
    pub condition: Option<String>,
    /// Selects the file by a value of the request.
    pub switch: Option<Switch>,
    /// How often the block is used; once if absent.
    pub repeat: Option<Repeat>,
    /// False ends the repetition of the stages before it.
    pub in_repeat: Option<bool>,
    /// The scene, from 0, whose fields a stage outside a repetition takes.
    pub scene_index: Option<usize>,
    /// Export by import: what an instance takes from the one before it.
    pub chain_imports: IndexMap<String, String>,
    /// The sources of imports that are not the latest export of their own name, from the manifest's `connections`.
    pub connections: IndexMap<String, Connection>,
    /// Where the caller's LoRAs go.
    pub loras: Option<LoraInjection>,
    /// Whether the caller's `vae_override` replaces the block's `vae` export.
    pub vae_override: bool,
    /// The models that the stage needs.
    pub models: StageModels,
}

/// Selects a stage's file by a value of the request.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Switch {
    /// The name whose value is compared.
    pub param: String,
    /// The file by value; a value without a file skips the stage.
    pub cases: IndexMap<String, Option<String>>,
    /// The case to use when the name has no value, or a value without a case. Without one, or if there is no such case,
    /// the stage has its plain file or is skipped.
    pub default: Option<String>,
}

/// The export that an import is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where the export comes from.
    pub source: ConnectionSource,
    /// The name of the export.
    pub export: String,
}

/// The source of an export that an import is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionSource {
    /// The stage of this name.
    Stage(String),
    /// The latest stage that exports it.
    Latest,
    /// The instance before this one, as in `chain_imports`.
    Previous,
}

/// How often a stage's block is in the graph.
#[derive(Debug, Clone, PartialEq)]
pub enum Repeat {
    /// A fixed number of times.
    Count(u64),
    /// As given by the parameter of this name: a count, or a list with one instance for each element.
    Named(String),
    /// Once for each scene after the first.
    ExtraScenes,
}

/// How the LoRAs that a caller selects are loaded.
#[derive(Debug, Clone, PartialEq)]
pub enum LoraInjection {
    /// Loader nodes, one after another, behind the block's `model` and `clip` exports.
    Chain,
    /// Numbered slots of two loader nodes that the block has, for a high-noise and a low-noise model.
    Paired {
        /// Local ids of the nodes for the high-noise and the low-noise model.
        nodes: [String; 2],
        /// The number of the first slot to fill.
        start_slot: u64,
    },
}

/// The models that a stage needs.
#[derive(Debug, Clone, PartialEq)]
pub enum StageModels {
    /// Whenever the stage is used.
    Always(Vec<String>),
    /// By the value of the stage's [`Switch`].
    ByCase(IndexMap<String, Vec<String>>),
}

/// Two LoRAs that are used together, an entry of `lora_pairs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoraPair {
    /// The file for the high-noise model.
    pub high: Option<String>,
    /// The file for the low-noise model.
    pub low: Option<String>,
    /// The file for a model that has no file of its own.
    pub both: Option<String>,
}

impl Default for StageModels {
    fn default() -> Self {
        Self::Always(Vec::new())
    }
}

impl StageModels {
    /// Returns every model that the stage may need, for any request.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let (always, by_case) = match self {
            Self::Always(models) => (Some(models), None),
            Self::ByCase(cases) => (None, Some(cases.values())),
        };
        always.into_iter().chain(by_case.into_iter().flatten()).flatten().map(String::as_str)
    }
}

/// The known keys of a stage.
const OUR_KEYS: [&str; 17] = [
    "block",
    "file",
    "condition",
    "switch",
    "cases",
    "default",
    "repeat",
    "repeat_variable",
    "in_repeat",
    "scene_index",
    "chain",
    "chain_imports",
    "lora_injection",
    "lora_nodes",
    "lora_start_slot",
    "vae_override",
    "models",
];

/// The first slot that `lora_injection: paired` fills: packs have LoRAs of their own in the two before it.
const FIRST_FREE_SLOT: u64 = 3;

/// The nodes that `lora_injection: paired` fills, where a stage names none.
const PAIRED_NODES: [&str; 2] = ["lora_high", "lora_low"];

/// Words that people write for a key of a stage.
const ALIASES: [(&str, &str); 2] = [("if", "condition"), ("when", "condition")];

/// Reads a pipeline.
pub(crate) fn read_all(list: &[Value], report: &mut FileDiagnostics<'_>) -> Vec<Stage> {
    let mut stages: Vec<Stage> = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let pointer = format!("/pipeline/{index}");
        let Value::Object(entry) = value else {
            let message = format!(
                "stage {} is a map with `block` and `file`, this is {}",
                index + 1,
                fields::kind_of(value)
            );
            report.error(DiagnosticKind::WrongType, &pointer, message);
            continue;
        };
        let Some(stage) = Stage::read(entry, index, &pointer, report) else { continue };
        stages.push(stage);
    }
    stages
}

impl Stage {
    fn read(
        entry: &Map<String, Value>,
        index: usize,
        pointer: &str,
        report: &mut FileDiagnostics<'_>,
    ) -> Option<Self> {
        let mut fields = Fields::new(entry, format!("stage {}: ", index + 1), pointer, report);
        let block = fields.text("block").filter(|block| !block.trim().is_empty());
        let Some(block) = block else {
            let message = "`block` is missing; it names the stage, and node ids begin with it".to_owned();
            fields.error(DiagnosticKind::Stage, "block", message);
            return None;
        };
        if block.contains("{{") {
            let message = format!("`block` must be a plain name; \"{block}\" contains a placeholder");
            fields.error(DiagnosticKind::Stage, "block", message);
        }
        let mut fields = Fields::new(entry, format!("stage \"{block}\": "), pointer, report);
        let file = fields.text("file").filter(|file| !file.is_empty());
        let switch = read_switch(&mut fields);
        if file.is_none() && switch.is_none() {
            let message = "`file` is missing: a block's file in `blocks_dir`, or `switch` and `cases`";
            fields.error(DiagnosticKind::Stage, "file", message.to_owned());
        }
        let condition = read_expression(&mut fields, "condition").filter(|text| !text.trim().is_empty());
        let repeat = read_repeat(&mut fields);
        let in_repeat = fields.boolean("in_repeat");
        let scene_index =
            read_count(&mut fields, "scene_index").and_then(|index| usize::try_from(index).ok());
        if scene_index.is_some() && repeat.is_some() {
            let message =
                "`scene_index` is for a single stage; a repetition has the fields of each scene in turn";
            fields.error(DiagnosticKind::Stage, "scene_index", message.to_owned());
        }
        let chain_imports = read_chain(&mut fields);
        let loras = read_loras(&mut fields);
        let vae_override = fields.boolean("vae_override").unwrap_or(false);
        let models = read_models(&mut fields);
        fields.warn_of_typos(&OUR_KEYS, &ALIASES);
        Some(Self {
            block,
            file,
            condition,
            switch,
            repeat,
            in_repeat,
            scene_index,
            chain_imports,
            connections: IndexMap::new(),
            loras,
            vae_override,
            models,
        })
    }
}

/// Reads expressions by name. Each is a string or a plain value.
pub(crate) fn read_computed(fields: &mut Fields<'_, '_, '_>) -> IndexMap<String, String> {
    let Some(computed) = fields.map("computed") else { return IndexMap::new() };
    let mut expressions = IndexMap::with_capacity(computed.len());
    let mut fields = fields.inside(computed, "computed");
    for name in computed.keys() {
        if let Some(text) = read_expression(&mut fields, name) {
            expressions.insert(name.clone(), text);
        }
    }
    expressions
}

/// Reads `lora_pairs`: LoRAs that are used together, by id.
pub(crate) fn read_pairs(fields: &mut Fields<'_, '_, '_>) -> IndexMap<String, LoraPair> {
    let Some(pairs) = fields.map("lora_pairs") else { return IndexMap::new() };
    read_pair_map(&mut fields.inside(pairs, "lora_pairs"))
}

/// Reads LoRA pairs from a map by their ids.
pub(crate) fn read_pair_map(fields: &mut Fields<'_, '_, '_>) -> IndexMap<String, LoraPair> {
    let mut read = IndexMap::with_capacity(fields.entry.len());
    for (id, pair) in fields.entry {
        let place = crate::lines::escape(id);
        let Value::Object(entry) = pair else {
            let message =
                format!("the LoRA pair \"{id}\" is a map of `high` and `low`, or `both`; this is {pair}");
            fields.error(DiagnosticKind::WrongType, &place, message);
            continue;
        };
        let mut fields = fields.inside(entry, &place);
        let (high, low, both) = (fields.text("high"), fields.text("low"), fields.text("both"));
        if both.is_none() && high.is_none() && low.is_none() {
            let message =
                format!("the LoRA pair \"{id}\" names no file; give it `high` and `low`, or `both`");
            fields.error(DiagnosticKind::Stage, "", message);
        }
        read.insert(id.clone(), LoraPair { high, low, both });
    }
    read
}

/// Reads an expression: a string, or an unquoted number or boolean.
fn read_expression(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<String> {
    match fields.entry.get(key)? {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => fields.text(key),
    }
}

fn read_count(fields: &mut Fields<'_, '_, '_>, key: &str) -> Option<u64> {
    let number = fields.number(key)?;
    if number.as_u64().is_none() {
        let message = format!("`{key}` must be a whole number from 0, not {number}");
        fields.error(DiagnosticKind::Stage, key, message);
    }
    number.as_u64()
}

fn read_switch(fields: &mut Fields<'_, '_, '_>) -> Option<Switch> {
    let param = fields.text("switch")?;
    let Some(entries) = fields.map("cases") else {
        let message = format!("`switch: {param}` needs `cases`, a map from value to file");
        fields.error(DiagnosticKind::Stage, "switch", message);
        return None;
    };
    let mut cases = IndexMap::with_capacity(entries.len());
    for (value, file) in entries {
        let file = match file {
            Value::Null | Value::Bool(false) => None,
            Value::String(file) => Some(file.clone()).filter(|file| !file.is_empty()),
            other => {
                let message = format!(
                    "the case \"{value}\" must be a block's file, or empty to skip the stage, not {other}"
                );
                let place = format!("cases/{}", crate::lines::escape(value));
                fields.error(DiagnosticKind::WrongType, &place, message);
                continue;
            }
        };
        cases.insert(value.clone(), file);
    }
    let default = match fields.entry.get("default") {
        None | Some(Value::Null) => None,
        Some(value) => Some(fields::plain(value)),
    };
    if let Some(value) = default.as_ref().filter(|value| !cases.contains_key(*value)) {
        let message = format!(
            "`default: {value}` is not one of the cases, so a value that is none of them skips the stage; write \
             `{value}: ` without a file if that is meant"
        );
        fields.warning(DiagnosticKind::Stage, "default", &message);
    }
    Some(Switch { param, cases, default })
}

fn read_repeat(fields: &mut Fields<'_, '_, '_>) -> Option<Repeat> {
    let variable = fields.text("repeat_variable");
    let repeat = match fields.entry.get("repeat") {
        None | Some(Value::Null | Value::Bool(false)) if variable.is_none() => return None,
        None | Some(Value::Null | Value::Bool(_)) => variable.clone().map(Value::from),
        // One is the default of `repeat`, which `repeat_variable` overrides.
        Some(Value::Number(one)) if one.as_u64() == Some(1) && variable.is_some() => {
            variable.clone().map(Value::from)
        }
        Some(value) => Some(value.clone()),
    };
    match repeat {
        Some(Value::Number(number)) if number.as_u64().is_some() => number.as_u64().map(Repeat::Count),
        Some(Value::String(name)) if name == "extra_scenes" => Some(Repeat::ExtraScenes),
        Some(Value::String(name)) if !name.trim().is_empty() => {
            let name = name.trim();
            let name =
                name.strip_prefix("{{").and_then(|name| name.strip_suffix("}}")).unwrap_or(name).trim();
            Some(name.parse().map_or_else(|_| Repeat::Named(name.to_owned()), Repeat::Count))
        }
        other => {
            let shown = other.map_or_else(|| "true".to_owned(), |value| value.to_string());
            let message = format!(
                "`repeat` must be a whole number from 0, or the name of a parameter that is a count or a list, not {shown}"
            );
            fields.error(DiagnosticKind::Stage, "repeat", message);
            None
        }
    }
}

fn read_chain(fields: &mut Fields<'_, '_, '_>) -> IndexMap<String, String> {
    let chain = fields.boolean("chain");
    let mut imports = IndexMap::new();
    for (import, export) in fields.map("chain_imports").into_iter().flatten() {
        match export {
            Value::String(export) => {
                imports.insert(import.clone(), export.clone());
            }
            other => {
                let message =
                    format!("`chain_imports` maps an import to the name of an export, not to {other}");
                let place = format!("chain_imports/{}", crate::lines::escape(import));
                fields.error(DiagnosticKind::WrongType, &place, message);
            }
        }
    }
    if chain == Some(true) && imports.is_empty() {
        let message = "`chain` needs `chain_imports: {import: export}`, or nothing is chained";
        fields.warning(DiagnosticKind::Stage, "chain", message);
    }
    if chain == Some(false) { IndexMap::new() } else { imports }
}

fn read_loras(fields: &mut Fields<'_, '_, '_>) -> Option<LoraInjection> {
    match fields.entry.get("lora_injection")? {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some(LoraInjection::Chain),
        Value::String(kind) if kind == "chain" => Some(LoraInjection::Chain),
        Value::String(kind) if kind == "paired" => {
            let start_slot = read_count(fields, "lora_start_slot").unwrap_or(FIRST_FREE_SLOT);
            let ids = match fields.list("lora_nodes") {
                Some(ids) => ids.iter().map(fields::plain).collect(),
                None => PAIRED_NODES.map(str::to_owned).to_vec(),
            };
            match <[String; 2]>::try_from(ids) {
                Ok(nodes) => Some(LoraInjection::Paired { nodes, start_slot }),
                Err(_) => {
                    let message = "`lora_nodes: [a, b]` are the two loader nodes of the block: for the high-noise model \
                                   and for the low-noise one";
                    fields.error(DiagnosticKind::Stage, "lora_nodes", message.to_owned());
                    None
                }
            }
        }
        other => {
            let message = format!("`lora_injection` must be true, \"chain\" or \"paired\", not {other}");
            fields.error(DiagnosticKind::Stage, "lora_injection", message);
            None
        }
    }
}

fn read_models(fields: &mut Fields<'_, '_, '_>) -> StageModels {
    let mut by_case = IndexMap::new();
    match fields.entry.get("models") {
        None | Some(Value::Null) => return StageModels::default(),
        Some(Value::Object(cases)) => {
            for (case, models) in cases {
                let place = format!("models/{}", crate::lines::escape(case));
                by_case.insert(case.clone(), read_names(fields, &place, models));
            }
        }
        Some(models) => return StageModels::Always(read_names(fields, "models", models)),
    }
    StageModels::ByCase(by_case)
}

/// Reads names of models: one, or a list. Each is a string, or a map with the name at one of these keys. Empty entries
/// are ignored.
fn read_names(fields: &mut Fields<'_, '_, '_>, place: &str, value: &Value) -> Vec<String> {
    let single = std::slice::from_ref(value);
    let entries = match value {
        Value::Null => &[],
        Value::Array(list) => list.as_slice(),
        _ => single,
    };
    let mut names = Vec::with_capacity(entries.len());
    for entry in entries {
        let named = || ["name", "filename", "file"].iter().find_map(|key| entry.get(key)?.as_str());
        match entry.as_str().or_else(named) {
            None if entry.is_null() => {}
            Some(name) if name.trim().is_empty() => {}
            Some(name) => names.push(name.to_owned()),
            None => {
                let message = format!("`models` lists file names, or maps with `name`; this is {entry}");
                fields.error(DiagnosticKind::WrongType, place, message);
            }
        }
    }
    names
}
