//! A first manifest for a graph: what callers will want to set is found by names, types and links.

mod find;
mod roles;
mod write;

use comfy_runner_protocol::graph::{Graph, NodeId};
use comfy_runner_protocol::object_info::ObjectInfo;
use indexmap::{IndexMap, IndexSet};

use crate::validate::is_model_file;
use find::{Field, Found};
use write::Page;

/// A first manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The text of `manifest.yaml`.
    pub manifest: String,
    /// How many inputs it has.
    pub inputs: usize,
    /// Nodes whose types have no schema, with their types: they may take more than was found.
    pub unknown: Vec<(NodeId, String)>,
}

/// Drafts the manifest of a graph in API format, for the workflow of this id.
pub fn draft(graph: &Graph, schemas: &ObjectInfo, id: &str) -> Draft {
    let outputs = outputs(graph, schemas);
    let mut found = find::inputs(graph, schemas);
    found.sort_by_key(|found| found.rank);
    let category = outputs.first().map_or("image", |output| output.kind);
    let page = Page {
        id,
        category,
        inputs: named(found),
        outputs: &outputs,
        models: models(graph),
        packages: packages(graph, schemas),
    };
    let unknown = graph.nodes.iter().filter(|(_, node)| !schemas.contains_key(&node.class_type));
    Draft {
        inputs: page.inputs.len(),
        manifest: page.write(),
        unknown: unknown.map(|(id, node)| (id.clone(), node.class_type.clone())).collect(),
    }
}

/// Gives each input an id of its own, and a label that tells it from others.
fn named(found: Vec<Found<'_>>) -> IndexMap<String, Found<'_>> {
    let mut named: IndexMap<String, Found<'_>> = IndexMap::with_capacity(found.len());
    for mut input in found {
        let mut id = input.base.clone();
        let mut number = 1;
        while named.contains_key(&id) {
            number += 1;
            id = format!("{}_{number}", input.base);
        }
        if named.values().any(|other| other.label == input.label) {
            input.label = format!("{} {number}", input.label);
        }
        named.insert(id, input);
    }
    named
}

/// A node whose files are results.
struct Output<'g> {
    node: &'g str,
    title: &'g str,
    kind: &'static str,
    format: Option<&'static str>,
}

/// The nodes that save; if there are none, those that preview.
fn outputs<'g>(graph: &'g Graph, schemas: &ObjectInfo) -> Vec<Output<'g>> {
    let (mut saved, mut previewed) = (Vec::new(), Vec::new());
    for (id, node) in &graph.nodes {
        let class = node.class_type.as_str();
        if !schemas.get(class).is_some_and(|schema| schema.output_node) {
            continue;
        }
        let (kind, format) = match class {
            "SaveImage" | "PreviewImage" | "SaveAnimatedPNG" | "MaskPreview" => ("image", Some("png")),
            "SaveAnimatedWEBP" => ("image", Some("webp")),
            "SaveVideo" => ("video", Some("mp4")),
            "SaveWEBM" => ("video", Some("webm")),
            "SaveAudio" | "PreviewAudio" => ("audio", Some("flac")),
            "SaveAudioMP3" => ("audio", Some("mp3")),
            "SaveAudioOpus" => ("audio", Some("opus")),
            _ if class.contains("Audio") => ("audio", None),
            _ if class.contains("Video") => ("video", None),
            _ if class.contains("Image") => ("image", None),
            _ if class.starts_with("Save") => ("file", None),
            // Nodes that show texts or solids, or that train: nobody downloads anything of theirs.
            _ => continue,
        };
        let output = Output { node: id, title: node.title(), kind, format };
        if class.contains("Preview") { previewed.push(output) } else { saved.push(output) }
    }
    if saved.is_empty() { previewed } else { saved }
}

/// The model files that the graph names.
fn models(graph: &Graph) -> IndexSet<&str> {
    let values = graph.nodes.values().flat_map(|node| node.inputs.values());
    values.filter_map(|value| value.as_str()).filter(|name| is_model_file(name)).collect()
}

/// The packages of custom nodes that the graph's types come from.
fn packages<'s>(graph: &Graph, schemas: &'s ObjectInfo) -> IndexSet<&'s str> {
    let modules = graph
        .nodes
        .values()
        .filter_map(|node| schemas.get(&node.class_type)?.other.get("python_module")?.as_str());
    let packages = modules
        .filter_map(|module| module.strip_prefix("custom_nodes."))
        .map(|package| package.split('.').next().unwrap_or(package));
    packages.collect()
}

/// A name as people write it: `negative_prompt` becomes `Negative prompt`.
fn humanised(name: &str) -> String {
    let words = name.replace(['_', '-', '.'], " ");
    let mut letters = words.trim().chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl Field<'_> {
    /// Where the value stands, for a comment.
    fn place(&self) -> String {
        let title: String = self.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("node {}, {title}", self.node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comfy_runner_manifest::{InputKind, Manifest};
    use serde_json::{Value, json};

    fn schemas() -> ObjectInfo {
        let text = include_str!("../../../../fixtures/object_info/0.3.64.json");
        serde_json::from_str(text).unwrap()
    }

    fn drafted(graph: Value) -> Manifest {
        let graph = Graph::from_value(graph).unwrap();
        let draft = draft(&graph, &schemas(), "made");
        let (manifest, warnings) = Manifest::parse(&draft.manifest, "made")
            .unwrap_or_else(|error| panic!("{error:?}\n{}", draft.manifest));
        assert_eq!(warnings, [], "{}", draft.manifest);
        assert_eq!(manifest.inputs.len(), draft.inputs);
        manifest
    }

    fn sampler(positive: &str, negative: &str) -> Value {
        json!({"class_type": "KSampler", "inputs": {
            "seed": 5, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
            "model": ["m", 0], "positive": [positive, 0], "negative": [negative, 0], "latent_image": ["l", 0],
        }})
    }

    #[test]
    fn prompts_are_told_apart_by_where_they_lead_also_through_conditioning() {
        let manifest = drafted(json!({
            "n": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["m", 1]}},
            "p": {"class_type": "CLIPTextEncode", "inputs": {"text": ["s", 0], "clip": ["m", 1]}},
            "s": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "a fox: \"red\"\n# and a dog"}},
            "c": {"class_type": "ControlNetApplyAdvanced", "inputs": {
                "positive": ["p", 0], "negative": ["n", 0], "strength": 1.0, "start_percent": 0, "end_percent": 1,
            }},
            "k": {"class_type": "KSampler", "inputs": {"positive": ["c", 0], "negative": ["c", 1], "seed": 3}},
        }));
        let prompt = manifest.input("prompt").unwrap();
        assert_eq!((prompt.targets[0].node.as_str(), prompt.targets[0].field.as_str()), ("s", "value"));
        assert_eq!(prompt.default, Some(json!("a fox: \"red\"\n# and a dog")));
        assert_eq!(manifest.input("negative_prompt").unwrap().targets[0].node, "n");
        assert_eq!(manifest.input("seed").unwrap().kind, InputKind::Seed);
    }

    #[test]
    fn a_prompt_that_is_zeroed_out_for_the_negative_side_stays_the_prompt() {
        let manifest = drafted(json!({
            "p": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["m", 1]}},
            "z": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["p", 0]}},
            "k": sampler("p", "z"),
        }));
        assert_eq!(manifest.input("prompt").unwrap().targets[0].node, "p");
        assert!(manifest.input("negative_prompt").is_none());
    }

    #[test]
    fn ranges_come_from_the_schemas_and_ids_do_not_repeat() {
        let manifest = drafted(json!({
            "p": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["m", 1]}},
            "k": sampler("p", "p"),
            "k2": sampler("p", "p"),
        }));
        let steps = manifest.input("steps_2").unwrap();
        assert_eq!((steps.min.clone(), steps.max.clone()), (Some(1.into()), Some(10000.into())));
        assert_eq!(steps.label.as_deref(), Some("Steps 2"));
        assert!(manifest.input("sampler").unwrap().options.len() > 10);
        assert_eq!(manifest.input("seed").unwrap().default, Some(json!(-1)));
    }

    #[test]
    fn files_models_and_results_are_found() {
        let manifest = drafted(json!({
            "m": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
            "r": {"class_type": "LoraLoader", "inputs": {
                "model": ["m", 0], "clip": ["m", 1], "lora_name": "i.safetensors", "strength_model": 0.5, "strength_clip": 1.0,
            }},
            "i": {"class_type": "LoadImage", "inputs": {"image": "me.png"}, "_meta": {"title": "Face"}},
            "o": {"class_type": "SaveImage", "inputs": {"images": ["i", 0], "filename_prefix": "x"}},
            "q": {"class_type": "PreviewImage", "inputs": {"images": ["i", 0]}},
        }));
        assert_eq!(manifest.input("checkpoint").unwrap().kind, InputKind::CheckpointPicker);
        assert_eq!(manifest.input("lora").unwrap().targets.len(), 2);
        let image = manifest.input("image").unwrap();
        assert_eq!((&image.kind, image.title(), &image.default), (&InputKind::Image, "Face", &None));
        assert_eq!(manifest.outputs.len(), 1);
        assert_eq!(manifest.outputs[0].node.as_deref(), Some("o"));
        assert_eq!(manifest.required_models, ["a.safetensors", "i.safetensors"]);
    }

    #[test]
    fn types_without_a_schema_are_told() {
        let graph =
            Graph::from_value(json!({"7": {"class_type": "Strange", "inputs": {"seed": 3}}})).unwrap();
        let draft = draft(&graph, &schemas(), "made");
        assert_eq!(draft.unknown, [("7".to_owned(), "Strange".to_owned())]);
        assert_eq!(draft.inputs, 0);
    }
}
