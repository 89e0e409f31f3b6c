//! Compiles a manifest and its block files to a pipeline, and makes all checks that need no request.

use std::collections::HashMap;

use comfy_runner_manifest::nearest::did_you_mean;
use comfy_runner_manifest::{
    Compiled, Connection, ConnectionSource, Diagnostic, DiagnosticKind, Diagnostics, FileDiagnostics,
    InputKind, LoraInjection, Manifest, Repeat, Stage,
};
use indexmap::{IndexMap, IndexSet};
use serde_json::Value;

use super::alternatives::{Findings, try_alternatives};
use super::block::Block;
use super::{CompiledStage, DynamicWorkflow, Limits, Step};
use crate::template::{Condition, Names, Variables, compile_computed};

impl DynamicWorkflow {
    /// Compiles a manifest and its blocks. `read` returns a block file by its path in the workflow's folder.
    pub(crate) fn new(
        manifest: Manifest,
        read: &mut dyn FnMut(&str) -> Result<String, Diagnostic>,
    ) -> Result<Compiled<Self>, Diagnostics> {
        if manifest.pipeline.is_empty() {
            let mut report = manifest.diagnostics();
            let message = "the manifest has no `pipeline`, or is not of `type: dynamic`";
            report.error(DiagnosticKind::Stage, "/type", message);
            return Err(report.finish());
        }
        let mut problems = Diagnostics::new();
        let blocks = read_blocks(&manifest, read, &mut problems);
        let names = Names::from_manifest(&manifest);
        let steps = steps(&manifest.pipeline);
        let mut report = manifest.diagnostics();
        let computed = compile_computed(&manifest, &Names::from_all_stages(&manifest), &mut report);
        let mut stages = Vec::with_capacity(manifest.pipeline.len());
        let mut unknown_names = Vec::new();
        for (index, spec) in manifest.pipeline.iter().enumerate() {
            let names = stage_names(&manifest, &names, &steps, index);
            let mut check =
                StageCheck { manifest: &manifest, names: &names, index, spec, report: &mut report };
            check.name();
            let condition = check.condition();
            check.switch();
            check.repeat();
            for file in files(spec) {
                if let Some(block) = blocks.get(&path(&manifest, file)) {
                    check.block(block);
                    unknown_names.push(UnknownNames::new(index, spec, block, &names));
                }
            }
            stages.push(CompiledStage { spec: spec.clone(), condition });
        }
        check_connections(&manifest, &blocks, &mut report);
        check_outputs(&manifest, &mut report);
        let mut found = report.finish();
        found.extend(problems);
        // Errors in a block that two stages use are reported once.
        let in_variables: IndexSet<_> =
            unknown_names.iter_mut().flat_map(|names| std::mem::take(&mut names.in_variables)).collect();
        if found.iter().any(Diagnostic::is_error) {
            let in_nodes: IndexSet<_> = unknown_names.into_iter().flat_map(|names| names.in_nodes).collect();
            found.extend(in_nodes);
            found.extend(in_variables);
            return Err(found);
        }
        found.extend(in_variables);
        let workflow = Self { manifest, blocks, stages, steps, computed, unknown_names };
        let Findings { always, sometimes } = try_alternatives(&workflow);
        let broken = !always.is_empty();
        found.extend(always);
        // Errors for some requests only: such requests are refused with the same message, others work.
        found.extend(sometimes);
        if broken {
            return Err(found);
        }
        Ok(Compiled { workflow, warnings: found })
    }

    /// Returns the errors in the blocks themselves, independent of the manifest.
    pub(crate) fn inspect(
        manifest: &Manifest,
        read: &mut dyn FnMut(&str) -> Result<String, Diagnostic>,
    ) -> Diagnostics {
        let mut problems = Diagnostics::new();
        read_blocks(manifest, read, &mut problems);
        problems
    }

    /// Returns why a place in a block's nodes has no value in this stage, if nothing provides a name that it uses.
    pub(super) fn unknown_name(&self, stage: usize, file: &str, pointer: &str) -> Option<&str> {
        let of_block = self.unknown_names.iter().find(|names| names.stage == stage && names.file == file)?;
        of_block.places.get(pointer).map(String::as_str)
    }

    /// Returns the block of this file in `blocks_dir`.
    pub(super) fn block(&self, file: &str) -> Option<&Block> {
        self.blocks.get(&path(&self.manifest, file))
    }
}

/// Returns the path of a block's file, relative to the workflow's folder.
fn path(manifest: &Manifest, file: &str) -> String {
    match manifest.blocks_dir.trim_end_matches('/') {
        "" | "." => file.to_owned(),
        dir => format!("{dir}/{file}"),
    }
}

/// Returns every file that a stage may use.
fn files(spec: &Stage) -> IndexSet<&str> {
    let cases = spec.switch.iter().flat_map(|switch| switch.cases.values().flatten());
    spec.file.iter().chain(cases).map(String::as_str).collect()
}

fn read_blocks(
    manifest: &Manifest,
    read: &mut dyn FnMut(&str) -> Result<String, Diagnostic>,
    problems: &mut Diagnostics,
) -> IndexMap<String, Block> {
    let mut blocks = IndexMap::new();
    let mut seen = IndexSet::new();
    let names = Names::from_all_stages(manifest);
    for (index, spec) in manifest.pipeline.iter().enumerate() {
        for file in files(spec) {
            let path = path(manifest, file);
            if !seen.insert(path.clone()) {
                continue;
            }
            let text = match read(&path) {
                Ok(text) => text,
                Err(problem) => {
                    let mut report = manifest.diagnostics();
                    let message = format!(
                        "stage \"{}\": the block file {path} cannot be used: {}",
                        spec.block, problem.message
                    );
                    report.error(problem.kind, &format!("/pipeline/{index}"), message);
                    problems.extend(report.finish());
                    continue;
                }
            };
            let (block, found) = Block::parse(&text, &path, &names);
            problems.extend(found);
            blocks.extend(block.map(|block| (path, block)));
        }
    }
    blocks
}

/// Groups the stages: a stage that repeats includes those after it, up to one that leaves the group or repeats itself.
fn steps(pipeline: &[Stage]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, stage) in pipeline.iter().enumerate() {
        let leaves = stage.in_repeat == Some(false) || stage.scene_index.is_some();
        match (&stage.repeat, steps.last_mut()) {
            (Some(repeat), _) => {
                steps.push(Step::Repetition { repeat: repeat.clone(), stages: vec![index] });
            }
            (None, Some(Step::Repetition { stages, .. })) if !leaves => stages.push(index),
            (None, _) => steps.push(Step::Single(index)),
        }
    }
    steps
}

/// Returns the names that are visible to the stage at this position.
fn stage_names(manifest: &Manifest, names: &Names, steps: &[Step], index: usize) -> Names {
    let repeat = steps.iter().find_map(|step| match step {
        Step::Repetition { repeat, stages } if stages.contains(&index) => Some(repeat),
        _ => None,
    });
    match repeat {
        Some(repeat) => names.within(manifest, repeat),
        None if manifest.pipeline[index].scene_index.is_some() => {
            names.within(manifest, &Repeat::ExtraScenes)
        }
        None => names.clone(),
    }
}

/// The names in a block that nothing provides to a stage.
#[derive(Debug)]
pub(super) struct UnknownNames {
    /// The position of the stage.
    pub stage: usize,
    /// The block's file.
    pub file: String,
    /// The places in the block's nodes that have one, by JSON pointer, and why it is an error.
    pub places: HashMap<String, String>,
    /// The same as errors of the file. A request that uses the block is refused.
    pub in_nodes: Diagnostics,
    /// Those that only the block's `variables` list.
    in_variables: Diagnostics,
}

impl UnknownNames {
    fn new(stage: usize, spec: &Stage, block: &Block, names: &Names) -> Self {
        let mut report = FileDiagnostics::new(&block.file, &block.lines);
        let mut places = HashMap::new();
        for (expression, node, input, at) in block.expressions() {
            for name in expression.names().filter(|name| !names.knows(name)) {
                let place = input.map_or_else(|| "title".to_owned(), |input| format!("input `{input}`"));
                let hint = if block.imports.iter().any(|import| import == name) {
                    format!(" \"{name}\" is an import: a reference stands alone, as \"{{{{{name}}}}}\".")
                } else {
                    names.hint(name)
                };
                let reason = format!(
                    "nothing provides `{name}` to stage \"{}\"; add an input or a key of `defaults` to the manifest.{hint}",
                    spec.block
                );
                report.error(DiagnosticKind::Expression, &at, format!("node \"{node}\", {place}: {reason}"));
                places.entry(at.clone()).or_insert(reason);
            }
        }
        let in_nodes = report.finish();
        let mut report = FileDiagnostics::new(&block.file, &block.lines);
        let used: IndexSet<&str> =
            block.expressions().iter().flat_map(|(expression, ..)| expression.names()).collect();
        for (index, name) in block.variables.iter().enumerate() {
            if !names.knows(name) && !used.contains(name.as_str()) {
                let message =
                    format!("`variables` names `{name}`, which nothing provides to stage \"{}\"", spec.block);
                report.warning(DiagnosticKind::Expression, &format!("/variables/{index}"), message);
            }
        }
        Self { stage, file: block.file.clone(), places, in_nodes, in_variables: report.finish() }
    }
}

/// Checks one stage's part of the manifest.
struct StageCheck<'c, 'l> {
    manifest: &'c Manifest,
    names: &'c Names,
    index: usize,
    spec: &'c Stage,
    report: &'c mut FileDiagnostics<'l>,
}

impl StageCheck<'_, '_> {
    fn error(&mut self, kind: DiagnosticKind, key: &str, message: &str) {
        let message = format!("stage \"{}\": {message}", self.spec.block);
        self.report.error(kind, &format!("/pipeline/{}/{key}", self.index), message);
    }

    fn warning(&mut self, kind: DiagnosticKind, key: &str, message: &str) {
        let message = format!("stage \"{}\": {message}", self.spec.block);
        self.report.warning(kind, &format!("/pipeline/{}/{key}", self.index), message);
    }

    fn name(&mut self) {
        let same = |stage: &Stage| stage.block == self.spec.block;
        if let Some(earlier) = self.manifest.pipeline[..self.index].iter().position(same) {
            let message = format!(
                "stage {} of the pipeline has this name already; node ids begin with it, so give one another name",
                earlier + 1
            );
            self.error(DiagnosticKind::Stage, "block", &message);
        }
    }

    fn condition(&mut self) -> Option<Condition> {
        let source = self.spec.condition.as_ref()?;
        let condition = match Condition::parse(source, self.names) {
            Ok(condition) => condition,
            Err(error) => {
                self.error(DiagnosticKind::Expression, "condition", &format!("`condition`: {error}"));
                return None;
            }
        };
        self.unknown_names(&condition);
        if condition.doubtful_names().is_empty() {
            self.text_of_no_option(&condition);
        } else {
            self.doubtful_text(&condition);
        }
        Some(condition)
    }

    /// Warns of names that nothing provides, and says what the condition is without them.
    fn unknown_names(&mut self, condition: &Condition) {
        let names: Vec<&str> = condition.names().filter(|name| !self.names.knows(name)).collect();
        let effect = if names.len() == condition.names().count() {
            match condition.holds(&Variables::new()) {
                Ok(true) => "so it is always true",
                Ok(false) => "so it is always false",
                Err(_) => "so it has no value",
            }
        } else {
            "so that name has no value"
        };
        for name in names {
            let hint = self.names.hint(name);
            let message = format!("`condition`: nothing provides `{name}`, {effect}.{hint}");
            self.warning(DiagnosticKind::Expression, "condition", &message);
        }
    }

    /// Warns of what is compared as a text, but would be an expression if its names were known.
    fn doubtful_text(&mut self, condition: &Condition) {
        let Some((_, text)) = condition.compared_text() else { return };
        for name in condition.doubtful_names() {
            let hint = self.names.hint(name);
            let message =
                format!("`condition`: nothing provides `{name}`, so \"{text}\" is compared as a text.{hint}");
            self.warning(DiagnosticKind::Expression, "condition", &message);
        }
    }

    /// Warns of a comparison with a text that is none of the name's options. Nothing and `none` stand for no value.
    fn text_of_no_option(&mut self, condition: &Condition) {
        let Some((name, text)) = condition.compared_text() else { return };
        let options = self.names.options(name);
        let default = self.manifest.input(name).and_then(|input| input.default.as_ref());
        let is_default = default.and_then(Value::as_str) == Some(text);
        let no_value = text.is_empty() || text.eq_ignore_ascii_case("none");
        if options.is_empty() || is_default || no_value || options.iter().any(|option| option == text) {
            return;
        }
        let hint = did_you_mean(text, options.iter().map(String::as_str));
        let message = format!("`condition`: \"{text}\" is not one of the options of \"{name}\".{hint}");
        self.warning(DiagnosticKind::Expression, "condition", &message);
    }

    fn switch(&mut self) {
        let Some(switch) = &self.spec.switch else { return };
        if !self.names.knows(&switch.param) {
            let hint = self.names.hint(&switch.param);
            let message = format!("`switch`: nothing provides `{}`.{hint}", switch.param);
            self.error(DiagnosticKind::Expression, "switch", &message);
        }
    }

    fn repeat(&mut self) {
        let limit = Limits::default().instances;
        match &self.spec.repeat {
            None => {}
            Some(Repeat::Count(count)) if *count > limit as u64 => {
                let message = format!("`repeat: {count}` is more than {limit}, which is the limit");
                self.error(DiagnosticKind::Limit, "repeat", &message);
            }
            Some(Repeat::Count(_)) => {}
            Some(Repeat::ExtraScenes) => self.scenes("repeat"),
            Some(Repeat::Named(name)) => self.counter(name),
        }
        if self.spec.scene_index.is_some() {
            self.scenes("scene_index");
        }
    }

    fn scenes(&mut self, key: &str) {
        if self.manifest.scene_input().is_none() && !self.manifest.defaults.contains_key("scenes") {
            let message = format!("`{key}` needs scenes: add an input of type `scene_list` to the manifest");
            self.error(DiagnosticKind::Stage, key, &message);
        }
    }

    /// Checks that the name in `repeat` is a count or a list.
    fn counter(&mut self, name: &str) {
        let reason = match self.manifest.input(name) {
            Some(input) => match &input.kind {
                InputKind::Int
                | InputKind::Seed
                | InputKind::Select
                | InputKind::SceneList
                | InputKind::LoraPicker
                | InputKind::LoraPickerDynamic
                | InputKind::Other(_) => return,
                kind => format!("the input is of type `{kind}`, which is neither a count nor a list"),
            },
            None => match self.manifest.defaults.get(name) {
                Some(value) if value.is_array() || value.is_u64() => return,
                Some(value) => format!("its default {value} is neither a count nor a list"),
                None if self.manifest.computed.contains_key(name) => return,
                None => format!("nothing provides it.{}", self.names.hint(name)),
            },
        };
        self.error(DiagnosticKind::Stage, "repeat", &format!("`repeat: {name}`: {reason}"));
    }

    /// Checks the stage's options against a block that it may use.
    fn block(&mut self, block: &Block) {
        let imports: Vec<&String> = self.spec.chain_imports.keys().collect();
        for import in imports.into_iter().filter(|import| !block.imports.contains(import)) {
            let hint = did_you_mean(import, block.imports.iter().map(String::as_str));
            let message = format!("`chain_imports`: {} has no import \"{import}\".{hint}", block.file);
            self.error(DiagnosticKind::Import, "chain_imports", &message);
        }
        match &self.spec.loras {
            Some(LoraInjection::Chain) if !block.exports.contains_key("model") => {
                let message = format!("`lora_injection`: {} does not export `model`", block.file);
                self.error(DiagnosticKind::Stage, "lora_injection", &message);
            }
            Some(LoraInjection::Paired { nodes, .. }) => {
                for node in nodes.iter().filter(|node| !block.nodes.contains_key(*node)) {
                    let hint = did_you_mean(node, block.nodes.keys().map(String::as_str));
                    let message = format!("`lora_nodes`: {} has no node \"{node}\".{hint}", block.file);
                    self.error(DiagnosticKind::Stage, "lora_nodes", &message);
                }
            }
            _ => {}
        }
        if self.spec.vae_override && !block.exports.contains_key("vae") {
            let message = format!("`vae_override`: {} does not export `vae`", block.file);
            self.error(DiagnosticKind::Stage, "vae_override", &message);
        }
    }
}

/// Checks that the stages that `connections` names export what it says.
fn check_connections(
    manifest: &Manifest,
    blocks: &IndexMap<String, Block>,
    report: &mut FileDiagnostics<'_>,
) {
    let connections = manifest.pipeline.iter().flat_map(|stage| stage.connections.values());
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for Connection { source, export } in connections {
        let ConnectionSource::Stage(source) = source else { continue };
        if seen.contains(&(source, export)) {
            continue;
        }
        seen.push((source, export));
        let stage = manifest.pipeline.iter().find(|stage| stage.block == *source);
        let of_stage = stage.into_iter().flat_map(files).filter_map(|file| blocks.get(&path(manifest, file)));
        let exports: Vec<&String> = of_stage.flat_map(|block| block.exports.keys()).collect();
        if !exports.contains(&export) {
            let hint = did_you_mean(export, exports.iter().map(|export| export.as_str()));
            let message = format!("`connections`: stage \"{source}\" has no export \"{export}\".{hint}");
            report.error(DiagnosticKind::Import, "/connections", message);
        }
    }
}

fn check_outputs(manifest: &Manifest, report: &mut FileDiagnostics<'_>) {
    for (index, output) in manifest.outputs.iter().enumerate() {
        let Some(node) = &output.node else { continue };
        let of_stage =
            |stage: &Stage| node.strip_prefix(&stage.block).is_some_and(|rest| rest.starts_with('_'));
        if !manifest.pipeline.iter().any(of_stage) {
            let message = format!(
                "output {}: no stage makes a node \"{node}\"; ids are `<block>_<n>_<local id>`, n from 0",
                index + 1
            );
            report.error(DiagnosticKind::OutputNode, &format!("/outputs/{index}/node_id"), message);
        }
    }
}
