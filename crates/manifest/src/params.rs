//! A request's params against a manifest's inputs.

use std::fmt;

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value, json};

use crate::check::{Wrong, is_empty, parsed, shown_name};
use crate::count::{self, COUNT_KEY, params_of_jobs};
use crate::diagnostic::{LONGEST_MESSAGE, cut};
use crate::first_ten::{Counted, FirstTen};
use crate::input::{Input, InputKind};
use crate::manifest::{Manifest, WorkflowKind};
use crate::nearest::did_you_mean;
use crate::preset::{self, PRESET_KEY};
use crate::seed::{SeedRange, generate_scene_seeds};

/// The prefix of the key of a file that was uploaded before: `_existing_<id>`.
pub(crate) const EXISTING: &str = "_existing_";

/// Uploaded files: ComfyUI's name of each, by input id or by the name of the part that brought it.
pub type Uploads = IndexMap<String, String>;

/// The checked values of a request, as the graph takes them, with defaults and generated seeds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Params {
    values: IndexMap<String, Value>,
    seeds: IndexMap<String, u64>,
    generated: IndexSet<String>,
    generated_seed: u64,
}

/// The errors in a request's params.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct ParamsError {
    /// The first wrong keys, at most [`SHOWN_ENTRIES`](crate::first_ten::SHOWN_ENTRIES) of them; never empty.
    pub problems: Vec<InvalidParam>,
    /// How many more there are.
    pub more: usize,
}

/// One key with an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidParam {
    /// The input's id, or the unknown key.
    pub key: String,
    /// A sentence that names the input and says what is allowed.
    pub message: String,
}

impl fmt::Display for ParamsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self.problems.iter().map(|problem| problem.message.as_str());
        write!(f, "{}", FirstTen(messages))?;
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

impl ParamsError {
    /// Creates an error about one key.
    pub(crate) fn from_problem(key: &str, message: String) -> Self {
        let message = cut(message, LONGEST_MESSAGE);
        Self { problems: vec![InvalidParam { key: key.to_owned(), message }], more: 0 }
    }
}

impl Params {
    /// Checks what a caller gave against a manifest.
    ///
    /// `uploads` are the files sent with the request. `random` generates seeds; it must be uniform over all of `u64`.
    ///
    /// # Errors
    /// Keys that are unknown, and values that are of the wrong type, out of range, not among the options, or missing
    /// though required: the first ten, and how many more there are.
    pub fn check(
        manifest: &Manifest,
        given: &Map<String, Value>,
        uploads: &Uploads,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Self, ParamsError> {
        let with_preset = preset::apply(manifest, given, uploads)
            .map_err(|message| ParamsError::from_problem(PRESET_KEY, message))?;
        let given = with_preset.as_ref().unwrap_or(given);
        let mut check = ParamsCheck::new(manifest, given);
        check.take_uploads(uploads);
        let mut params = Self::default();
        for (key, value) in given {
            if let Some(name) = key.strip_prefix(EXISTING) {
                check.take_existing(key, name, value);
            } else if key == COUNT_KEY && !value.is_null() {
                check.refuse(key, count::not_here());
            } else if !key.starts_with('_') && !check.knows(key) {
                check.refuse_unknown(key);
            }
        }
        for input in &manifest.inputs {
            check.input(input, &mut params, random);
        }
        params.generated_seed = SeedRange::from_input(None).seed(random());
        params.seeds.extend(generate_scene_seeds(manifest, &mut params.values, random));
        for (key, default) in &manifest.defaults {
            if manifest.input(key).is_none() {
                let value = given.get(key).filter(|value| !value.is_null());
                let value = value.unwrap_or(default);
                let no_scenes = manifest.kind == WorkflowKind::Dynamic && key == "scenes" && is_empty(value);
                let value = if no_scenes { json!([open_scene(manifest)]) } else { value.clone() };
                params.values.insert(key.clone(), value);
            }
        }
        match check.problems {
            Counted { first, .. } if first.is_empty() => Ok(params),
            Counted { first, more } => Err(ParamsError { problems: first, more }),
        }
    }

    /// Checks what can be checked before files have arrived, so that wrong params are refused without an upload.
    ///
    /// `parts` names the files that are still to come, by input id or part name.
    ///
    /// # Errors
    /// The errors of [`Params::check`], and a part that no input takes.
    pub fn check_before_uploads<'a>(
        manifest: &Manifest,
        given: &Map<String, Value>,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ParamsError> {
        let uploads = parts.into_iter().map(|part| (part.to_owned(), "still to come".to_owned())).collect();
        let check = |given: &_| Self::check(manifest, given, &uploads, &mut || 0).map(|_| ());
        match params_of_jobs(manifest, given)? {
            // Jobs differ in their seeds: if the first and the last are in range, so are the others.
            Some(jobs) => jobs.first().into_iter().chain(jobs.last()).try_for_each(check),
            None => check(given),
        }
    }

    /// Checks values of which others may be added: nothing is missing. Returns the first errors.
    pub(crate) fn check_given(manifest: &Manifest, given: &Map<String, Value>) -> Vec<InvalidParam> {
        let mut check = ParamsCheck::new(manifest, given);
        for (key, value) in given {
            if let Some(name) = key.strip_prefix(EXISTING) {
                check.take_existing(key, name, value);
            } else if !key.starts_with('_') && !check.knows(key) {
                check.refuse_unknown(key);
            }
        }
        for input in &manifest.inputs {
            let mut wrong = Wrong::default();
            if let Some(given) = check.given_value(input, &mut wrong) {
                input.check(&format!("input \"{}\"", input.id), &given, &mut wrong);
            }
            wrong.first.into_iter().for_each(|message| check.refuse(&input.id, message));
        }
        check.problems.first
    }

    /// Returns the value of an input, or of a key of the manifest's `defaults`. `None` if neither caller nor manifest
    /// gives one.
    pub fn get(&self, id: &str) -> Option<&Value> {
        self.values.get(id)
    }

    /// Returns every value: inputs in the manifest's order, then keys of its `defaults`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(id, value)| (id.as_str(), value))
    }

    /// Returns the seeds by input, as the graph takes them.
    pub fn seeds(&self) -> &IndexMap<String, u64> {
        &self.seeds
    }

    /// Returns whether this seed was generated rather than given.
    pub fn is_generated(&self, id: &str) -> bool {
        self.generated.contains(id)
    }

    /// Returns the files in ComfyUI's input directory that the values of file inputs name, without duplicates.
    pub fn input_files(&self, manifest: &Manifest) -> Vec<String> {
        let inputs = manifest.inputs.iter().filter(|input| input.kind.is_file());
        let names = inputs.filter_map(|input| self.get(&input.id)?.as_str());
        let names: IndexSet<&str> = names.filter(|name| !name.is_empty()).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Returns a random number below [`SEED_LIMIT`](crate::SEED_LIMIT), for seeds that are not inputs.
    pub fn generated_seed(&self) -> u64 {
        self.generated_seed
    }
}

/// Returns the scene of a request that gives none, in a list whose fields are not described: as in ComfyUI Studio, with
/// a random seed where the workflow has none.
fn open_scene(manifest: &Manifest) -> Value {
    let mut scene = json!({"prompt": "", "duration": 5});
    let has_seed = manifest.inputs.iter().any(|input| input.kind == InputKind::Seed);
    if !has_seed && !manifest.defaults.contains_key("seed") {
        scene["seed"] = (-1).into();
    }
    scene
}

/// The state of a check.
struct ParamsCheck<'a> {
    manifest: &'a Manifest,
    given: &'a Map<String, Value>,
    problems: Counted<InvalidParam>,
    /// Files by input id: from parts of this request, or uploaded before.
    existing: IndexMap<&'a str, Value>,
}

impl<'a> ParamsCheck<'a> {
    fn new(manifest: &'a Manifest, given: &'a Map<String, Value>) -> Self {
        Self { manifest, given, problems: Counted::default(), existing: IndexMap::new() }
    }

    fn refuse(&mut self, key: &str, message: String) {
        self.problems.push(InvalidParam { key: cut(key, 80), message: cut(message, LONGEST_MESSAGE) });
    }

    fn take_uploads(&mut self, uploads: &Uploads) {
        for (part, file) in uploads {
            match self.manifest.file_input(part) {
                Some(input) => self.take_file(part, input, file.clone().into()),
                None => self.refuse(
                    part,
                    format!("no input takes the file part {}.{}", shown_name(part), self.file_hint()),
                ),
            }
        }
    }

    fn take_existing(&mut self, key: &str, name: &str, value: &Value) {
        if is_empty(value) {
            return;
        }
        match self.manifest.file_input(name) {
            Some(input) => self.take_file(key, input, value.clone()),
            None => self.refuse(
                key,
                format!("{} does not name an input that takes a file.{}", shown_name(key), self.file_hint()),
            ),
        }
    }

    fn take_file(&mut self, key: &str, input: &'a Input, file: Value) {
        if self.existing.insert(&input.id, file).is_some() {
            let message = format!(
                "input \"{}\" is given two files, one of them as {}; send one",
                input.id,
                shown_name(key)
            );
            self.refuse(key, message);
        }
    }

    fn file_hint(&self) -> String {
        let files = self.manifest.inputs.iter().filter(|input| input.kind.is_file());
        let files: Vec<String> = files.map(|input| format!("\"{}\"", input.id)).collect();
        match files.as_slice() {
            [] => " This workflow takes no files.".to_owned(),
            [one] => format!(" The input that takes a file is {one}."),
            many => format!(" Inputs that take files are {}.", many.join(", ")),
        }
    }

    fn knows(&self, key: &str) -> bool {
        let side = || matches!(key, "width" | "height") && self.manifest.resolution_input().is_some();
        self.manifest.input(key).is_some() || self.manifest.defaults.contains_key(key) || side()
    }

    fn refuse_unknown(&mut self, key: &str) {
        // A hint is looked up only where it is shown.
        let message = if self.problems.is_full() { String::new() } else { self.unknown(key) };
        self.refuse(key, message);
    }

    fn unknown(&self, key: &str) -> String {
        let inputs = self.manifest.inputs.iter().map(|input| input.id.as_str());
        let known: Vec<&str> = inputs.chain(self.manifest.defaults.keys().map(String::as_str)).collect();
        let mut hint = did_you_mean(key, known.iter().copied());
        if hint.is_empty() {
            hint = match known.as_slice() {
                [] => " This workflow has no inputs.".to_owned(),
                known => format!(" Its inputs are {}.", known[..known.len().min(30)].join(", ")),
            };
        }
        format!("{} is not an input of workflow \"{}\".{hint}", shown_name(key), self.manifest.id)
    }

    fn input(&mut self, input: &Input, params: &mut Params, random: &mut dyn FnMut() -> u64) {
        let subject = format!("input \"{}\"", input.id);
        let mut wrong = Wrong::default();
        let given = self.given_value(input, &mut wrong).filter(|given| !self.is_no_scenes(input, given));
        let mut value = given.and_then(|given| input.check(&subject, &given, &mut wrong));
        if !wrong.is_empty() {
            self.problems.more += wrong.more;
            wrong.first.into_iter().for_each(|message| self.refuse(&input.id, message));
            return;
        }
        value = value.or_else(|| input.default.clone());
        let no_scenes = |value: &Value| self.is_no_scenes(input, value);
        if value.as_ref().map_or(self.takes_scenes(input), no_scenes) && !input.required {
            value = input.single_scene(|| open_scene(self.manifest)).or(value);
        }
        if input.kind == InputKind::Seed {
            let seed = value.as_ref().and_then(Value::as_u64).unwrap_or_else(|| {
                params.generated.insert(input.id.clone());
                SeedRange::from_input(Some(input)).seed(random())
            });
            params.seeds.insert(input.id.clone(), seed);
            value = Some(seed.into());
        }
        if input.required && value.as_ref().is_none_or(is_empty) {
            let how = if input.kind.is_file() {
                format!("send a file as \"{0}\", or name an uploaded one as \"_existing_{0}\"", input.id)
            } else {
                "it must not be empty".to_owned()
            };
            self.refuse(&input.id, format!("{subject} is required: {how}"));
        }
        if let Some(value) = value {
            params.values.insert(input.id.clone(), value);
        }
    }

    /// Returns whether the input takes the scenes of a dynamic workflow.
    fn takes_scenes(&self, input: &Input) -> bool {
        input.kind == InputKind::SceneList && self.manifest.kind == WorkflowKind::Dynamic
    }

    /// Returns whether the value is an empty list of scenes, also as text.
    fn is_no_scenes(&self, input: &Input, value: &Value) -> bool {
        self.takes_scenes(input) && parsed(value).as_array().is_some_and(Vec::is_empty)
    }

    /// Returns the value that the caller gave for this input, in any of its spellings.
    fn given_value(&mut self, input: &Input, wrong: &mut Wrong) -> Option<Value> {
        let plain = self.given.get(&input.id).filter(|value| !value.is_null());
        let file = self.existing.swap_remove(input.id.as_str());
        let sides = self.given_sides(input, wrong);
        let ambiguous =
            |other: &str| format!("input \"{}\" is given twice: by its id and {other}; send one", input.id);
        match (plain, file, sides) {
            (Some(plain), Some(file), _) if !is_empty(plain) && *plain != file => {
                wrong.push(ambiguous("as a file"));
                None
            }
            (_, Some(file), _) => Some(file),
            (Some(plain), None, Some(_)) if !is_empty(plain) => {
                wrong.push(ambiguous("as width and height"));
                None
            }
            (_, None, Some(sides)) => Some(sides),
            (plain, None, None) => plain.cloned(),
        }
    }

    /// Returns a resolution that is given as `width` and `height`. The default provides a side that is not given.
    fn given_sides(&self, input: &Input, wrong: &mut Wrong) -> Option<Value> {
        if self.manifest.resolution_input().is_none_or(|first| first.id != input.id) {
            return None;
        }
        let side = |key: &str| {
            let own = self.manifest.input(key).is_some() || self.manifest.defaults.contains_key(key);
            self.given.get(key).filter(|value| !own && !is_empty(value))
        };
        let default = |key: &str| input.default.as_ref().and_then(|default| default.get(key));
        let (w, h) = (side("width"), side("height"));
        if w.is_none() && h.is_none() {
            return None;
        }
        match (w.or_else(|| default("w")), h.or_else(|| default("h"))) {
            (Some(w), Some(h)) => Some(json!({"w": w, "h": h})),
            _ => {
                let id = &input.id;
                wrong.push(format!("input \"{id}\" needs both width and height, because it has no default"));
                None
            }
        }
    }
}
