//! The variables of a request, and of each instance in it.

use comfy_runner_manifest::{Manifest, Params};
use serde_json::{Map, Value};

use super::condition::is_true;
use super::expression::Expression;
use super::expression::{ExpressionError, Missing};
use super::names::scene_input;
use super::seeds::{BaseSeed, InstanceSeeds};
use super::variables::Variables;
use super::{DynamicWorkflow, Limits};
use crate::output_folder::OutputFolder;

/// What an instance is in its repetition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The place of the element, from 0.
    pub index: usize,
    /// The element of a list that is repeated over.
    pub element: Option<&'a Value>,
}

/// Frames of a second of film, where `computed` says nothing of `duration_frames`.
const FRAMES_PER_SECOND: f64 = 16.0;

/// What names mean in a workflow: its manifest, and its `computed`, parsed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'w> {
    pub manifest: &'w Manifest,
    pub computed: &'w [(String, Expression)],
}

impl DynamicWorkflow {
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope { manifest: &self.manifest, computed: &self.computed }
    }
}

impl<'w> Scope<'w> {
    /// The variables that every stage of a request sees.
    pub(crate) fn request_variables(&self, params: &Params, folder: &OutputFolder) -> Variables<'static> {
        let manifest = self.manifest;
        let mut variables = Variables::of(manifest.defaults.clone());
        for (id, value) in params.iter() {
            variables.set(id, value.clone());
        }
        for input in manifest.inputs.iter().filter(|input| params.get(&input.id).is_none()) {
            variables.set(input.id.as_str(), Value::Null);
        }
        for (name, value) in own_names(manifest, params, folder) {
            if !is_declared(manifest, name) {
                variables.set(name, value);
            }
        }
        if let Some(base) = BaseSeed::of(manifest, params) {
            variables.set("seed", base.value());
        }
        set_place(&mut variables, 0);
        self.set_offers(&mut variables);
        self.compute(&mut variables, |_| true);
        variables
    }

    /// The variables of an instance: those of the request, and what its place in a repetition adds.
    pub(super) fn instance_variables<'o>(
        &self,
        outer: &'o Variables<'o>,
        place: Place<'_>,
        seeds: InstanceSeeds,
    ) -> Variables<'o> {
        let mut variables = Variables::within(outer, Map::new());
        set_place(&mut variables, place.index);
        match place.element {
            Some(Value::Object(fields)) => {
                fields.iter().for_each(|(name, value)| variables.set(name.as_str(), value.clone()));
                for field in self.scene_fields().filter(|field| !fields.contains_key(*field)) {
                    variables.set(field, Value::Null);
                }
            }
            Some(element) => variables.set("item", element.clone()),
            None => {}
        }
        let own = place.element.and_then(|element| element.get("seed"));
        if let Some(seed) = seeds.at(own, place.index as u64) {
            variables.set("seed", seed);
        }
        self.set_offers(&mut variables);
        let field = |name: &str| place.element.is_some_and(|element| element.get(name).is_some());
        self.compute(&mut variables, |name| !field(name));
        variables
    }

    /// Evaluates `computed` in order: in an inner scope only what depends on that scope's own names.
    fn compute(&self, variables: &mut Variables<'_>, may_set: impl Fn(&str) -> bool) {
        let outermost = variables.is_outermost();
        for (name, expression) in self.computed {
            let concerned = || expression.names().any(|used| variables.has_own(used));
            if !may_set(name) || !(outermost || concerned()) {
                continue;
            }
            match expression.value(variables, Missing::Strict) {
                Ok(value) if text_of(&value) > Limits::default().text => {
                    variables.fail(name.as_str(), "its value is too large".to_owned());
                }
                Ok(value) => variables.set(name.as_str(), value),
                // A name of a scene may come in a repetition; without one, who asks for this is told.
                Err(error @ ExpressionError::Unknown { .. }) => {
                    variables
                        .fail(name.as_str(), format!("{error} (only scenes of a repetition may have it)"));
                }
                Err(error) => variables.fail(name.as_str(), error.to_string()),
            }
        }
    }

    /// Sets names that follow from others, unless the manifest says what they are: frames of a duration, sides of the high-resolution pass.
    fn set_offers(&self, variables: &mut Variables<'_>) {
        let manifest = self.manifest;
        let is_free = |variables: &Variables<'_>, name: &str| {
            !variables.has_own(name) && !manifest.computed.contains_key(name) && !is_declared(manifest, name)
        };
        let number = |variables: &Variables<'_>, name: &str| variables.get(name).and_then(Value::as_f64);
        if variables.has_own("duration") && is_free(variables, "duration_frames") {
            let frames =
                number(variables, "duration").map(|seconds| whole(seconds * FRAMES_PER_SECOND + 1.0));
            variables.set("duration_frames", frames.unwrap_or(Value::Null));
        }
        let concerned =
            ["width", "height", "hires_scale", "hires_enabled"].iter().any(|name| variables.has_own(name));
        let declared = ["hires_scale", "hires_enabled"].iter().all(|name| variables.get(name).is_some());
        if concerned && declared {
            let enabled = variables.get("hires_enabled").is_some_and(is_true);
            let scale = number(variables, "hires_scale").filter(|_| enabled);
            for (side, hires) in [("width", "hires_width"), ("height", "hires_height")] {
                if is_free(variables, hires) {
                    let pixels =
                        scale.zip(number(variables, side)).map(|(scale, pixels)| whole(scale * pixels));
                    variables.set(hires, pixels.unwrap_or(Value::Null));
                }
            }
        }
    }

    /// The names of the fields that `per_scene` declares.
    fn scene_fields(&self) -> impl Iterator<Item = &'w str> {
        scene_input(self.manifest)
            .into_iter()
            .flat_map(|input| &input.per_scene)
            .map(|field| field.id.as_str())
    }
}

/// Names that every workflow has, with older spellings. Inputs and defaults of the same name win.
fn own_names(manifest: &Manifest, params: &Params, folder: &OutputFolder) -> Vec<(&'static str, Value)> {
    let picture = manifest.file_input("input_image").and_then(|input| params.get(&input.id)).cloned();
    let has_picture = picture.as_ref().is_some_and(is_true);
    let picture = picture.unwrap_or(Value::Null);
    let mut names = vec![
        ("input_image", picture.clone()),
        ("has_input_image", has_picture.into()),
        ("output_dir", folder.as_str().into()),
        ("output_prefix", folder.final_prefix().into()),
        ("_uploaded_image", picture),
        ("_has_input_image", has_picture.into()),
        ("_output_dir", folder.as_str().into()),
    ];
    if let Some(input) = manifest.resolution_input() {
        let side = |side: &str| {
            params.get(&input.id).and_then(|size| size.get(side)).cloned().unwrap_or(Value::Null)
        };
        names.extend([("width", side("w")), ("height", side("h"))]);
    }
    names
}

fn is_declared(manifest: &Manifest, name: &str) -> bool {
    manifest.input(name).is_some() || manifest.defaults.contains_key(name)
}

fn set_place(variables: &mut Variables<'_>, index: usize) {
    variables.set("index", index);
    variables.set("batch_num", index + 1);
    variables.set("scene_num", index + 1);
}

/// A number rounded to a whole one.
fn whole(number: f64) -> Value {
    (number.round() as i64).into()
}

/// How many bytes of text a value holds.
pub(super) fn text_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(text_of).sum::<usize>() + list.len(),
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + text_of(value) + 1).sum(),
        _ => 1,
    }
}
