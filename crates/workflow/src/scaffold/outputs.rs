//! Finds the nodes that produce results, and their kinds.

use comfy_runner_protocol::graph::{Graph, Link, Node};
use comfy_runner_protocol::object_info::{NodeSchema, ObjectInfo};
use serde_json::Value;

/// A node whose files are results.
#[derive(Debug, Clone)]
pub struct DetectedOutput<'g> {
    pub node: &'g str,
    pub title: &'g str,
    pub kind: &'static str,
    pub format: Option<String>,
}

/// Types of links, and the kind of result that a node with such an input makes; the first that fits.
const KINDS: [(&str, &str); 11] = [
    ("MESH", "3d"),
    ("FILE_3D", "3d"),
    ("SPLAT", "3d"),
    ("POINT_CLOUD", "3d"),
    ("VOXEL", "3d"),
    ("VIDEO", "video"),
    ("AUDIO", "audio"),
    ("SVG", "image"),
    ("IMAGE", "image"),
    ("MASK", "image"),
    ("STRING", "text"),
];
/// Formats of nodes that have no field for it.
const FORMATS: [(&str, &str); 12] = [
    ("SaveImage", "png"),
    ("PreviewImage", "png"),
    ("MaskPreview", "png"),
    ("SaveAnimatedPNG", "png"),
    ("SaveAnimatedWEBP", "webp"),
    ("SaveWEBM", "webm"),
    ("SaveAudio", "flac"),
    ("PreviewAudio", "flac"),
    ("SaveAudioMP3", "mp3"),
    ("SaveAudioOpus", "opus"),
    ("SaveSVGNode", "svg"),
    ("SaveGLB", "glb"),
];
/// Output nodes without results: they save models, latents and data sets, or show numbers.
const NO_RESULT: [&str; 9] =
    ["Checkpoint", "CLIPSave", "VAESave", "ModelSave", "LoRA", "LoraSave", "Latent", "DataSet", "LossGraph"];
/// The kinds, the richest first: a workflow that makes a video and a still is one for videos.
const RICHEST: [&str; 5] = ["3d", "video", "audio", "image", "text"];

/// Returns the nodes that the author chose; or those that save; if there are none, those that preview.
pub fn outputs<'g>(graph: &'g Graph, schemas: &ObjectInfo, named: &[String]) -> Vec<DetectedOutput<'g>> {
    let chosen: Vec<DetectedOutput<'g>> = named
        .iter()
        .filter_map(|id| graph.nodes.get_full(id))
        .map(|(_, id, node)| {
            output(graph, schemas, id, node).unwrap_or(DetectedOutput {
                node: id,
                title: node.title(),
                kind: "file",
                format: None,
            })
        })
        .collect();
    if !chosen.is_empty() {
        return chosen;
    }
    let (mut saved, mut shown) = (Vec::new(), Vec::new());
    for (id, node) in &graph.nodes {
        let class = node.class_type.as_str();
        let is_output = schemas.get(class).is_some_and(|schema| schema.output_node);
        if !is_output || NO_RESULT.iter().any(|part| class.contains(part)) {
            continue;
        }
        let Some(output) = output(graph, schemas, id, node) else { continue };
        if class.starts_with("Save") || class.contains("Combine") {
            saved.push(output)
        } else {
            shown.push(output)
        }
    }
    if saved.is_empty() { shown } else { saved }
}

/// Returns the workflow's category, for lists.
pub fn category(outputs: &[DetectedOutput<'_>]) -> &'static str {
    RICHEST.into_iter().find(|kind| outputs.iter().any(|output| output.kind == *kind)).unwrap_or("image")
}

fn output<'g>(
    graph: &'g Graph,
    schemas: &ObjectInfo,
    id: &'g str,
    node: &'g Node,
) -> Option<DetectedOutput<'g>> {
    let class = node.class_type.as_str();
    let linked = node.links().find_map(|(field, link)| {
        let schema = schemas.get(class)?;
        let own = schema.input(field).and_then(|(spec, _)| spec.raw().get(0)?.as_str()).unwrap_or("*");
        let kind = if own == "*" || own.starts_with("COMFY_") || own.contains(',') {
            source_type(graph, schemas, link)?
        } else {
            own
        };
        kind_of(kind)
    });
    let made = || schemas.get(class).and_then(made_by);
    let kind = if class.contains("Animated") { Some("image") } else { linked };
    let kind = match kind {
        Some(kind) if class.starts_with("Save") || class.contains("Preview") || class.contains("Combine") => {
            kind
        }
        linked => made().or(linked)?,
    };
    let format = FORMATS.iter().find(|(known, _)| *known == class).map(|(_, format)| (*format).to_owned());
    let format = format.or_else(|| written_format(node, kind));
    Some(DetectedOutput { node: id, title: node.title(), kind, format })
}

fn kind_of(link: &str) -> Option<&'static str> {
    KINDS.iter().find(|(kind, _)| link.starts_with(kind)).map(|(_, kind)| *kind)
}

fn source_type<'s>(graph: &Graph, schemas: &'s ObjectInfo, link: Link<'_>) -> Option<&'s str> {
    let node = graph.node(link.node)?;
    schemas.get(&node.class_type)?.output.get(link.output).map(String::as_str)
}

/// Returns the kind of a node that produces a result without a save node, such as partner nodes for 3D.
fn made_by(schema: &NodeSchema) -> Option<&'static str> {
    let category = schema.other.get("category").and_then(Value::as_str).unwrap_or_default();
    let is_3d = category.to_ascii_lowercase().contains("3d");
    if is_3d { Some("3d") } else { schema.output.iter().find_map(|kind| kind_of(kind)) }
}

/// The format that the node's own `format` names, if it is a file's ending.
fn written_format(node: &Node, kind: &str) -> Option<String> {
    let written = node.inputs.get("format").or_else(|| node.inputs.get("file_format"))?.as_str()?;
    let written = written.rsplit('/').next().unwrap_or(written).to_ascii_lowercase();
    match written.as_str() {
        "auto" if kind == "video" => Some("mp4".to_owned()),
        "h264-mp4" | "h265-mp4" | "av1-mp4" => Some("mp4".to_owned()),
        ending
            if (2..=5).contains(&ending.len())
                && ending.bytes().all(|b| b.is_ascii_alphanumeric())
                && ending != "auto" =>
        {
            Some(written)
        }
        _ => None,
    }
}
