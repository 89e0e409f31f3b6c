//! The node types and model files that the simulator has.

use comfy_runner_protocol::{NodeSchema, ObjectInfo};
use serde_json::{Map, Value, json};

/// What each node type takes and gives, in the shape of `/object_info`. Taken from ComfyUI 0.3.64, with the names of
/// some well-known models filled in; the last four are ours.
const OBJECT_INFO: &str = include_str!("object_info.json");

/// Where the names of a folder's models stand: folder, node type, input.
const MODEL_FOLDERS: [(&str, &str, &str); 6] = [
    ("checkpoints", "CheckpointLoaderSimple", "ckpt_name"),
    ("loras", "LoraLoader", "lora_name"),
    ("vae", "VAELoader", "vae_name"),
    ("text_encoders", "CLIPLoader", "clip_name"),
    ("diffusion_models", "UNETLoader", "unet_name"),
    ("clip_vision", "CLIPVisionLoader", "clip_name"),
];

/// The node types, parsed once.
pub struct Catalog {
    raw: Map<String, Value>,
    schemas: ObjectInfo,
}

impl Catalog {
    /// Parses the schemas that are built in.
    pub fn new() -> Result<Self, serde_json::Error> {
        Ok(Self { raw: serde_json::from_str(OBJECT_INFO)?, schemas: serde_json::from_str(OBJECT_INFO)? })
    }

    /// The schema of a node type.
    pub fn schema(&self, class: &str) -> Option<&NodeSchema> {
        self.schemas.get(class)
    }

    /// Whether nodes of this type are what a prompt runs for.
    pub fn is_output(&self, class: &str) -> bool {
        self.schema(class).is_some_and(|schema| schema.output_node)
    }

    /// `/object_info`, or the entry of one class. `pictures` are the names that `LoadImage` offers.
    pub fn object_info(&self, class: Option<&str>, pictures: &[String]) -> Value {
        let wanted = self.raw.iter().filter(|(name, _)| class.is_none_or(|class| class == *name));
        let mut info: Map<String, Value> =
            wanted.map(|(name, schema)| (name.clone(), schema.clone())).collect();
        for loader in ["LoadImage", "LoadImageMask"] {
            if let Some(schema) = info.get_mut(loader) {
                schema["input"]["required"]["image"][0] = json!(pictures);
            }
        }
        Value::Object(info)
    }

    /// The kinds of model, as `/models` lists them.
    pub fn model_folders(&self) -> impl Iterator<Item = &'static str> {
        MODEL_FOLDERS.iter().map(|(folder, ..)| *folder).chain(["embeddings"])
    }

    /// The models of one kind, `None` for a kind that does not exist.
    pub fn models(&self, folder: &str) -> Option<Value> {
        if folder == "embeddings" {
            return Some(json!([]));
        }
        let (_, class, input) = MODEL_FOLDERS.iter().find(|(name, ..)| *name == folder)?;
        Some(self.raw[*class]["input"]["required"][*input][0].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_has_models_and_every_class_its_schema() {
        let catalog = Catalog::new().unwrap();
        for (folder, ..) in MODEL_FOLDERS {
            assert!(!catalog.models(folder).unwrap().as_array().unwrap().is_empty(), "{folder}");
        }
        assert_eq!(catalog.models("no such folder"), None);
        assert!(catalog.is_output("SaveImage") && !catalog.is_output("LoadImage"));
        let info = catalog.object_info(Some("LoadImage"), &["a.png".to_owned()]);
        assert_eq!(info["LoadImage"]["input"]["required"]["image"][0], json!(["a.png"]));
        assert_eq!(info.as_object().unwrap().len(), 1);
    }
}
