//! The older dialect of pipelines, from the manifest reference of ComfyUI Studio:
//!
//! ```yaml
//! pipeline:
//!   - {block: setup, file: setup.json}
//!   - {block: scene_first, file: scene_first.json, repeat: 1}
//!   - {block: scene_extend, file: scene_extend.json, repeat_variable: extra_scenes}
//!   - {block: output, file: output.json}
//! connections:
//!   setup_to_scenes: {model: setup.model}
//!   scene_chain: {prev_samples: prev_scene.samples}
//!   last_scene_to_output: {final_images: last_scene.images}
//! ```
//!
//! `repeat_variable` repeats its own stage only. Beside one that repeats for the scenes after the first, a stage with
//! `repeat: 1`, or one called `scene_first`, takes the first scene. The names of the maps in `connections` mean nothing.

use serde_json::{Map, Value};

use crate::diagnostic::{DiagnosticKind, FileDiagnostics};
use crate::fields::Fields;
use crate::nearest::did_you_mean;
use crate::stage::{Connection, ConnectionSource, Repeat, Stage};

/// The name of the stage for the first scene.
const FIRST_SCENE: &str = "scene_first";

/// What `connections` calls the scene before the one that imports.
const PREVIOUS_SCENE: &str = "prev_scene";

/// What `connections` calls the latest scene.
const LAST_SCENE: &str = "last_scene";

/// Rewrites stages of the older dialect as those of the current one. `entries` are the stages as they are written.
pub(crate) fn translate(
    manifest: &Map<String, Value>,
    entries: &[Value],
    stages: &mut [Stage],
    report: &mut FileDiagnostics<'_>,
) {
    let has_variable = |block: &str| {
        let entry = entries.iter().find(|entry| entry.get("block").and_then(Value::as_str) == Some(block));
        entry.is_some_and(|entry| entry.get("repeat_variable").is_some_and(Value::is_string))
    };
    let is_older: Vec<bool> = stages.iter().map(|stage| has_variable(&stage.block)).collect();
    let extends = |(stage, older): (&Stage, &bool)| *older && stage.repeat == Some(Repeat::ExtraScenes);
    if let Some(extending) = stages.iter().zip(&is_older).position(extends) {
        for stage in stages[..extending].iter_mut().filter(|stage| stage.scene_index.is_none()) {
            let is_first = stage.repeat == Some(Repeat::Count(1));
            if is_first || stage.repeat.is_none() && stage.block == FIRST_SCENE {
                (stage.repeat, stage.scene_index) = (None, Some(0));
            }
        }
    }
    for at in 1..stages.len() {
        if is_older[at - 1] && stages[at].repeat.is_none() && stages[at].in_repeat.is_none() {
            stages[at].in_repeat = Some(false);
        }
    }
    let connections = read_connections(manifest, stages, report);
    for stage in stages {
        for (import, connection) in &connections {
            let applies = match &connection.source {
                ConnectionSource::Previous => stage.repeat.is_some(),
                ConnectionSource::Stage(source) => *source != stage.block,
                _ => stage.repeat.is_none(),
            };
            if applies {
                stage.connections.entry(import.clone()).or_insert_with(|| connection.clone());
            }
        }
    }
}

fn read_connections(
    manifest: &Map<String, Value>,
    stages: &[Stage],
    report: &mut FileDiagnostics<'_>,
) -> Vec<(String, Connection)> {
    let mut fields = Fields::new(manifest, String::new(), "", report);
    let mut connections = Vec::new();
    let Some(groups) = fields.map("connections") else { return connections };
    let known = || stages.iter().map(|stage| stage.block.as_str()).chain([PREVIOUS_SCENE, LAST_SCENE]);
    for (name, group) in groups {
        let place = format!("connections/{}", crate::lines::escape(name));
        let Value::Object(group) = group else {
            let message = format!("`connections`, \"{name}\": this is a map from import to `stage.export`");
            fields.error(DiagnosticKind::WrongType, &place, message);
            continue;
        };
        for (import, source) in group {
            let place = format!("{place}/{}", crate::lines::escape(import));
            let written = source.as_str().and_then(|source| source.split_once('.'));
            let Some((source, export)) = written else {
                let message = format!(
                    "`connections`, \"{import}\": must be `stage.export`, such as `setup.model`, not {source}"
                );
                fields.error(DiagnosticKind::WrongType, &place, message);
                continue;
            };
            let source = match source {
                PREVIOUS_SCENE => ConnectionSource::Previous,
                LAST_SCENE => ConnectionSource::Latest,
                stage if known().any(|known| known == stage) => ConnectionSource::Stage(stage.to_owned()),
                other => {
                    let hint = did_you_mean(other, known());
                    let message =
                        format!("`connections`, \"{import}\": there is no stage \"{other}\".{hint}");
                    fields.error(DiagnosticKind::Import, &place, message);
                    continue;
                }
            };
            connections.push((import.clone(), Connection { source, export: export.to_owned() }));
        }
    }
    connections
}
