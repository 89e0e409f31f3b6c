//! Determines the instances of a repeated part of the pipeline.

use comfy_runner_manifest::diagnostic::cut;
use comfy_runner_manifest::{InputKind, Manifest, Repeat};
use serde_json::Value;

use super::Limits;
use crate::template::{Position, Variables};

/// The instances of a repetition.
#[derive(Debug)]
pub(crate) struct Instances<'a> {
    pub places: Vec<Position<'a>>,
    /// Whether the instances are scenes, whose seeds are reported as `scene_1`, ... instead of `batch_1`, ...
    pub are_scenes: bool,
}

impl<'a> Instances<'a> {
    /// Returns the instances for a request, or why its value is neither a count nor a list.
    pub fn from_request(
        repeat: &Repeat,
        manifest: &Manifest,
        variables: &'a Variables<'_>,
        limits: &Limits,
    ) -> Result<Self, String> {
        let (list, skip, are_scenes) = match repeat {
            Repeat::Count(count) => return Self::counted(*count, "repeat", limits),
            Repeat::ExtraScenes => (scenes(manifest, variables)?, 1, true),
            Repeat::Named(name) => {
                let is_list = manifest.input(name).is_some_and(|input| input.kind == InputKind::SceneList);
                match variables.get(name) {
                    Some(Value::Array(list)) => (list.as_slice(), 0, is_list || name == "scenes"),
                    Some(Value::Number(number)) if number.as_u64().is_some() => {
                        return Self::counted(number.as_u64().unwrap_or(0), name, limits);
                    }
                    Some(Value::String(text)) if text.parse::<u64>().is_ok() => {
                        return Self::counted(text.parse().unwrap_or(0), name, limits);
                    }
                    Some(Value::Null) if takes_list(manifest, name) => (&[] as &[Value], 0, is_list),
                    // A count that is not given is one, as in ComfyUI Studio.
                    Some(Value::Null) => return Self::counted(1, name, limits),
                    Some(other) => {
                        return Err(format!(
                            "`repeat: {name}`: {} is neither a count nor a list",
                            shown(other)
                        ));
                    }
                    None => {
                        let reason = variables.failure(name).unwrap_or("nothing declares this name");
                        return Err(format!("`repeat: {name}`: {reason}"));
                    }
                }
            }
        };
        if list.len().saturating_sub(skip) > limits.instances {
            return Err(too_many("repeat", list.len() as u64, limits));
        }
        let places = list.iter().enumerate().skip(skip);
        let places = places.map(|(index, element)| Position { index, element: Some(element) }).collect();
        Ok(Self { places, are_scenes })
    }

    fn counted(count: u64, name: &str, limits: &Limits) -> Result<Self, String> {
        match usize::try_from(count).ok().filter(|count| *count <= limits.instances) {
            Some(count) => {
                let places = (0..count).map(|index| Position { index, element: None }).collect();
                Ok(Self { places, are_scenes: false })
            }
            None => Err(too_many(name, count, limits)),
        }
    }
}

/// Returns whether the name is an input for a list.
fn takes_list(manifest: &Manifest, name: &str) -> bool {
    let kind = manifest.input(name).map(|input| &input.kind);
    matches!(kind, Some(InputKind::SceneList | InputKind::LoraPicker | InputKind::LoraPickerDynamic))
}

/// Returns the scene at this index, for a stage with `scene_index`.
pub(crate) fn scene<'a>(
    manifest: &Manifest,
    variables: &'a Variables<'_>,
    index: usize,
) -> Result<Position<'a>, String> {
    let scenes = scenes(manifest, variables)?;
    match scenes.get(index) {
        Some(element) => Ok(Position { index, element: Some(element) }),
        None => Err(format!("`scene_index: {index}` needs {} scenes, there are {}", index + 1, scenes.len())),
    }
}

/// Returns the scenes of a request: the value of the first list of scenes, or of the name `scenes`.
fn scenes<'a>(manifest: &Manifest, variables: &'a Variables<'_>) -> Result<&'a [Value], String> {
    let name = manifest.scene_input().map_or("scenes", |input| input.id.as_str());
    match variables.get(name) {
        Some(Value::Array(scenes)) => Ok(scenes),
        Some(Value::Null) => Ok(&[]),
        Some(other) => Err(format!("\"{name}\" must be a list of scenes, not {}", shown(other))),
        None => Err("there are no scenes: add an input of type `scene_list` to the manifest".to_owned()),
    }
}

pub(crate) fn too_many(name: &str, count: u64, limits: &Limits) -> String {
    format!("`{name}` asks for {count} instances; at most {} are allowed", limits.instances)
}

fn shown(value: &Value) -> String {
    cut(value.to_string(), 60)
}
