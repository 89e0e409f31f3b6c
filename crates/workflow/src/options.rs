//! The values that a ComfyUI offers for the inputs of a workflow.

use comfy_runner_manifest::{Input, InputKind, Manifest};
use comfy_runner_protocol::{InputKind as NodeInputKind, InputSpec, ObjectInfo};
use serde_json::{Map, Value};

use crate::dynamic::{BlockSource, DynamicWorkflow};
use crate::static_workflow::{FieldSource, StaticWorkflow};
use crate::validate::is_upload;
use crate::workflow::{Plan, Workflow};

/// The node types whose choices are those of a picker that no field takes, in this order.
const LOADERS: [(InputKind, &str, &str); 5] = [
    (InputKind::CheckpointPicker, "CheckpointLoaderSimple", "ckpt_name"),
    (InputKind::VaePicker, "VAELoader", "vae_name"),
    (InputKind::LoraPicker, "LoraLoader", "lora_name"),
    (InputKind::LoraPicker, "LoraLoaderModelOnly", "lora_name"),
    (InputKind::LoraPickerDynamic, "LoraLoader", "lora_name"),
];

impl Workflow {
    /// Returns the manifest as JSON, with `options` for every input whose values come from a list of ComfyUI: those of the
    /// node's field that takes the input, or for a picker without such a field those of ComfyUI's own loader.
    ///
    /// ComfyUI accepts no other values there. An input that several fields take has the options that all of them offer.
    /// Options that the author wrote stay as they are, and inputs for files have none.
    pub fn manifest_with_options(&self, info: &ObjectInfo) -> Map<String, Value> {
        let manifest = self.manifest();
        let mut json = Value::Object(manifest.json().clone());
        for input in inputs(manifest).filter(|input| input.options.is_empty() && !input.kind.is_file()) {
            let Some(offered) = self.offered(input, info) else { continue };
            if let Some(Value::Object(entry)) = json.pointer_mut(input.pointer())
                && entry.get("options").is_none_or(|options| options.as_array().is_some_and(Vec::is_empty))
            {
                entry.insert("options".to_owned(), Value::Array(offered));
            }
        }
        match json {
            Value::Object(json) => json,
            _ => Map::new(),
        }
    }

    fn offered(&self, input: &Input, info: &ObjectInfo) -> Option<Vec<Value>> {
        let specs = match &self.plan {
            Plan::Static(workflow) => static_specs(workflow, input, info),
            Plan::Dynamic(workflow) => dynamic_specs(workflow, input, info),
        };
        let lists: Vec<&[Value]> = specs.into_iter().filter_map(choices).collect();
        if let Some((first, others)) = lists.split_first() {
            let by_all = |choice: &&Value| others.iter().all(|other| other.contains(choice));
            return Some(first.iter().filter(by_all).cloned().collect());
        }
        let loaders = LOADERS.iter().filter(|(kind, ..)| *kind == input.kind);
        let mut fields = loaders.filter_map(|(_, class, field)| info.get(*class)?.input(field));
        fields.find_map(|(spec, _)| choices(spec)).map(<[Value]>::to_vec)
    }
}

/// Returns the inputs of a manifest and those of its scenes.
fn inputs(manifest: &Manifest) -> impl Iterator<Item = &Input> {
    manifest.inputs.iter().flat_map(|input| std::iter::once(input).chain(&input.per_scene))
}

/// Returns the choices of a node's field, unless they are uploaded files.
fn choices(spec: &InputSpec) -> Option<&[Value]> {
    match &spec.kind {
        NodeInputKind::Combo(choices) if !is_upload(spec) => Some(choices),
        _ => None,
    }
}

/// Returns whether a part of an input's value is what a list offers: all of it, or a LoRA's file.
fn is_choice(part: Option<&str>) -> bool {
    matches!(part, None | Some("file"))
}

/// Returns the fields of a graph that take an input's value.
fn static_specs<'i>(workflow: &StaticWorkflow, input: &Input, info: &'i ObjectInfo) -> Vec<&'i InputSpec> {
    let mut specs = Vec::new();
    for (index, node) in workflow.graph.nodes.values().enumerate() {
        let Some(schema) = info.get(&node.class_type) else { continue };
        for field in node.inputs.keys() {
            if let FieldSource::Input(bound, part) = workflow.source(index, field)
                && bound.id == input.id
                && is_choice(part)
            {
                specs.extend(schema.input(field).map(|(spec, _)| spec));
            }
        }
    }
    specs
}

/// Returns the fields of blocks that take an input's value.
fn dynamic_specs<'i>(workflow: &DynamicWorkflow, input: &Input, info: &'i ObjectInfo) -> Vec<&'i InputSpec> {
    let mut specs = Vec::new();
    for node in workflow.blocks.values().flat_map(|block| block.nodes.values()) {
        let Some(schema) = info.get(&node.class_type) else { continue };
        for field in &node.inputs {
            if let BlockSource::Content(content) = &field.source
                && let Some((name, part)) = content.placeholder()
                && name == input.id
                && is_choice(part)
            {
                specs.extend(schema.input(&field.written).map(|(spec, _)| spec));
            }
        }
    }
    specs
}
