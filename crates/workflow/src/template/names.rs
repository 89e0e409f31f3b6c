//! The names that expressions may use, derived from the manifest, for checks before there is a request.

use std::collections::{HashMap, HashSet};

use comfy_runner_manifest::nearest::did_you_mean;
use comfy_runner_manifest::{Input, InputKind, Manifest, Repeat};
use serde_json::Value;

use super::builtins;
use super::string::push_value;

/// The names that a scope declares.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    known: HashSet<String>,
    /// Whether a list's elements may add names that only a request knows.
    open: bool,
    /// Inputs of type `lora_picker`, which give a field the file or the strength of their value.
    loras: HashSet<String>,
    /// The texts of the options of inputs.
    options: HashMap<String, Vec<String>>,
}

impl Names {
    /// Returns the names of a static workflow, and of every stage of a dynamic one.
    pub fn from_manifest(manifest: &Manifest) -> Self {
        let mut known: HashSet<String> = builtins::ALWAYS.map(str::to_owned).into();
        known.extend(manifest.inputs.iter().map(|input| input.id.clone()));
        known.extend(manifest.defaults.keys().cloned());
        known.extend(manifest.computed.keys().cloned());
        if builtins::has_sides(manifest) {
            known.extend(builtins::SIDES.map(str::to_owned));
        }
        if manifest.inputs.iter().any(|input| input.kind == InputKind::Seed) {
            known.insert("seed".to_owned());
        }
        let loras = manifest.inputs.iter().filter(|input| input.kind == InputKind::LoraPicker);
        let loras = loras.map(|input| input.id.clone()).collect();
        let mut names = Self { known, open: false, loras, options: HashMap::new() };
        names.add_options(&manifest.inputs);
        names.add_derived();
        names
    }

    /// Returns the names that any stage sees: also the fields of everything that is repeated over.
    pub fn from_all_stages(manifest: &Manifest) -> Self {
        let repeats = manifest.pipeline.iter().filter_map(|stage| stage.repeat.as_ref());
        let names = Self::from_manifest(manifest);
        repeats.chain([&Repeat::ExtraScenes]).fold(names, |names, repeat| match repeat {
            Repeat::ExtraScenes if manifest.scene_input().is_none() => names,
            repeat => names.within(manifest, repeat),
        })
    }

    /// Returns the names of an instance of a repetition, which has the element's fields too.
    pub fn within(&self, manifest: &Manifest, repeat: &Repeat) -> Self {
        let mut names = self.clone();
        let list = match repeat {
            Repeat::Count(_) => return names,
            Repeat::ExtraScenes => manifest.scene_input(),
            Repeat::Named(name) => manifest.input(name),
        };
        let default = match repeat {
            Repeat::Named(name) => manifest.defaults.get(name),
            _ => manifest.defaults.get("scenes"),
        };
        match list {
            Some(input) if !input.per_scene.is_empty() => {
                names.known.extend(input.per_scene.iter().map(|field| field.id.clone()));
                names.add_options(&input.per_scene);
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
        names.add_derived();
        names
    }

    fn add_derived(&mut self) {
        for (needed, derived) in builtins::DERIVED {
            if needed.iter().all(|name| self.known.contains(*name)) {
                self.known.extend(derived.iter().map(|name| (*name).to_owned()));
            }
        }
    }

    /// Adds the options of inputs. A scene's field takes the place of an input of the same name.
    fn add_options(&mut self, inputs: &[Input]) {
        for input in inputs {
            let texts = input.options.iter().map(|choice| {
                let mut text = String::new();
                push_value(&mut text, &choice.value);
                text
            });
            self.options.insert(input.id.clone(), texts.collect());
        }
    }

    /// Returns whether the text is that of an option of the name.
    pub fn is_option(&self, name: &str, text: &str) -> bool {
        self.options.get(name).is_some_and(|options| options.iter().any(|option| option == text))
    }

    /// Returns the texts of the options of the name; empty if it has none.
    pub fn options(&self, name: &str) -> &[String] {
        self.options.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns whether the name may have a value.
    pub fn knows(&self, name: &str) -> bool {
        self.open || self.known.contains(name)
    }

    /// Returns whether the manifest itself declares the name.
    pub fn declares(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// Returns whether the name is an input of type `lora_picker`.
    pub fn is_lora(&self, name: &str) -> bool {
        self.loras.contains(name)
    }

    /// Returns ` Did you mean "steps"?` if a known name is similar.
    pub fn hint(&self, name: &str) -> String {
        let mut known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        // Makes the choice between equally similar names deterministic.
        known.sort_unstable();
        did_you_mean(name, known)
    }
}
