//! Synthesized requests that try every alternative of a pipeline, before there is a real one.

use std::collections::{HashMap, HashSet};

use comfy_runner_manifest::diagnostic::cut;
use comfy_runner_manifest::{
    Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics, Input, InputKind, LoraInjection, MANIFEST_FILE,
    Params, Repeat, Severity, Uploads,
};
use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::stage_error::StageError;
use super::{DynamicWorkflow, Limits};
use crate::output_folder::OutputFolder;

/// The largest number of requests. With more alternatives, every pair of values is tried as far as this goes.
const MOST: usize = 512;

/// How many values of one name are tried at most.
const MOST_VALUES: usize = 16;

/// A synthesized request.
#[derive(Debug)]
pub(crate) struct Alternative {
    pub params: Params,
    /// Inputs whose values are synthesized: a model of such a name need not exist.
    pub synthesized: HashSet<String>,
    /// The differences from the defaults: `when "mode" is "fast"`. Empty if there are none.
    pub circumstances: String,
}

/// Values to try for one name; the first leaves the name out.
struct Axis {
    name: String,
    values: Vec<Option<Value>>,
}

/// The errors found by trying the alternatives.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Errors that occur whenever the stage is used: the workflow is broken.
    pub always: Diagnostics,
    /// Errors that occur for some requests only, with the condition.
    pub sometimes: Diagnostics,
}

/// The occurrences of one error.
struct Finding {
    /// The differences of the first request that had it.
    circumstances: String,
    /// How many requests had it.
    count: usize,
}

/// The requests that used a block in a stage.
struct Uses {
    /// The differences of the first of them.
    circumstances: String,
    /// How many there were.
    count: usize,
}

/// Tries every alternative.
pub(super) fn try_alternatives(workflow: &DynamicWorkflow) -> Findings {
    let folder = OutputFolder::new(OffsetDateTime::UNIX_EPOCH, 0);
    let mut found: IndexMap<StageError, Finding> = IndexMap::new();
    // The number of requests that reached each stage.
    let mut reached: HashMap<String, usize> = HashMap::new();
    let mut uses: HashMap<(usize, String), Uses> = HashMap::new();
    let alternatives = alternatives(workflow);
    for alternative in &alternatives {
        let built = workflow.build(&alternative.params, &folder, &Limits::default());
        let active = built.active.iter().map(|stage| workflow.stages[*stage].spec.block.as_str());
        let failed = built.problems.iter().map(|problem| problem.stage.as_str());
        for stage in active.chain(failed).collect::<HashSet<_>>() {
            *reached.entry(stage.to_owned()).or_default() += 1;
        }
        let blocks: HashSet<_> =
            built.origins.into_iter().map(|origin| (origin.stage, origin.file)).collect();
        for block in blocks {
            let first = || Uses { circumstances: alternative.circumstances.clone(), count: 0 };
            uses.entry(block).or_insert_with(first).count += 1;
        }
        for problem in
            built.problems.into_iter().filter(|problem| problem.kind != DiagnosticKind::Placeholder)
        {
            let finding = found
                .entry(problem)
                .or_insert_with(|| Finding { circumstances: alternative.circumstances.clone(), count: 0 });
            finding.count += 1;
        }
    }
    let mut findings = Findings::default();
    for names in &workflow.unknown_names {
        let uses = uses.get(&(names.stage, names.file.clone()));
        for problem in &names.in_nodes {
            findings.add_unknown_name(problem.clone(), uses, alternatives.len());
        }
    }
    for (problem, Finding { circumstances, count }) in found {
        if reached.get(&problem.stage) == Some(&count) {
            findings.always.push(workflow.located(&problem, ""));
        } else {
            findings.sometimes.push(workflow.located(&problem, &circumstances));
        }
    }
    findings
}

impl Findings {
    /// Adds an error of all requests that use a block: an error of the workflow if all `requests` do, an error of some
    /// requests if some do, and a warning if none does.
    fn add_unknown_name(&mut self, mut problem: Diagnostic, uses: Option<&Uses>, requests: usize) {
        let list = match uses {
            Some(uses) if uses.count == requests => &mut self.always,
            Some(uses) => {
                problem.message = format!("{} ({})", problem.message, uses.circumstances);
                &mut self.sometimes
            }
            None => {
                problem.severity = Severity::Warning;
                problem.message = format!("{} (no request was found that uses the block)", problem.message);
                &mut self.sometimes
            }
        };
        // Two stages may use one block.
        if !list.contains(&problem) {
            list.push(problem);
        }
    }
}

/// Returns requests that reach every alternative of the stages: the defaults first, then those that differ in one
/// value, in two, and so on.
pub(crate) fn alternatives(workflow: &DynamicWorkflow) -> Vec<Alternative> {
    let axes = axes(workflow);
    let (base, synthesized) = base(workflow);
    let mut alternatives = Vec::new();
    for choice in choices(&axes.iter().map(|axis| axis.values.len()).collect::<Vec<_>>()) {
        let (mut given, mut synthesized) = (base.clone(), synthesized.clone());
        let mut circumstances = Vec::new();
        for (axis, value) in axes.iter().zip(&choice) {
            if let Some(value) = &axis.values[*value] {
                circumstances.push(format!("\"{}\" is {}", axis.name, shown(value)));
                given.insert(axis.name.clone(), value.clone());
                synthesized.insert(axis.name.clone());
            }
        }
        // Values that the manifest itself refuses are not tried.
        let Ok(params) = Params::check(&workflow.manifest, &given, &Uploads::new(), &mut || 4711) else {
            continue;
        };
        let circumstances = if circumstances.is_empty() {
            String::new()
        } else {
            format!("when {}", circumstances.join(" and "))
        };
        alternatives.push(Alternative { params, synthesized, circumstances });
    }
    alternatives
}

/// Returns positions of values on axes of these lengths, those with the fewest differences from the first values first.
fn choices(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut choices = vec![vec![0; lengths.len()]];
    // Each round changes one more axis, to the right of those already changed.
    let mut round: Vec<(Vec<usize>, usize)> = vec![(choices[0].clone(), 0)];
    while !round.is_empty() && choices.len() < MOST {
        let mut next = Vec::new();
        for (choice, from) in &round {
            for axis in *from..lengths.len() {
                for value in 1..lengths[axis] {
                    if choices.len() + next.len() >= MOST {
                        break;
                    }
                    let mut changed = choice.clone();
                    changed[axis] = value;
                    next.push((changed, axis + 1));
                }
            }
        }
        choices.extend(next.iter().map(|(choice, _)| choice.clone()));
        round = next;
    }
    choices
}

/// Returns values for required inputs without a default, and their names.
fn base(workflow: &DynamicWorkflow) -> (Map<String, Value>, HashSet<String>) {
    let mut given = Map::new();
    for input in &workflow.manifest.inputs {
        if input.required
            && input.default.as_ref().is_none_or(|default| default.is_null() || default == "")
            && let Some(value) = example(input)
        {
            given.insert(input.id.clone(), value);
        }
    }
    let synthesized = given.keys().cloned().collect();
    (given, synthesized)
}

/// Returns a value that the input accepts.
fn example(input: &Input) -> Option<Value> {
    Some(match &input.kind {
        InputKind::Text | InputKind::Other(_) => {
            input.options.first().map_or_else(|| "x".into(), |choice| choice.value.clone())
        }
        InputKind::Int | InputKind::Float => {
            let option = input.options.first().map(|choice| choice.value.clone());
            option.or_else(|| input.min.clone().or(input.max.clone()).map(Value::Number)).unwrap_or(json!(1))
        }
        InputKind::Boolean => json!(true),
        InputKind::Select => input.options.first().map_or_else(|| "x".into(), |choice| choice.value.clone()),
        InputKind::Image | InputKind::Mask => json!("example.png"),
        InputKind::Video => json!("example.mp4"),
        InputKind::Audio => json!("example.wav"),
        InputKind::ThreeD => json!("3d/example.glb"),
        InputKind::CheckpointPicker | InputKind::VaePicker | InputKind::LoraPicker => {
            input.options.first().map_or_else(|| json!("example.safetensors"), |choice| choice.value.clone())
        }
        InputKind::LoraPickerDynamic => json!([{"file": "example.safetensors", "strength": 1.0}]),
        InputKind::ResolutionPicker => {
            let side = input.min.as_ref().and_then(serde_json::Number::as_u64).unwrap_or(512).max(64);
            input.options.first().map_or_else(|| json!({"w": side, "h": side}), |choice| choice.value.clone())
        }
        InputKind::SceneList => {
            let least = input.min.as_ref().and_then(serde_json::Number::as_u64).unwrap_or(1).clamp(1, 100);
            Value::Array(vec![example_scene(input, &Map::new()); usize::try_from(least).unwrap_or(1)])
        }
        // A seed is generated.
        _ => return None,
    })
}

/// Returns a scene whose required fields have values, with these values for these fields.
fn example_scene(input: &Input, fields: &Map<String, Value>) -> Value {
    let mut scene = Map::new();
    for field in input.per_scene.iter().filter(|field| field.required && field.default.is_none()) {
        if let Some(value) = example(field) {
            scene.insert(field.id.clone(), value);
        }
    }
    scene.extend(fields.clone());
    Value::Object(scene)
}

/// Returns the names on which the shape of the graph depends, each with values that make a difference.
fn axes(workflow: &DynamicWorkflow) -> Vec<Axis> {
    let manifest = &workflow.manifest;
    let mut names: IndexSet<String> = IndexSet::new();
    let mut literals: Vec<Value> = Vec::new();
    let mut counters: HashSet<&str> = HashSet::new();
    for stage in &workflow.stages {
        if let Some(condition) = &stage.condition {
            names.extend(condition.names().map(str::to_owned));
            literals.extend(condition.literals());
        }
        if let Some(switch) = &stage.spec.switch {
            names.insert(switch.param.clone());
            literals.extend(switch.cases.keys().map(|case| case.clone().into()));
        }
        match &stage.spec.repeat {
            Some(Repeat::Named(name)) => {
                names.insert(name.clone());
                counters.insert(name);
            }
            Some(Repeat::ExtraScenes) => {
                names.extend(workflow.manifest.scene_input().map(|input| input.id.clone()))
            }
            _ => {}
        }
        if stage.spec.scene_index.is_some() {
            names.extend(workflow.manifest.scene_input().map(|input| input.id.clone()));
        }
        if stage.spec.vae_override {
            names.insert("vae_override".to_owned());
        }
        if stage.spec.loras.is_some() {
            let is_lora =
                |kind: &InputKind| matches!(kind, InputKind::LoraPicker | InputKind::LoraPickerDynamic);
            names.extend(manifest.inputs.iter().filter(|i| is_lora(&i.kind)).map(|input| input.id.clone()));
        }
    }
    // A computed name depends on the names in its expression.
    for (name, expression) in workflow.computed.iter().rev() {
        if names.contains(name) {
            names.extend(expression.names().map(str::to_owned));
        }
    }
    let own_image = ["input_image", "has_input_image", "_uploaded_image", "_has_input_image"];
    if own_image.iter().any(|name| names.contains(*name)) {
        names.extend(manifest.file_input("input_image").map(|input| input.id.clone()));
    }
    let mut axes = Vec::new();
    for input in &manifest.inputs {
        let values = match &input.kind {
            InputKind::SceneList if names.contains(&input.id) || names_field(input, &names) => {
                scene_lists(input, &names, &literals)
            }
            _ if !names.contains(&input.id) => continue,
            _ => values(workflow, input, &literals, counters.contains(input.id.as_str())),
        };
        axes.push(axis(&input.id, values));
    }
    for (name, default) in &manifest.defaults {
        if names.contains(name) && manifest.input(name).is_none() {
            let values = match default {
                Value::Bool(_) => vec![json!(true), json!(false)],
                Value::Number(_) if counters.contains(name.as_str()) => vec![json!(1), json!(2)],
                Value::Number(_) => around(&literals),
                Value::String(_) => literals.iter().filter(|value| value.is_string()).cloned().collect(),
                _ => Vec::new(),
            };
            axes.push(axis(name, values.into_iter().filter(|value| value != default).collect()));
        }
    }
    axes
}

fn axis(name: &str, values: Vec<Value>) -> Axis {
    let values: IndexSet<String> = values.iter().map(Value::to_string).collect();
    let values = values.iter().take(MOST_VALUES).filter_map(|value| serde_json::from_str(value).ok());
    Axis { name: name.to_owned(), values: std::iter::once(None).chain(values.map(Some)).collect() }
}

fn names_field(input: &Input, names: &IndexSet<String>) -> bool {
    input.per_scene.iter().any(|field| names.contains(&field.id))
}

/// Returns values of an input that make a difference.
fn values(workflow: &DynamicWorkflow, input: &Input, literals: &[Value], counts: bool) -> Vec<Value> {
    let default = input.default.clone().unwrap_or(Value::Null);
    let mut values = match &input.kind {
        InputKind::Boolean => vec![json!(true), json!(false)],
        InputKind::Select => input.options.iter().map(|choice| choice.value.clone()).collect(),
        InputKind::Int | InputKind::Float if counts => vec![json!(1), json!(2), json!(3)],
        InputKind::Int | InputKind::Float => {
            let bounds = [&input.min, &input.max].into_iter().flatten().cloned().map(Value::Number);
            let mut values: Vec<Value> = bounds.collect();
            values.extend(around(literals));
            values
        }
        InputKind::LoraPicker => {
            let paired =
                |stage: &super::CompiledStage| matches!(stage.spec.loras, Some(LoraInjection::Paired { .. }));
            if workflow.stages.iter().any(paired) {
                let pair_id = workflow.manifest.lora_pairs.keys().next().map(|id| json!({"pair_id": id}));
                let own = json!([{"high": "example.safetensors", "low": "example.safetensors"}]);
                pair_id.into_iter().chain([own]).collect()
            } else {
                example(input).into_iter().collect()
            }
        }
        InputKind::Text | InputKind::Other(_) => {
            let mut values: Vec<Value> = literals.iter().filter(|value| value.is_string()).cloned().collect();
            values.push("x".into());
            values
        }
        InputKind::Seed | InputKind::ResolutionPicker => Vec::new(),
        _ => example(input).into_iter().collect(),
    };
    values.retain(|value| *value != default);
    values
}

/// Returns numbers on both sides of those that conditions compare with.
fn around(literals: &[Value]) -> Vec<Value> {
    let numbers = literals.iter().filter_map(Value::as_f64);
    let sides = numbers.flat_map(|number| [number - 1.0, number, number + 1.0]);
    sides
        .map(|number| if number.fract() == 0.0 { json!(number as i64) } else { json!(number) })
        .chain([json!(0), json!(1)])
        .collect()
}

/// Returns lists of zero to three scenes, and scenes whose fields make a difference.
fn scene_lists(input: &Input, names: &IndexSet<String>, literals: &[Value]) -> Vec<Value> {
    let plain = example_scene(input, &Map::new());
    let mut lists: Vec<Value> = (1..=3).map(|count| Value::Array(vec![plain.clone(); count])).collect();
    if !input.required {
        lists.push(json!([]));
    }
    for field in input.per_scene.iter().filter(|field| names.contains(&field.id)) {
        let values = match &field.kind {
            InputKind::Boolean => vec![json!(true), json!(false)],
            InputKind::Select => field.options.iter().map(|choice| choice.value.clone()).collect(),
            InputKind::Int | InputKind::Float => around(literals),
            InputKind::Text => literals.iter().filter(|value| value.is_string()).cloned().collect(),
            _ => example(field).into_iter().collect(),
        };
        for value in values {
            let other = example_scene(input, &[(field.id.clone(), value)].into_iter().collect());
            lists.push(json!([plain, other]));
            lists.push(json!([other, other]));
        }
    }
    lists
}

fn shown(value: &Value) -> String {
    if let Value::Array(list) = value {
        return format!("a list of {}", list.len());
    }
    cut(value.to_string(), 60)
}

impl DynamicWorkflow {
    /// Returns a stage's error as a diagnostic with its line.
    fn located(&self, problem: &StageError, circumstances: &str) -> Diagnostic {
        let mut message = match &problem.node {
            Some(_) => problem.to_string(),
            None => format!("stage \"{}\": {}", problem.stage, problem.reason),
        };
        if !circumstances.is_empty() {
            message = format!("{message} ({circumstances})");
        }
        let mut report = match self.blocks.get(&problem.file) {
            Some(block) => FileDiagnostics::new(&problem.file, &block.lines),
            None => self.manifest.diagnostics(),
        };
        report.error(problem.kind, &problem.pointer, message);
        let found = report.finish().into_iter().next();
        found.unwrap_or_else(|| Diagnostic::error(problem.kind, MANIFEST_FILE, problem.reason.clone()))
    }
}
