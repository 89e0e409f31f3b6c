//! A literal value of a graph, and its meaning by its own node and field.

use std::borrow::Cow;

use comfy_runner_protocol::graph::Node;
use comfy_runner_protocol::object_info::{InputKind, InputSpec, NodeSchema};
use serde_json::Value;

use super::detected_input::TargetField;
use super::meaning::Meaning;
use super::roles::{self, Role};
use comfy_runner_protocol::is_model_file;

/// The largest number of choices in a form, unless the author chose the field. ComfyUI has about forty samplers.
const MOST_CHOICES: usize = 60;

/// A literal value and its field.
#[derive(Clone)]
pub struct Literal<'g> {
    pub id: &'g str,
    pub node: &'g Node,
    pub schema: Option<&'g NodeSchema>,
    pub field: &'g str,
    pub value: &'g Value,
    pub spec: Option<Cow<'g, InputSpec>>,
}

impl<'g> Literal<'g> {
    pub fn place(&self) -> TargetField<'g> {
        TargetField { node: self.id, title: self.graph_title(), field: self.field }
    }

    pub fn graph_title(&self) -> &'g str {
        self.node.title()
    }

    /// Returns what the node makes, as a word for an id.
    pub fn medium(&self) -> Option<&'static str> {
        if is_value_node(&self.node.class_type) {
            return None;
        }
        match self.schema?.output.first()?.as_str() {
            "IMAGE" => Some("image"),
            "VIDEO" => Some("video"),
            "AUDIO" => Some("audio"),
            "STRING" => Some("text"),
            "MESH" => Some("model"),
            kind if kind.starts_with("FILE_3D") => Some("model"),
            _ => None,
        }
    }

    /// Returns the type of the file that callers send for this field.
    pub fn upload(&self, spec: &InputSpec) -> Option<&'static str> {
        let flag = |name| spec.options.get(name) == Some(&Value::Bool(true));
        // Files outside the upload folder cannot be sent.
        if spec.options.get("image_folder").is_some_and(|folder| folder != "input") {
            return None;
        }
        let class = self.node.class_type.as_str();
        if flag("image_upload") {
            return Some(if class == "LoadImageMask" || self.field == "mask" { "mask" } else { "image" });
        }
        if flag("video_upload") || class.contains("LoadVideo") && matches!(self.field, "video" | "file") {
            return Some("video");
        }
        if flag("audio_upload") || class == "LoadAudio" && self.field == "audio" {
            return Some("audio");
        }
        // ComfyUI's own nodes have the button for any file for 3D models only.
        (flag("file_upload") && (class.starts_with("Load3D") || self.field == "model_file")).then_some("3d")
    }

    pub fn number(&self, spec: &InputSpec) -> Option<Meaning> {
        let (class, field) = (self.node.class_type.as_str(), self.field);
        let name = field.rsplit('.').next().unwrap_or(field);
        let kind = if spec.kind == InputKind::Int { "int" } else { "float" };
        let kept = self.node.inputs.get("add_noise") == Some(&"disable".into());
        let seed = matches!(name, "seed" | "noise_seed")
            || name.contains("seed") && spec.options.contains_key("control_after_generate");
        if kind == "int" && seed {
            return (!kept)
                .then(|| Meaning::new(Role { id: "seed", rank: roles::SEED, shared: true }, field, "seed"));
        }
        let both = ["width", "height"].iter().all(|side| {
            let sibling = format!("{}{side}", &field[..field.len() - name.len()]);
            self.node.inputs.contains_key(&sibling)
        });
        let role = if both { roles::size_role(class, field) } else { None };
        role.or_else(|| roles::number_role(class, field)).map(|role| Meaning::new(role, field, kind))
    }

    pub fn choice(&self, choices: &[Value]) -> Option<Meaning> {
        let (class, field) = (self.node.class_type.as_str(), self.field);
        if let Some(role) = roles::model_role(class, field) {
            let none = role.id == "lora"
                && self
                    .value
                    .as_str()
                    .is_none_or(|name| name.eq_ignore_ascii_case("none") || name.is_empty());
            return (!none).then(|| Meaning::new(role, field, roles::picker(role.id)));
        }
        // Text encoders and the like go with a model; callers do not choose them.
        let files =
            choices.iter().chain([self.value]).any(|choice| choice.as_str().is_some_and(is_model_file));
        if files || choices.len() > MOST_CHOICES {
            return None;
        }
        let known = choices.len() > 1 && choices.contains(self.value);
        let role = roles::choice_role(class, field).filter(|_| known)?;
        Some(Meaning::new(role, field, "select"))
    }

    /// The title that the author gave the node, without the type that the editor's templates put before it.
    pub fn own_title(&self) -> Option<&'g str> {
        let title = self.node.title();
        let usual = self.schema.and_then(|schema| schema.display_name.as_deref()).unwrap_or_default();
        if title == usual || title == self.node.class_type {
            return None;
        }
        let inner = title.strip_prefix("CLIP Text Encode (").and_then(|rest| rest.strip_suffix(')'));
        Some(inner.unwrap_or(title)).filter(|title| !title.trim().is_empty() && *title != "Prompt")
    }
}

/// Returns whether a value can be the default of an input of this type.
pub fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "int" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|value| value.fract() == 0.0 && value.abs() < 2f64.powi(53))
        }
        "float" => value.is_number(),
        "seed" => value.is_number(),
        "boolean" => value.is_boolean(),
        "select" => true,
        _ => value.is_string(),
    }
}

/// Returns whether values of this type are files.
pub fn is_file(kind: &str) -> bool {
    matches!(kind, "image" | "video" | "audio" | "mask" | "3d")
}

/// Returns whether nodes of this type hold a value for others.
pub fn is_value_node(class: &str) -> bool {
    class.starts_with("Primitive") || class == "CustomCombo"
}

/// Returns whether the node calls a paid service: its fields are the service's own parameters.
pub fn is_partner_node(schema: &NodeSchema) -> bool {
    schema.other.get("api_node") == Some(&Value::Bool(true))
        || schema
            .other
            .get("python_module")
            .and_then(Value::as_str)
            .is_some_and(|module| module.starts_with("comfy_api_nodes"))
}
