//! Which fields of a graph callers will want to set.

use std::collections::{HashMap, HashSet};

use comfy_runner_protocol::graph::{Graph, Link, Node};
use comfy_runner_protocol::object_info::{InputKind, InputSpec, NodeSchema, ObjectInfo};
use serde_json::Value;

use super::{humanised, roles};
use crate::validate::is_model_file;

/// A field of a node.
#[derive(Debug, Clone)]
pub struct Field<'g> {
    pub node: &'g str,
    pub title: &'g str,
    pub field: &'g str,
}

/// An input of the manifest to be.
#[derive(Debug)]
pub struct Found<'g> {
    /// Its id, as long as no other input has it.
    pub base: String,
    /// The type's name.
    pub kind: &'static str,
    pub label: String,
    /// Where it stands among the others; a form shows the lowest first.
    pub rank: u8,
    pub targets: Vec<Field<'g>>,
    /// The graph's own value.
    pub value: &'g Value,
    pub spec: &'g InputSpec,
}

/// What a field is to callers.
struct Meaning {
    base: String,
    kind: &'static str,
    rank: u8,
}

/// Fields with these choices are worth showing, when the choices are few.
const CHOICES: [&str; 14] = [
    "aspect_ratio",
    "resolution",
    "size",
    "size_preset",
    "quality",
    "style",
    "duration",
    "background",
    "mode",
    "model",
    "voice",
    "language",
    "character",
    "format",
];
/// More choices than these are no help in a form. ComfyUI's samplers are some forty.
const MOST_CHOICES: usize = 60;

/// What callers will want to set, in the graph's order.
pub fn inputs<'g>(graph: &'g Graph, schemas: &'g ObjectInfo) -> Vec<Found<'g>> {
    let negative = roles::negative(graph, schemas);
    let users = users(graph);
    let mut found: Vec<Found<'g>> = Vec::new();
    for (id, node) in &graph.nodes {
        let Some(schema) = schemas.get(&node.class_type) else { continue };
        for (field, value) in &node.inputs {
            let Some((spec, _)) = schema.input(field) else { continue };
            if value.is_array() || value.is_object() || value.is_null() {
                continue;
            }
            let at = At { id, node, schema, field, spec, value, negative: &negative };
            let place = Field { node: id, title: node.title(), field };
            let (meaning, spec) = match at.primitive(graph, schemas, &users) {
                Some(told) => told,
                None => match at.meaning() {
                    Some(meaning) => (meaning, spec),
                    None => continue,
                },
            };
            // The encoders of some models take the same words twice.
            let twin = found.iter_mut().find(|other| {
                meaning.kind == "text"
                    && other.kind == "text"
                    && other.value == value
                    && other.targets.iter().any(|target| target.node == id)
            });
            if let Some(twin) = twin {
                twin.targets.push(place);
                continue;
            }
            let mut targets = vec![place];
            if meaning.kind == "lora_picker"
                && node.inputs.get("strength_model").is_some_and(Value::is_number)
            {
                targets.push(Field { node: id, title: node.title(), field: "strength_model" });
            }
            let label = at.label(&meaning);
            found.push(Found {
                base: meaning.base,
                kind: meaning.kind,
                label,
                rank: meaning.rank,
                targets,
                value,
                spec,
            });
        }
    }
    found
}

/// The fields that are linked to each node: the user's id and its field.
fn users(graph: &Graph) -> HashMap<&str, Vec<(&str, &str)>> {
    let mut users: HashMap<&str, Vec<(&str, &str)>> = HashMap::new();
    for (id, node) in &graph.nodes {
        for (field, Link { node, .. }) in node.links() {
            users.entry(node).or_default().push((id, field));
        }
    }
    users
}

/// A value where it stands.
struct At<'g, 'n> {
    id: &'g str,
    node: &'g Node,
    schema: &'g NodeSchema,
    field: &'g str,
    spec: &'g InputSpec,
    value: &'g Value,
    negative: &'n HashSet<&'g str>,
}

impl<'g> At<'g, '_> {
    /// What a primitive node's value is: what its user makes of it. A title of its own says that it is to be set.
    fn primitive(
        &self,
        graph: &'g Graph,
        schemas: &'g ObjectInfo,
        users: &HashMap<&'g str, Vec<(&'g str, &'g str)>>,
    ) -> Option<(Meaning, &'g InputSpec)> {
        if !self.node.class_type.starts_with("Primitive") || self.field != "value" {
            return None;
        }
        for (id, field) in users.get(self.id).into_iter().flatten() {
            let node = graph.node(id)?;
            let Some(schema) = schemas.get(&node.class_type) else { continue };
            let Some((spec, _)) = schema.input(field) else { continue };
            let user = At { id: self.id, node, schema, field, spec, ..*self };
            // A number that goes where a text is wanted, or the other way round, is another thing.
            let meaning = user.meaning().filter(|_| spec.kind == self.spec.kind);
            if let Some(meaning) = meaning {
                return Some((meaning, spec));
            }
        }
        let kind = match self.spec.kind {
            InputKind::Int => "int",
            InputKind::Float => "float",
            InputKind::Boolean => "boolean",
            _ => return None,
        };
        let base = identifier(self.own_title()?);
        (!base.is_empty()).then_some((Meaning { base, kind, rank: 55 }, self.spec))
    }

    fn meaning(&self) -> Option<Meaning> {
        let told = |base: &str, kind, rank| Some(Meaning { base: base.to_owned(), kind, rank });
        let (field, class) = (self.field, self.node.class_type.as_str());
        if let Some(kind) = self.upload() {
            return told(kind, kind, 20);
        }
        match &self.spec.kind {
            InputKind::String => self.text(),
            InputKind::Int => match field {
                "seed" | "noise_seed" if self.node.inputs.get("add_noise") != Some(&"disable".into()) => {
                    told("seed", "seed", 90)
                }
                "steps" => told("steps", "int", 60),
                "width" | "height" if self.is_size() => told(field, "int", 30),
                "batch_size" => told(field, "int", 35),
                "length" | "num_frames" | "frames" | "video_frames" | "frame_count"
                    if class != "VAEDecodeTiled" =>
                {
                    told("frames", "int", 40)
                }
                "fps" | "frame_rate" => told("fps", "int", 41),
                "duration" | "seconds" => told(field, "int", 40),
                _ => None,
            },
            InputKind::Float => match field {
                "cfg" | "cfg_conds" => told("cfg", "float", 61),
                "cfg_cond2_negative" => told("cfg_negative", "float", 62),
                "guidance" => told("guidance", "float", 61),
                "denoise" => told("denoise", "float", 65),
                "strength" if class.contains("ControlNet") => told("control_strength", "float", 66),
                "fps" | "frame_rate" => told("fps", "float", 41),
                "duration" | "seconds" => told(field, "float", 40),
                _ => None,
            },
            InputKind::Combo(choices) => self.choice(choices),
            _ => None,
        }
    }

    /// The type of the file that callers send for this field.
    fn upload(&self) -> Option<&'static str> {
        let flag = |name| self.spec.options.get(name) == Some(&Value::Bool(true));
        // What lies in another folder than that of uploads cannot be sent.
        if self.spec.options.get("image_folder").is_some_and(|folder| folder != "input") {
            return None;
        }
        let class = self.node.class_type.as_str();
        if flag("image_upload") {
            return Some(if class == "LoadImageMask" { "mask" } else { "image" });
        }
        if flag("video_upload") || class.contains("LoadVideo") && matches!(self.field, "video" | "file") {
            return Some("video");
        }
        (flag("audio_upload") || class == "LoadAudio" && self.field == "audio").then_some("audio")
    }

    fn text(&self) -> Option<Meaning> {
        let many_lines = self.spec.options.get("multiline") == Some(&Value::Bool(true));
        let names = [
            "text",
            "prompt",
            "value",
            "string",
            "positive",
            "positive_prompt",
            "text_g",
            "text_l",
            "clip_l",
            "t5xxl",
        ];
        let plain = names.contains(&self.field);
        let machinery = ["regex", "delimiter", "find", "replace", "template", "script", "code"];
        if machinery.iter().any(|word| self.field.contains(word)) || !(many_lines || plain) {
            return None;
        }
        // A text that is joined to others or searched is a part of a prompt: it is called what its field is.
        let (base, rank) = if self.negative.contains(self.id) || self.field.contains("negative") {
            ("negative_prompt".to_owned(), 11)
        } else if plain {
            ("prompt".to_owned(), 10)
        } else {
            (identifier(self.field), 12)
        };
        Some(Meaning { base, kind: "text", rank })
    }

    /// Whether width and height are those of a picture to be made.
    fn is_size(&self) -> bool {
        let class = self.node.class_type.as_str();
        let both = ["width", "height"].iter().all(|side| self.node.inputs.contains_key(*side));
        both && !class.starts_with("CLIPTextEncode") && !class.contains("Crop")
    }

    fn choice(&self, choices: &[Value]) -> Option<Meaning> {
        let told = |base: &str, kind, rank| Some(Meaning { base: base.to_owned(), kind, rank });
        match self.field {
            "ckpt_name" => return told("checkpoint", "checkpoint_picker", 50),
            "unet_name" => return told("diffusion_model", "select", 50),
            "vae_name" => return told("vae", "vae_picker", 52),
            "lora_name" if self.value != "None" => return told("lora", "lora_picker", 51),
            "control_net_name" => return told("control_net", "select", 53),
            "model_name" if self.node.class_type == "UpscaleModelLoader" => {
                return told("upscale_model", "select", 53);
            }
            _ => {}
        }
        // Text encoders and the like go with a model; callers do not choose them.
        let files =
            choices.iter().chain([self.value]).any(|choice| choice.as_str().is_some_and(is_model_file));
        if files || choices.is_empty() || choices.len() > MOST_CHOICES || !choices.contains(self.value) {
            return None;
        }
        match self.field {
            "sampler_name" => told("sampler", "select", 70),
            "scheduler" => told("scheduler", "select", 71),
            // What a saving node writes is told by the manifest's outputs.
            field if CHOICES.contains(&field) && !self.schema.output_node => {
                told(&identifier(field), "select", 36)
            }
            _ => None,
        }
    }

    /// What people see: the author's title for what the node is there for, the field's meaning for the rest.
    fn label(&self, meaning: &Meaning) -> String {
        let named = matches!(meaning.kind, "text" | "image" | "video" | "audio" | "mask")
            || self.node.class_type.starts_with("Primitive");
        match (self.own_title(), meaning.base.as_str()) {
            (Some(title), _) if named => title.to_owned(),
            (_, "cfg") => "CFG".to_owned(),
            (_, "fps") => "FPS".to_owned(),
            (_, "lora") => "LoRA".to_owned(),
            (_, "vae") => "VAE".to_owned(),
            (_, base) => humanised(base),
        }
    }

    /// The title that the author gave the node, without the type that the editor's templates put before it.
    fn own_title(&self) -> Option<&'g str> {
        let title = self.node.title();
        let usual = self.schema.display_name.as_deref().unwrap_or_default();
        if title == usual || title == self.node.class_type {
            return None;
        }
        let inner = title.strip_prefix("CLIP Text Encode (").and_then(|rest| rest.strip_suffix(')'));
        Some(inner.unwrap_or(title)).filter(|title| !title.trim().is_empty() && *title != "Prompt")
    }
}

/// An id made of a name: small letters, digits and underlines.
fn identifier(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            id.push(c.to_ascii_lowercase());
        } else if !id.is_empty() && !id.ends_with('_') {
            id.push('_');
        }
    }
    id.trim_end_matches('_').to_owned()
}
