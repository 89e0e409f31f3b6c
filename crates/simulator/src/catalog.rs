//! The node types and model files that the simulator has.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use comfy_runner_protocol::{NodeSchema, ObjectInfo};
use indexmap::IndexMap;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::version::Version;

/// The names of well-known model files, by folder. Those of the official templates that run here are among them.
const MODELS: &str = include_str!("models.json");

/// The inputs whose choices are the files of a folder: node type, input, folder.
const MODEL_INPUTS: [(&str, &str, &str); 10] = [
    ("CheckpointLoaderSimple", "ckpt_name", "checkpoints"),
    ("LoraLoader", "lora_name", "loras"),
    ("LoraLoaderModelOnly", "lora_name", "loras"),
    ("VAELoader", "vae_name", "vae"),
    ("CLIPLoader", "clip_name", "text_encoders"),
    ("DualCLIPLoader", "clip_name1", "text_encoders"),
    ("DualCLIPLoader", "clip_name2", "text_encoders"),
    ("UNETLoader", "unet_name", "diffusion_models"),
    ("CLIPVisionLoader", "clip_name", "clip_vision"),
    ("UpscaleModelLoader", "model_name", "upscale_models"),
];

/// The node types, parsed once.
pub struct Catalog {
    version: Version,
    missing: Vec<String>,
    raw: Map<String, Value>,
    schemas: ObjectInfo,
    models: IndexMap<String, Vec<String>>,
}

/// The catalogs of the simulators that run in this process: they are large, and alike.
static SHARED: Mutex<Vec<Weak<Catalog>>> = Mutex::new(Vec::new());

impl Catalog {
    /// Returns the catalog of a version without these models, that of another simulator of this process if there is one.
    pub fn shared(version: Version, missing: &[String]) -> Result<Arc<Self>, serde_json::Error> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|catalog| catalog.strong_count() > 0);
        let is_alike = |catalog: &Arc<Self>| catalog.version == version && catalog.missing == missing;
        if let Some(catalog) = shared.iter().filter_map(Weak::upgrade).find(is_alike) {
            return Ok(catalog);
        }
        let catalog = Arc::new(Self::new(version, missing)?);
        shared.push(Arc::downgrade(&catalog));
        Ok(catalog)
    }

    /// Parses the schemas of a version that are built in, and fills in the names of model files, except for those of `missing`.
    pub fn new(version: Version, missing: &[String]) -> Result<Self, serde_json::Error> {
        let mut raw: Map<String, Value> = serde_json::from_str(version.object_info())?;
        let mut models: IndexMap<String, Vec<String>> = serde_json::from_str(MODELS)?;
        models.values_mut().for_each(|names| names.retain(|name| !missing.contains(name)));
        for (class, input, folder) in MODEL_INPUTS {
            let spec = raw.get_mut(class).and_then(|schema| schema["input"]["required"].get_mut(input));
            let Some((spec, names)) = spec.zip(models.get(folder)) else { continue };
            let is_list = spec[0].is_array();
            let choices = if is_list { &mut spec[0] } else { &mut spec[1]["options"] };
            if let Some(choices) = choices.as_array_mut() {
                choices.splice(..0, names.iter().map(|name| json!(name)));
            }
        }
        let schemas = ObjectInfo::deserialize(Value::Object(raw.clone()))?;
        Ok(Self { version, missing: missing.to_vec(), raw, schemas, models })
    }

    /// The version of ComfyUI that these are the node types of.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The schemas of all node types.
    pub fn schemas(&self) -> &ObjectInfo {
        &self.schemas
    }

    /// The schema of a node type.
    pub fn schema(&self, class: &str) -> Option<&NodeSchema> {
        self.schemas.get(class)
    }

    /// Whether nodes of this type are what a prompt runs for.
    pub fn is_output(&self, class: &str) -> bool {
        self.schema(class).is_some_and(|schema| schema.output_node)
    }

    /// Whether this input of a node type is looked at only when the node asks for it.
    pub fn is_lazy(&self, class: &str, input: &str) -> bool {
        let spec = self.schema(class).and_then(|schema| schema.input(input));
        spec.is_some_and(|(spec, _)| spec.options.get("lazy") == Some(&Value::Bool(true)))
    }

    /// `/object_info`, or the entry of one class. `images` are the names that `LoadImage` offers.
    pub fn object_info(&self, class: Option<&str>, images: &[String]) -> Value {
        let wanted = self.raw.iter().filter(|(name, _)| class.is_none_or(|class| class == *name));
        let mut info: Map<String, Value> =
            wanted.map(|(name, schema)| (name.clone(), schema.clone())).collect();
        for loader in ["LoadImage", "LoadImageMask"] {
            if let Some(schema) = info.get_mut(loader) {
                schema["input"]["required"]["image"][0] = json!(images);
            }
        }
        Value::Object(info)
    }

    /// The kinds of model, as `/models` lists them.
    pub fn model_folders(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str).chain(["embeddings"])
    }

    /// The models of one kind, `None` for a kind that does not exist.
    pub fn models(&self, folder: &str) -> Option<Value> {
        if folder == "embeddings" {
            return Some(json!([]));
        }
        self.models.get(folder).map(|names| json!(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comfy_runner_protocol::InputKind;

    #[test]
    fn every_folder_has_models_and_every_loader_offers_them() {
        for version in Version::ALL {
            let catalog = Catalog::new(version, &[]).unwrap();
            for (class, input, folder) in MODEL_INPUTS {
                let models = catalog.models(folder).unwrap();
                let (spec, _) = catalog.schema(class).unwrap().input(input).unwrap();
                let InputKind::Combo(choices) = &spec.kind else { panic!("{class}.{input}") };
                assert!(
                    !choices.is_empty() && choices.starts_with(models.as_array().unwrap()),
                    "{class}.{input}"
                );
            }
            assert_eq!(catalog.models("no such folder"), None);
            assert!(catalog.is_output("SaveImage") && !catalog.is_output("LoadImage"));
            let info = catalog.object_info(Some("LoadImage"), &["a.png".to_owned()]);
            assert_eq!(info["LoadImage"]["input"]["required"]["image"][0], json!(["a.png"]));
            assert_eq!(info.as_object().unwrap().len(), 1);
        }
    }

    /// What is ours in the schemas: nodes that ComfyUI does not have, lists of files, and descriptions left out.
    #[test]
    fn schemas_are_those_of_the_real_one() {
        for (version, real) in [
            (Version::V0_3_64, include_str!("../../../fixtures/object_info/0.3.64.json")),
            (Version::V0_33_0, include_str!("../../../fixtures/object_info/0.33.0.json")),
        ] {
            let real: Map<String, Value> = serde_json::from_str(real).unwrap();
            let ours: Map<String, Value> = serde_json::from_str(version.object_info()).unwrap();
            let mut compared = 0;
            for (class, schema) in &ours {
                let Some(real) = real.get(class) else { continue };
                if class.starts_with("LoadImage") {
                    continue;
                }
                for key in ["input", "input_order", "output", "output_name", "output_node"] {
                    assert_eq!(schema[key], real[key], "{version} {class}: {key}");
                }
                compared += 1;
            }
            assert!(compared > 70, "{compared}");
        }
    }

    #[test]
    fn a_missing_model_is_neither_listed_nor_offered() {
        let missing = ["sd_xl_base_1.0.safetensors".to_owned()];
        let catalog = Catalog::new(Version::V0_33_0, &missing).unwrap();
        assert!(!catalog.models("checkpoints").unwrap().as_array().unwrap().contains(&json!(missing[0])));
        let info = catalog.object_info(Some("CheckpointLoaderSimple"), &[]).to_string();
        assert!(!info.contains(&missing[0]) && info.contains("v1-5-pruned-emaonly.safetensors"), "{info}");
    }

    #[test]
    fn only_the_branches_of_a_switch_are_lazy() {
        let catalog = Catalog::new(Version::V0_33_0, &[]).unwrap();
        assert!(
            catalog.is_lazy("ComfySwitchNode", "on_true") && !catalog.is_lazy("ComfySwitchNode", "switch")
        );
        assert!(!catalog.is_lazy("SaveImage", "images") && !catalog.is_lazy("No such node", "x"));
    }
}
