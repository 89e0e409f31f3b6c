//! Which names a stage's expressions may use, as far as the manifest alone tells.

use std::collections::HashSet;

use comfy_runner_manifest::nearest::did_you_mean;
use comfy_runner_manifest::{Input, InputKind, Manifest, Repeat};
use serde_json::Value;

use super::DynamicWorkflow;

/// The names that a scope declares.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    known: HashSet<String>,
    /// Whether a list's elements may bring names that only a request knows.
    open: bool,
}

/// Names that every stage has.
const OWN: [&str; 10] = [
    "input_image",
    "has_input_image",
    "output_dir",
    "output_prefix",
    "_uploaded_image",
    "_has_input_image",
    "_output_dir",
    "index",
    "batch_num",
    "scene_num",
];

impl Names {
    /// The names that every stage of a workflow sees.
    pub fn of(manifest: &Manifest) -> Self {
        let mut known: HashSet<String> = OWN.iter().map(|name| (*name).to_owned()).collect();
        known.extend(manifest.inputs.iter().map(|input| input.id.clone()));
        known.extend(manifest.defaults.keys().cloned());
        known.extend(manifest.computed.keys().cloned());
        if manifest.resolution_input().is_some() {
            known.extend(["width", "height"].map(str::to_owned));
        }
        if manifest.inputs.iter().any(|input| input.kind == InputKind::Seed) {
            known.insert("seed".to_owned());
        }
        let mut names = Self { known, open: false };
        names.add_offers();
        names
    }

    /// The names of an instance of a repetition: the element's fields come along.
    pub fn within(&self, manifest: &Manifest, repeat: &Repeat) -> Self {
        let mut names = self.clone();
        let list = match repeat {
            Repeat::Count(_) => return names,
            Repeat::ExtraScenes => scene_input(manifest),
            Repeat::Named(name) => manifest.input(name),
        };
        let default = match repeat {
            Repeat::Named(name) => manifest.defaults.get(name),
            _ => manifest.defaults.get("scenes"),
        };
        match list {
            Some(input) if !input.per_scene.is_empty() => {
                names.known.extend(input.per_scene.iter().map(|field| field.id.clone()));
            }
            // Only a request knows what the elements of such a list are.
            Some(input) => {
                use InputKind::{LoraPicker, LoraPickerDynamic, Other, SceneList, Select};
                names.open =
                    matches!(input.kind, LoraPicker | LoraPickerDynamic | Other(_) | SceneList | Select);
            }
            None => names.open = default.is_some_and(Value::is_array),
        }
        for element in default.and_then(Value::as_array).into_iter().flatten() {
            names.known.extend(element.as_object().into_iter().flat_map(|element| element.keys().cloned()));
        }
        names.known.insert("item".to_owned());
        names.add_offers();
        names
    }

    fn add_offers(&mut self) {
        let offers: [(&[&str], &[&str]); 2] = [
            (&["duration"], &["duration_frames"]),
            (&["hires_enabled", "hires_scale"], &["hires_width", "hires_height"]),
        ];
        for (needed, offered) in offers {
            if needed.iter().all(|name| self.known.contains(*name)) {
                self.known.extend(offered.iter().map(|name| (*name).to_owned()));
            }
        }
    }

    /// Whether the name may have a value.
    pub fn knows(&self, name: &str) -> bool {
        self.open || self.known.contains(name)
    }

    /// Whether the manifest itself declares the name.
    pub fn declares(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// ` Did you mean "steps"?`, when a known name is near.
    pub fn hint(&self, name: &str) -> String {
        let mut known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        // Of names that are equally near, always the same.
        known.sort_unstable();
        did_you_mean(name, known)
    }
}

/// The first list of scenes.
pub(crate) fn scene_input(manifest: &Manifest) -> Option<&Input> {
    manifest.inputs.iter().find(|input| input.kind == InputKind::SceneList)
}

impl DynamicWorkflow {
    /// The first list of scenes.
    pub(super) fn scene_input(&self) -> Option<&Input> {
        scene_input(&self.manifest)
    }
}
