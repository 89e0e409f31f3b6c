//! Writes a request's values into a copy of the graph.

use std::borrow::Cow;

use comfy_runner_manifest::{Input, InputKind, Params};
use comfy_runner_protocol::{Graph, Link, NodeId};
use serde_json::Value;

use super::{LoraSwitch, Slot, SlotPlace, StaticWorkflow, canonical};
use crate::assemble::{AssembleError, Assembled, direct_outputs};
use crate::message::called;
use crate::output_folder::OutputFolder;
use crate::template::lora::{self, LoraError};
use crate::template::{InputError, Scope, Variables, input_value};

impl StaticWorkflow {
    /// Writes the values into a copy of the graph.
    pub fn assemble(&self, params: &Params, folder: &OutputFolder) -> Result<Assembled, AssembleError> {
        let mut graph = self.graph.clone();
        if !self.slots.is_empty() {
            let scope = Scope { manifest: &self.manifest, computed: &self.computed };
            let variables = scope.request_variables(params, folder);
            for slot in &self.slots {
                fill(&mut graph, slot, &variables)?;
            }
        }
        for binding in &self.bindings {
            let input = &self.manifest.inputs[binding.input];
            let Some(value) = bound_value(input, params, binding.part.as_deref())? else { continue };
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

/// Returns the value of an input for a field that is bound to it, or a part of the value. None when neither caller nor
/// manifest gives one.
fn bound_value<'p>(
    input: &Input,
    params: &'p Params,
    part: Option<&str>,
) -> Result<Option<Cow<'p, Value>>, AssembleError> {
    let Some(value) = params.get(&input.id) else { return Ok(None) };
    match (&input.kind, part) {
        (InputKind::LoraPicker, part) => lora::part(value, part).map_err(|error| match error {
            LoraError::Several(count) => AssembleError::OneLora { input: input.id.clone(), count },
            LoraError::NoFile => AssembleError::LoraFile { input: input.id.clone() },
        }),
        (_, None) => Ok(Some(Cow::Borrowed(value))),
        (kind, Some(part)) => Ok(value.get(canonical(kind, part)).map(Cow::Borrowed)),
    }
}

/// Fills one value of the graph.
fn fill(graph: &mut Graph, slot: &Slot, variables: &Variables<'_>) -> Result<(), AssembleError> {
    match &slot.place {
        SlotPlace::Input(field) => match slot.template.input(variables) {
            Ok(Some(value)) => insert(graph, slot.node, field, value),
            Ok(None) => {
                if let Some((_, node)) = graph.nodes.get_index_mut(slot.node) {
                    node.inputs.shift_remove(field);
                }
            }
            Err(InputError::Link) => return Err(looks_like_link(graph, slot.node, field)),
            Err(InputError::Expression(error)) => return Err(no_value(graph, slot.node, error.to_string())),
        },
        SlotPlace::Meta => {
            let meta = slot.template.meta(variables);
            let meta = meta.map_err(|error| no_value(graph, slot.node, error.to_string()))?;
            if let Some((_, node)) = graph.nodes.get_index_mut(slot.node) {
                node.meta = meta;
            }
        }
    }
    Ok(())
}

/// Sets a field's value.
fn set(graph: &mut Graph, node: usize, field: &str, value: Value) -> Result<(), AssembleError> {
    let value = input_value(value).map_err(|_| looks_like_link(graph, node, field))?;
    insert(graph, node, field, value);
    Ok(())
}

fn insert(graph: &mut Graph, node: usize, field: &str, value: Value) {
    let Some((_, node)) = graph.nodes.get_index_mut(node) else { return };
    match node.inputs.get_mut(field) {
        Some(old) => *old = value,
        None => {
            node.inputs.insert(field.to_owned(), value);
        }
    }
}

fn looks_like_link(graph: &Graph, node: usize, field: &str) -> AssembleError {
    AssembleError::LooksLikeLink { node: called_at(graph, node), field: field.to_owned() }
}

fn no_value(graph: &Graph, node: usize, reason: String) -> AssembleError {
    AssembleError::Expression { node: called_at(graph, node), reason }
}

fn called_at(graph: &Graph, node: usize) -> String {
    graph.nodes.get_index(node).map_or_else(String::new, |(id, _)| called(graph, id))
}

/// Links the nodes that use a LoRA loader to the loader's own inputs. Returns the loader's id.
fn bypass(graph: &mut Graph, lora: &LoraSwitch) -> Result<NodeId, AssembleError> {
    let Some((id, loader)) = graph.nodes.get_index(lora.node) else { return Ok(NodeId::new()) };
    let id = id.clone();
    let own = ["model", "clip"]
        .map(|name| loader.inputs.get(name).filter(|own| Link::from_value(own).is_some()).cloned());
    let name = called(graph, &id);
    for value in graph.nodes.values_mut().flat_map(|node| node.inputs.values_mut()) {
        let Some(output) = Link::from_value(value).filter(|link| link.node == id).map(|link| link.output)
        else {
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
