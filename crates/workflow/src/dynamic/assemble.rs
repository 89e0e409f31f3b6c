//! Assembles a request's graph by walking the pipeline.

use std::collections::HashMap;

use comfy_runner_manifest::diagnostic::{LONGEST_MESSAGE, cut};
use comfy_runner_manifest::{DiagnosticKind, LoraInjection, Params, StageModels};
use comfy_runner_protocol::{Graph, Node, NodeId};
use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

use super::block::{Block, BlockNode, BlockSource, find_cycle, shown_circle};
use super::imports::Chain;
use super::repetition::{self, Instances};
use super::stage_error::StageError;
use super::{DynamicWorkflow, Limits, Step};
use crate::assemble::BlockNodes;
use crate::instance_seeds::InstanceSeeds;
use crate::message::pointer;
use crate::output_folder::OutputFolder;
use crate::template::{ExpressionError, InputError, Position, Variables, push_value, text_bytes};

/// The largest number of errors recorded for one request.
const MOST_PROBLEMS: usize = 100;

/// The outcome of a walk. The graph is complete only if there are no errors.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub graph: Graph,
    /// The origin of each node, in the graph's order.
    pub origins: Vec<Origin>,
    /// The nodes of each instance of a block, in the graph's order.
    pub blocks: Vec<BlockNodes>,
    /// The seeds of instances, by `batch_1`, `scene_1`, ...
    pub seeds: IndexMap<String, u64>,
    pub required_models: Vec<String>,
    /// The positions of the stages that are used.
    pub active: IndexSet<usize>,
    pub problems: Vec<StageError>,
}

/// The origin of a node of the graph.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The position of its stage.
    pub stage: usize,
    /// The block's file.
    pub file: String,
    /// The local id; `None` for an injected node.
    pub local: Option<String>,
}

/// An output of a node of the graph.
pub(super) type NodeOutput = (NodeId, u64);

pub(super) struct Walk<'a> {
    pub workflow: &'a DynamicWorkflow,
    limits: &'a Limits,
    seeds: InstanceSeeds,
    pub built: Built,
    pub exports: HashMap<String, NodeOutput>,
    /// The latest exports of each stage, by its name.
    pub exports_of: HashMap<String, HashMap<String, NodeOutput>>,
    /// The number of instances of each stage so far.
    instances: HashMap<usize, usize>,
    /// The bytes of text that the graph may still take.
    text_left: usize,
    /// Whether a limit was reached, after which nothing more is added.
    full: bool,
    pub chain: Chain,
}

/// An instance of a block that is being added.
pub(super) struct Instance<'a> {
    pub stage: usize,
    pub block: &'a Block,
    /// The prefix of node ids: `<block>_<n>_`.
    pub prefix: String,
    /// The position in the graph at which the instance's nodes begin.
    pub first: usize,
}

impl DynamicWorkflow {
    /// Assembles a request's graph.
    pub(crate) fn build(&self, params: &Params, folder: &OutputFolder, limits: &Limits) -> Built {
        let variables = self.scope().request_variables(params, folder);
        let mut walk = Walk {
            workflow: self,
            limits,
            seeds: InstanceSeeds::from_params(&self.manifest, params),
            built: Built::default(),
            exports: HashMap::new(),
            exports_of: HashMap::new(),
            instances: HashMap::new(),
            text_left: limits.text,
            full: false,
            chain: Chain::default(),
        };
        for step in &self.steps {
            match step {
                Step::Single(stage) => walk.single(*stage, &variables),
                Step::Repetition { repeat, stages } => walk.repetition(repeat, stages, &variables),
            }
        }
        walk.finish()
    }
}

impl<'a> Walk<'a> {
    fn single(&mut self, stage: usize, variables: &Variables<'_>) {
        let spec = &self.workflow.stages[stage].spec;
        if !spec.chain_imports.is_empty() {
            self.chain = Chain { before: self.exports.clone(), ..Chain::default() };
        }
        let Some(index) = spec.scene_index else {
            self.instance(stage, variables);
            return;
        };
        match repetition::scene(&self.workflow.manifest, variables, index) {
            Ok(place) => self.scene(stage, variables, place),
            // A missing scene does not affect whether the stage is used.
            Err(_) if self.holds(stage, variables) == Some(false) => {}
            Err(reason) => self.refuse(stage, DiagnosticKind::Stage, "scene_index", reason),
        }
    }

    fn repetition(
        &mut self,
        repeat: &comfy_runner_manifest::Repeat,
        stages: &[usize],
        variables: &Variables<'_>,
    ) {
        let leader = stages.first().copied().unwrap_or_default();
        let instances = match Instances::from_request(repeat, &self.workflow.manifest, variables, self.limits)
        {
            Ok(instances) => instances,
            Err(reason) => {
                // A missing count matters only if the stage is used.
                if self.holds(leader, variables) != Some(false) {
                    self.refuse(leader, DiagnosticKind::Limit, "repeat", reason);
                }
                return;
            }
        };
        self.chain = Chain { before: self.exports.clone(), ..Chain::default() };
        for place in instances.places {
            let variables = self.workflow.scope().instance_variables(variables, place, self.seeds);
            let mut exported: Vec<(String, NodeOutput)> = Vec::new();
            let nodes = self.built.graph.len();
            for stage in stages {
                let new = self.instance(*stage, &variables);
                self.chain
                    .by_stage
                    .extend(new.iter().map(|(name, out)| ((*stage, name.clone()), out.clone())));
                exported.extend(new);
            }
            self.chain.by_name.extend(exported);
            if self.built.graph.len() > nodes {
                let kind = if instances.are_scenes { "scene" } else { "batch" };
                self.note_seed(kind, place, &variables);
            }
            if self.full {
                return;
            }
        }
    }

    /// Returns the single instance that takes a scene's fields.
    fn scene(&mut self, stage: usize, outer: &Variables<'_>, place: Position<'_>) {
        let variables = self.workflow.scope().instance_variables(outer, place, self.seeds);
        let nodes = self.built.graph.len();
        self.instance(stage, &variables);
        if self.built.graph.len() > nodes {
            self.note_seed("scene", place, &variables);
        }
    }

    fn note_seed(&mut self, kind: &str, place: Position<'_>, variables: &Variables<'_>) {
        if let Some(seed) = variables.get("seed").and_then(Value::as_u64) {
            self.built.seeds.insert(format!("{kind}_{}", place.index + 1), seed);
        }
    }

    /// Returns whether the stage's condition holds. If it has no value, records an error and returns `None`.
    fn holds(&mut self, stage: usize, variables: &Variables<'_>) -> Option<bool> {
        let Some(condition) = &self.workflow.stages[stage].condition else { return Some(true) };
        match condition.holds(variables) {
            Ok(holds) => Some(holds),
            Err(error) => {
                self.refuse(stage, DiagnosticKind::Expression, "condition", format!("`condition`: {error}"));
                None
            }
        }
    }

    /// Adds one instance of a stage if its condition holds. Returns its exports.
    fn instance(&mut self, stage: usize, variables: &Variables<'_>) -> Vec<(String, NodeOutput)> {
        if self.full || self.holds(stage, variables) != Some(true) {
            return Vec::new();
        }
        let Some((block, case)) = self.pick(stage, variables) else { return Vec::new() };
        let workflow = self.workflow;
        let spec = &workflow.stages[stage].spec;
        let count = self.instances.entry(stage).or_default();
        let prefix = format!("{}_{count}_", spec.block);
        *count += 1;
        self.built.active.insert(stage);
        let instance = Instance { stage, block, prefix, first: self.built.graph.len() };
        for (id, node) in &block.nodes {
            if !self.node(&instance, id, node, variables) {
                return Vec::new();
            }
        }
        let mut exports: Vec<(String, NodeOutput)> = block
            .exports
            .iter()
            .map(|(name, export)| {
                (name.clone(), (format!("{}{}", instance.prefix, export.node), export.output))
            })
            .collect();
        match &spec.loras {
            Some(LoraInjection::Chain) => self.chain_loras(&instance, variables, &mut exports),
            Some(LoraInjection::Paired { nodes, start_slot }) => {
                self.pair_loras(&instance, variables, nodes, *start_slot);
            }
            None => {}
        }
        if spec.vae_override {
            self.override_vae(&instance, variables, &mut exports);
        }
        self.exports.extend(exports.iter().cloned());
        self.exports_of.entry(spec.block.clone()).or_default().extend(exports.iter().cloned());
        let models = match (&spec.models, case) {
            (StageModels::Always(models), _) => models.as_slice(),
            (StageModels::ByCase(cases), Some(case)) => {
                cases.get(&case).map(Vec::as_slice).unwrap_or_default()
            }
            (StageModels::ByCase(_), None) => &[],
        };
        for model in models {
            if !self.built.required_models.contains(model) {
                self.built.required_models.push(model.clone());
            }
        }
        exports
    }

    /// Returns the block that the stage uses, and the value that selected it. `None` if the stage is skipped.
    fn pick(&mut self, stage: usize, variables: &Variables<'_>) -> Option<(&'a Block, Option<String>)> {
        let workflow = self.workflow;
        let spec = &workflow.stages[stage].spec;
        let plain = spec.file.as_deref();
        let (file, case) = match &spec.switch {
            None => (plain, None),
            Some(switch) => {
                let value = variables.get(&switch.param);
                let mut text = String::new();
                push_value(&mut text, value.unwrap_or(&Value::Null));
                // Packs write `True` for a boolean, as Python does.
                let is_case = |case: &&String| {
                    **case == text || value.is_some_and(Value::is_boolean) && case.eq_ignore_ascii_case(&text)
                };
                let case = switch.cases.keys().find(is_case).or(switch.default.as_ref());
                match case.and_then(|case| switch.cases.get_key_value(case)) {
                    Some((case, file)) => (file.as_deref(), Some(case.clone())),
                    None => (plain, Some(text)),
                }
            }
        };
        Some((workflow.block(file?)?, case))
    }

    /// Adds one node. Returns false if a limit is reached.
    fn node(
        &mut self,
        instance: &Instance<'a>,
        id: &str,
        node: &BlockNode,
        variables: &Variables<'_>,
    ) -> bool {
        let mut inputs = Map::with_capacity(node.inputs.len());
        for input in &node.inputs {
            let place = (id, input.written.as_str());
            let name = match input.name.key(variables) {
                Ok(Some(name)) => name,
                Ok(None) => continue,
                Err(error) => {
                    self.fail(instance, place, DiagnosticKind::Expression, error.to_string());
                    continue;
                }
            };
            let value = match &input.source {
                BlockSource::Local(node, output) => {
                    Ok(Some(json!([format!("{}{node}", instance.prefix), output])))
                }
                BlockSource::Import(import) => self.import(instance.stage, import).map(Some),
                BlockSource::Named(text, output) => self.named(instance, text, *output, variables),
                BlockSource::Content(content) => content.input(variables).map_err(input_problem),
            };
            match value {
                Ok(Some(value)) => {
                    if !self.take_text(instance, &name, &value) {
                        return false;
                    }
                    if inputs.insert(name.clone(), value).is_some() {
                        let reason = format!("the node has another input `{name}`");
                        self.fail(instance, place, DiagnosticKind::Block, reason);
                    }
                }
                Ok(None) => {}
                Err((kind, reason)) => self.fail(instance, place, kind, reason),
            }
        }
        let meta = node.meta.as_ref().map(|meta| meta.meta(variables)).transpose().unwrap_or_else(|error| {
            self.fail(instance, (id, "_meta"), DiagnosticKind::Expression, error.to_string());
            None
        });
        let meta = meta.flatten();
        let node = Node { class_type: node.class_type.clone(), inputs, meta, other: node.other.clone() };
        self.add(instance, format!("{}{id}", instance.prefix), node, Some(id))
    }

    /// Inserts a node into the graph. Returns false if a limit is reached.
    pub(super) fn add(
        &mut self,
        instance: &Instance<'a>,
        id: NodeId,
        node: Node,
        local: Option<&str>,
    ) -> bool {
        if self.built.graph.len() >= self.limits.nodes {
            let reason = format!("the graph has more than {} nodes", self.limits.nodes);
            self.refuse(instance.stage, DiagnosticKind::Limit, "block", reason);
            self.full = true;
            return false;
        }
        if self.built.graph.nodes.contains_key(&id) {
            let reason =
                format!("the graph has another node of the id \"{id}\"; rename the stage or the node");
            let place = (local.unwrap_or_default(), "");
            self.fail(instance, place, DiagnosticKind::Block, reason);
            return true;
        }
        let (stage, file) = (instance.stage, instance.block.file.clone());
        self.built.origins.push(Origin { stage, file, local: local.map(str::to_owned) });
        let title = instance.prefix.trim_end_matches('_');
        match self.built.blocks.last_mut().filter(|group| group.name == title) {
            Some(group) => group.nodes.push(id.clone()),
            None => self.built.blocks.push(BlockNodes { name: title.to_owned(), nodes: vec![id.clone()] }),
        }
        self.built.graph.nodes.insert(id, node);
        true
    }

    fn take_text(&mut self, instance: &Instance<'a>, name: &str, value: &Value) -> bool {
        match self.text_left.checked_sub(text_bytes(value) + name.len()) {
            Some(left) => {
                self.text_left = left;
                true
            }
            None => {
                let reason = format!("the graph holds more than {} bytes of text", self.limits.text);
                self.refuse(instance.stage, DiagnosticKind::Limit, "block", reason);
                self.full = true;
                false
            }
        }
    }

    fn finish(mut self) -> Built {
        let graph = &self.built.graph;
        let links = |id: &str| {
            graph
                .nodes
                .get_key_value(id)
                .into_iter()
                .flat_map(|(_, node)| node.links())
                .map(|(_, link)| link.node)
        };
        if let Some(circle) = find_cycle(graph.nodes.keys().map(String::as_str), links) {
            let at = graph.nodes.get_index_of(circle[0]).and_then(|at| self.built.origins.get(at));
            let stage = at.map_or(0, |origin| origin.stage);
            let reason = format!("the nodes {} depend on each other in a circle", shown_circle(&circle));
            self.refuse(stage, DiagnosticKind::Graph, "block", reason);
        }
        if self.built.problems.is_empty() && self.built.graph.is_empty() {
            self.refuse(
                0,
                DiagnosticKind::Graph,
                "condition",
                "no stage applies to this request, so there is no graph".to_owned(),
            );
        }
        let of_stages = self.workflow.stages.iter().flat_map(|stage| stage.spec.models.all());
        let of_stages: IndexSet<&str> = of_stages.collect();
        let always = self.workflow.manifest.required_models.iter();
        let always = always.filter(|model| !of_stages.contains(model.as_str())).cloned();
        self.built.required_models.splice(0..0, always);
        self.built
    }

    /// Records an error at an input of a block's node.
    fn fail(
        &mut self,
        instance: &Instance<'a>,
        (node, input): (&str, &str),
        kind: DiagnosticKind,
        reason: String,
    ) {
        let pointer = match input {
            "" | "_meta" => pointer(&["nodes", node, input]),
            input => pointer(&["nodes", node, "inputs", input]),
        };
        let unknown = self.workflow.unknown_name(instance.stage, &instance.block.file, &pointer);
        let (kind, reason) =
            unknown.map_or((kind, reason), |unknown| (DiagnosticKind::Placeholder, unknown.to_owned()));
        self.note(StageError {
            file: instance.block.file.clone(),
            stage: self.workflow.stages[instance.stage].spec.block.clone(),
            node: Some(node.to_owned()).filter(|node| !node.is_empty()),
            input: Some(input.to_owned()).filter(|input| !input.is_empty()),
            reason,
            kind,
            pointer,
        });
    }

    /// Records an error of a stage itself.
    pub(super) fn refuse(&mut self, stage: usize, kind: DiagnosticKind, key: &str, reason: String) {
        self.note(StageError {
            file: comfy_runner_manifest::MANIFEST_FILE.to_owned(),
            stage: self.workflow.stages[stage].spec.block.clone(),
            node: None,
            input: None,
            reason,
            kind,
            pointer: format!("/pipeline/{stage}/{key}"),
        });
    }

    /// Records an error once, even if several instances have it.
    fn note(&mut self, problem: StageError) {
        let problem = StageError { reason: cut(problem.reason, LONGEST_MESSAGE), ..problem };
        if self.built.problems.len() < MOST_PROBLEMS && !self.built.problems.contains(&problem) {
            self.built.problems.push(problem);
        }
    }
}

pub(super) fn expression_problem(error: ExpressionError) -> (DiagnosticKind, String) {
    (DiagnosticKind::Expression, error.to_string())
}

fn input_problem(error: InputError) -> (DiagnosticKind, String) {
    let kind = match error {
        InputError::Expression(_) => DiagnosticKind::Expression,
        InputError::Link => DiagnosticKind::BadValue,
    };
    (kind, error.to_string())
}
