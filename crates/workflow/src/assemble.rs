//! From a workflow and a request's values to a graph that ComfyUI can run.

use std::borrow::Cow;

use comfy_runner_editor::NodeGroup;
use comfy_runner_manifest::{DiagnosticKind, FirstTen, InputKind, Params};
use comfy_runner_protocol::{Graph, Link, NodeId};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::compile::{called, canonical};
use crate::dynamic::{
    Built, DynamicWorkflow, Expression, ExpressionError, Limits, Missing, Scope, StageError, Variables,
};
use crate::output_folder::OutputFolder;
use crate::placeholder::{Name, Part, Template, push};
use crate::workflow::{LoraSwitch, Place, Plan, Slot, StaticWorkflow, Workflow};

/// A graph that is ready for `POST /prompt`, and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Assembled {
    /// The graph.
    pub graph: Graph,
    /// The seeds that were used, by input; of instances that differ, by `batch_1`, ... or `scene_1`, ...
    pub seeds: IndexMap<String, u64>,
    /// The folder that takes the job's files.
    pub output_folder: OutputFolder,
    /// The files in ComfyUI's input directory that the params name, each once.
    pub input_files: Vec<String>,
    /// The nodes whose files are the result; empty when the manifest names none.
    pub result_nodes: Vec<NodeId>,
    /// File names of the models that must be installed.
    pub required_models: Vec<String>,
    /// The nodes of each block, by the block's name and number; empty for a static workflow.
    pub blocks: Vec<NodeGroup>,
}

/// Why values do not fit the graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    /// ComfyUI reads a list of a text and a number as a link to another node. A caller may not draw links.
    #[error(
        "`{field}` of node {node} cannot take a list of a text and a number: ComfyUI reads that as a link to a node"
    )]
    LooksLikeLink {
        /// The node, with its title.
        node: String,
        /// Its field.
        field: String,
    },
    /// Several LoRAs for a graph that loads one.
    #[error("input \"{input}\": this workflow loads one LoRA, {count} are given")]
    OneLora {
        /// The input's id.
        input: String,
        /// How many there are.
        count: usize,
    },
    /// A LoRA without a file of its own: a pair for a dynamic workflow.
    #[error("input \"{input}\": this workflow takes a LoRA as a file name or as {{file, strength}}")]
    LoraFile {
        /// The input's id.
        input: String,
    },
    /// No LoRA is wanted, but the loader's own `model` or `clip` is not linked, so that it cannot be left out.
    #[error(
        "node {node} cannot be left out although input \"{input}\" is \"none\": its output {output} has no input to replace it"
    )]
    LoraCannotGo {
        /// The input's id.
        input: String,
        /// The node, with its title.
        node: String,
        /// The index of the output that others use.
        output: usize,
    },
    /// An expression in the graph has no value for these values.
    #[error("node {node}: {reason}")]
    Expression {
        /// The node, with its title.
        node: String,
        /// Which expression, and why.
        reason: String,
    },
    /// No graph can be put together from the blocks for these values.
    #[error("{}", FirstTen(.problems.iter()))]
    Stages {
        /// Each reason; never empty.
        problems: Vec<StageError>,
    },
}

impl AssembleError {
    /// Whether the workflow's author is to mend this, because blocks that the values brought together do not fit, and no
    /// value was wrong. The contract answers "workflow assembly failed" with 500.
    #[must_use]
    pub fn is_of_the_workflow(&self) -> bool {
        let Self::Stages { problems } = self else { return false };
        problems.iter().any(|problem| matches!(problem.kind, DiagnosticKind::Import | DiagnosticKind::Block))
    }
}

impl Workflow {
    /// Puts the values into the graph, or the graph together, and gives the job its output folder. The same params and
    /// the same folder make the same graph, byte for byte.
    ///
    /// # Errors
    /// Values that a graph cannot take although their inputs allow them; see [`AssembleError`].
    pub fn assemble(&self, params: &Params, folder: &OutputFolder) -> Result<Assembled, AssembleError> {
        self.assemble_within(params, folder, &Limits::default())
    }

    /// As [`Workflow::assemble`], with limits of one's own for graphs that are put together from blocks.
    ///
    /// # Errors
    /// As [`Workflow::assemble`].
    pub fn assemble_within(
        &self,
        params: &Params,
        folder: &OutputFolder,
        limits: &Limits,
    ) -> Result<Assembled, AssembleError> {
        match &self.plan {
            Plan::Static(workflow) => workflow.assemble(params, folder),
            Plan::Dynamic(workflow) => workflow.assemble(params, folder, limits),
        }
    }
}

impl DynamicWorkflow {
    fn assemble(
        &self,
        params: &Params,
        folder: &OutputFolder,
        limits: &Limits,
    ) -> Result<Assembled, AssembleError> {
        let Built { mut graph, seeds: of_instances, required_models, blocks, problems, .. } =
            self.build(params, folder, limits);
        if !problems.is_empty() {
            return Err(AssembleError::Stages { problems });
        }
        direct_outputs(&mut graph, folder);
        let named = self.manifest.outputs.iter().filter_map(|output| output.node.as_ref());
        // A stage that names a result may be absent from this request.
        let result_nodes = named.filter(|id| graph.nodes.contains_key(*id)).cloned().collect();
        let mut seeds = params.seeds().clone();
        seeds.extend(of_instances);
        Ok(Assembled {
            graph,
            seeds,
            output_folder: folder.clone(),
            input_files: params.input_files(&self.manifest),
            result_nodes,
            required_models,
            blocks,
        })
    }
}

impl StaticWorkflow {
    fn assemble(&self, params: &Params, folder: &OutputFolder) -> Result<Assembled, AssembleError> {
        let values = Values { workflow: self, params, variables: self.variables(params, folder), folder };
        let mut graph = self.graph.clone();
        for slot in &self.slots {
            fill(&mut graph, slot, &values)?;
        }
        for binding in &self.bindings {
            let input = &self.manifest.inputs[binding.input];
            let Some(value) = values.get(&input.id, binding.part.as_deref())? else { continue };
            set(&mut graph, binding.node, &binding.field, value.into_owned())?;
        }
        // After the values: nodes are addressed by position until here.
        let unused = self.loras.iter().filter(|lora| params.get(&lora.input).is_some_and(Value::is_null));
        let unused = unused.map(|lora| bypass(&mut graph, lora)).collect::<Result<Vec<NodeId>, _>>()?;
        for id in unused {
            graph.nodes.shift_remove(&id);
        }
        direct_outputs(&mut graph, folder);
        Ok(Assembled {
            graph,
            seeds: params.seeds().clone(),
            output_folder: folder.clone(),
            input_files: params.input_files(&self.manifest),
            result_nodes: self.manifest.outputs.iter().filter_map(|output| output.node.clone()).collect(),
            required_models: self.manifest.required_models.clone(),
            blocks: Vec::new(),
        })
    }
}

impl StaticWorkflow {
    /// What expressions see; nothing where there are none.
    fn variables(&self, params: &Params, folder: &OutputFolder) -> Option<Variables<'static>> {
        let mut expressions = self.slots.iter().flat_map(|slot| slot.template.expressions());
        let needed = !self.computed.is_empty() || expressions.next().is_some();
        let scope = Scope { manifest: &self.manifest, computed: &self.computed };
        needed.then(|| scope.request_variables(params, folder))
    }
}

/// The values of one request by name.
struct Values<'a> {
    workflow: &'a StaticWorkflow,
    params: &'a Params,
    variables: Option<Variables<'static>>,
    folder: &'a OutputFolder,
}

impl<'a> Values<'a> {
    /// The value of this name, or a part of it. Nothing when neither caller nor manifest gives one.
    fn get(&self, id: &str, part: Option<&str>) -> Result<Option<Cow<'a, Value>>, AssembleError> {
        let manifest = &self.workflow.manifest;
        let Some(value) = self.params.get(id) else { return Ok(self.own(id)) };
        let Some(input) = manifest.input(id) else {
            return Ok(match part {
                Some(part) => value.get(part).map(Cow::Borrowed),
                None => Some(Cow::Borrowed(value)),
            });
        };
        match (&input.kind, part) {
            (InputKind::LoraPicker, part) => lora(id, value, part),
            (_, None) => Ok(Some(Cow::Borrowed(value))),
            (kind, Some(part)) => Ok(value.get(canonical(kind, part)).map(Cow::Borrowed)),
        }
    }

    /// Names that are no inputs: the sides of the resolution, the picture, the output folder.
    fn own(&self, id: &str) -> Option<Cow<'a, Value>> {
        let manifest = &self.workflow.manifest;
        let side = |side: &str| {
            let input = manifest.resolution_input()?;
            Some(Cow::Borrowed(self.params.get(&input.id)?.get(side)?))
        };
        let picture = || self.params.get(&manifest.file_input("input_image")?.id);
        if manifest.input(id).is_some() {
            return None;
        }
        match id {
            "width" => side("w"),
            "height" => side("h"),
            "input_image" => picture().map(Cow::Borrowed),
            "has_input_image" => Some(Cow::Owned(picture().is_some().into())),
            "output_dir" => Some(Cow::Owned(self.folder.as_str().into())),
            "output_prefix" => Some(Cow::Owned(self.folder.final_prefix().into())),
            _ => None,
        }
    }

    /// A placeholder's value, for the slot where it stands.
    fn of(&self, name: &Name, slot: &Slot) -> Result<Option<Cow<'a, Value>>, AssembleError> {
        let computed = self.workflow.manifest.computed.contains_key(&name.id);
        if !computed || self.params.get(&name.id).is_some() {
            return self.get(&name.id, name.part.as_deref());
        }
        let path = match &name.part {
            Some(part) => format!("{}.{part}", name.id),
            None => name.id.clone(),
        };
        let value = Expression::parse(&path).and_then(|path| self.evaluate(&path));
        value.map(Cow::Owned).map(Some).map_err(|error| self.no_value(slot, &error))
    }

    fn result(&self, expression: &Expression, slot: &Slot) -> Result<Value, AssembleError> {
        self.evaluate(expression).map_err(|error| self.no_value(slot, &error))
    }

    fn evaluate(&self, expression: &Expression) -> Result<Value, ExpressionError> {
        let nothing = Variables::default();
        expression.value(self.variables.as_ref().unwrap_or(&nothing), Missing::Strict)
    }

    fn no_value(&self, slot: &Slot, error: &ExpressionError) -> AssembleError {
        let graph = &self.workflow.graph;
        let node = graph.nodes.get_index(slot.node).map_or_else(String::new, |(id, _)| called(graph, id));
        AssembleError::Expression { node, reason: error.to_string() }
    }

    /// The text of placeholders within a longer text. What has no value is rendered as nothing.
    fn render(&self, parts: &[Part], slot: &Slot) -> Result<String, AssembleError> {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(own) => text.push_str(own),
                Part::Name(name) => {
                    if let Some(value) = self.of(name, slot)? {
                        push(&mut text, &value);
                    }
                }
                Part::Expression(expression) => push(&mut text, &self.result(expression, slot)?),
            }
        }
        Ok(text)
    }
}

/// The file or the strength of the one LoRA that a static graph loads. Null, no LoRA, is what loaders call `None`.
fn lora<'v>(id: &str, value: &'v Value, part: Option<&str>) -> Result<Option<Cow<'v, Value>>, AssembleError> {
    let value = match value {
        Value::Array(list) => match list.as_slice() {
            [] => &Value::Null,
            [one] => one,
            many => return Err(AssembleError::OneLora { input: id.to_owned(), count: many.len() }),
        },
        value => value,
    };
    match (value, part.unwrap_or("file")) {
        (Value::Null, "file") => Ok(Some(Cow::Owned("None".into()))),
        (Value::String(_), "file") => Ok(Some(Cow::Borrowed(value))),
        (Value::Object(entry), "file") => {
            let file = entry.get("file").ok_or_else(|| AssembleError::LoraFile { input: id.to_owned() })?;
            Ok(Some(Cow::Borrowed(file)))
        }
        (value, part) => Ok(value.get(part).map(Cow::Borrowed)),
    }
}

/// Fills one text of the graph.
fn fill(graph: &mut Graph, slot: &Slot, values: &Values<'_>) -> Result<(), AssembleError> {
    let value = match &slot.template {
        Template::Whole(name) => values.of(name, slot)?.map(Cow::into_owned),
        Template::Expression(expression) => Some(values.result(expression, slot)?),
        Template::Parts(parts) => Some(values.render(parts, slot)?.into()),
    };
    let Some((_, node)) = graph.nodes.get_index_mut(slot.node) else { return Ok(()) };
    match (&slot.place, value) {
        (Place::Input(field), Some(value)) => set(graph, slot.node, field, value),
        (Place::Input(field), None) => {
            node.inputs.shift_remove(field);
            Ok(())
        }
        (Place::Inside(field, pointer), value) => {
            let outer = node.inputs.get_mut(field);
            if let Some(text) = outer.and_then(|outer| outer.pointer_mut(pointer)) {
                *text = value.unwrap_or(Value::Null);
            }
            let outer = node.inputs.get(field);
            if outer.is_some_and(|outer| Link::of(outer).is_some()) {
                return Err(looks_like_link(graph, slot.node, field));
            }
            Ok(())
        }
        (Place::Title, value) => {
            let mut title = String::new();
            push(&mut title, &value.unwrap_or(Value::Null));
            if let Some(meta) = &mut node.meta {
                meta.insert("title".to_owned(), title.into());
            }
            Ok(())
        }
    }
}

/// Gives a field its value. A list is wrapped, as ComfyUI takes a bare one for a link.
fn set(graph: &mut Graph, node: usize, field: &str, value: Value) -> Result<(), AssembleError> {
    let bare = value.get("__value__").unwrap_or(&value);
    if Link::of(bare).is_some() {
        return Err(looks_like_link(graph, node, field));
    }
    let value = if value.is_array() { json!({"__value__": value}) } else { value };
    let Some((_, node)) = graph.nodes.get_index_mut(node) else { return Ok(()) };
    match node.inputs.get_mut(field) {
        Some(old) => *old = value,
        None => {
            node.inputs.insert(field.to_owned(), value);
        }
    }
    Ok(())
}

fn looks_like_link(graph: &Graph, node: usize, field: &str) -> AssembleError {
    let node = graph.nodes.get_index(node).map_or_else(String::new, |(id, _)| called(graph, id));
    AssembleError::LooksLikeLink { node, field: field.to_owned() }
}

/// Links everything that uses a LoRA loader to what the loader itself uses. Returns the loader's id.
fn bypass(graph: &mut Graph, lora: &LoraSwitch) -> Result<NodeId, AssembleError> {
    let Some((id, loader)) = graph.nodes.get_index(lora.node) else { return Ok(NodeId::new()) };
    let id = id.clone();
    let own =
        ["model", "clip"].map(|name| loader.inputs.get(name).filter(|own| Link::of(own).is_some()).cloned());
    let name = called(graph, &id);
    for value in graph.nodes.values_mut().flat_map(|node| node.inputs.values_mut()) {
        let Some(output) = Link::of(value).filter(|link| link.node == id).map(|link| link.output) else {
            continue;
        };
        *value = own.get(output).cloned().flatten().ok_or_else(|| AssembleError::LoraCannotGo {
            input: lora.input.clone(),
            node: name.clone(),
            output,
        })?;
    }
    Ok(id)
}

/// Makes every node that saves write to the job's folder.
fn direct_outputs(graph: &mut Graph, folder: &OutputFolder) {
    for node in graph.nodes.values_mut() {
        if !node.inputs.get("filename_prefix").is_some_and(Value::is_string) {
            continue;
        }
        let unsaved =
            node.class_type == "VHS_VideoCombine" && node.inputs.get("save_output") == Some(&json!(false));
        let prefix = if unsaved { folder.intermediate_prefix() } else { folder.final_prefix() };
        node.inputs.insert("filename_prefix".to_owned(), prefix.into());
        if unsaved {
            node.inputs.insert("save_output".to_owned(), true.into());
        }
    }
}
