//! The names that a workflow has without declaring them. `docs/manifest.md`, "Built-in names", is the same table for
//! authors. An input, a key of `defaults` or a computed name of the same name takes precedence.
//!
//! | name | value | in |
//! | --- | --- | --- |
//! | `width`, `height` | the sides of the first resolution input, 1024 without one | workflows with such an input, dynamic ones |
//! | `input_image`, `has_input_image` | the uploaded file of the first image input, and whether there is one | all |
//! | `output_dir`, `output_prefix` | the job's folder, and the prefix of its files | all |
//! | `seed` | the request's seed, in a repetition the instance's | workflows with a seed input |
//! | `index`, `batch_num`, `scene_num` | the position in a repetition: from 0, from 1, from 1 | all |
//! | `item` | the element of a list that is repeated over, where it is no map | repetitions |
//! | `duration_frames` | `duration * 16 + 1`, rounded | where there is `duration` |
//! | `hires_width`, `hires_height` | `width * hires_scale`, `height * hires_scale`, truncated; none unless `hires_enabled` | where there are `hires_enabled` and `hires_scale` |
//! | `_uploaded_image`, `_has_input_image`, `_output_dir`, `_iteration` | older names of `input_image`, `has_input_image`, `output_dir`, `index` | all |

use comfy_runner_manifest::{Manifest, Params, WorkflowKind};
use serde_json::Value;

use super::truth::is_true;
use super::variables::Variables;
use crate::output_folder::OutputFolder;

/// The names that every workflow has.
pub(super) const ALWAYS: [&str; 11] = [
    "input_image",
    "has_input_image",
    "output_dir",
    "output_prefix",
    "_uploaded_image",
    "_has_input_image",
    "_output_dir",
    "index",
    "_iteration",
    "batch_num",
    "scene_num",
];

/// The names of a workflow with a resolution input, and of every dynamic one.
pub(super) const SIDES: [&str; 2] = ["width", "height"];

/// The sides in a dynamic workflow without a resolution input.
const SIDE_WITHOUT_INPUT: u64 = 1024;

/// Derived names: the names that they require, and the names that they add.
pub(super) const DERIVED: [(&[&str], &[&str]); 2] = [
    (&["duration"], &["duration_frames"]),
    (&["hires_enabled", "hires_scale"], &["hires_width", "hires_height"]),
];

/// Frames of a second of video, for `duration_frames`.
const FRAMES_PER_SECOND: f64 = 16.0;

/// Returns whether the manifest gives a name a value other than a computed one.
pub(super) fn is_declared(manifest: &Manifest, name: &str) -> bool {
    manifest.input(name).is_some() || manifest.defaults.contains_key(name)
}

/// Returns whether `width` and `height` are built-in names of the workflow.
pub(super) fn has_sides(manifest: &Manifest) -> bool {
    manifest.kind == WorkflowKind::Dynamic || manifest.resolution_input().is_some()
}

/// Sets the names that depend on the request as a whole.
pub(super) fn set_request<'p>(
    variables: &mut Variables<'p>,
    manifest: &Manifest,
    params: &'p Params,
    folder: &OutputFolder,
) {
    let mut set = |name: &'static str, value: Value| variables.set(name, value);
    let image = manifest.file_input("input_image").and_then(|input| params.get(&input.id)).cloned();
    let has_image = image.as_ref().is_some_and(is_true);
    let image = image.unwrap_or(Value::Null);
    set("input_image", image.clone());
    set("_uploaded_image", image);
    set("has_input_image", has_image.into());
    set("_has_input_image", has_image.into());
    set("output_dir", folder.as_str().into());
    set("_output_dir", folder.as_str().into());
    set("output_prefix", folder.final_prefix().into());
    if let Some(input) = manifest.resolution_input() {
        for (name, side) in SIDES.into_iter().zip(["w", "h"]) {
            let value = params.get(&input.id).and_then(|size| size.get(side)).cloned();
            set(name, value.unwrap_or(Value::Null));
        }
    } else if has_sides(manifest) {
        SIDES.into_iter().for_each(|name| set(name, SIDE_WITHOUT_INPUT.into()));
    }
}

/// Sets the names of a position in a repetition, from 0.
pub(super) fn set_position(variables: &mut Variables<'_>, index: usize) {
    variables.set("index", index);
    variables.set("_iteration", index);
    variables.set("batch_num", index + 1);
    variables.set("scene_num", index + 1);
}

/// Sets the derived names that depend on a name of this scope.
pub(super) fn set_derived(variables: &mut Variables<'_>, manifest: &Manifest) {
    let is_free = |variables: &Variables<'_>, name: &str| {
        !variables.has_own(name) && !manifest.computed.contains_key(name) && !is_declared(manifest, name)
    };
    let number = |variables: &Variables<'_>, name: &str| variables.get(name).and_then(Value::as_f64);
    if variables.has_own("duration") && is_free(variables, "duration_frames") {
        let frames = number(variables, "duration").map(|seconds| (seconds * FRAMES_PER_SECOND + 1.0).round());
        variables.set("duration_frames", frames.map_or(Value::Null, whole));
    }
    let concerned =
        ["width", "height", "hires_scale", "hires_enabled"].iter().any(|name| variables.has_own(name));
    let declared = ["hires_scale", "hires_enabled"].iter().all(|name| variables.get(name).is_some());
    if concerned && declared {
        let enabled = variables.get("hires_enabled").is_some_and(is_true);
        let scale = number(variables, "hires_scale").filter(|_| enabled);
        for (side, hires) in SIDES.into_iter().zip(["hires_width", "hires_height"]) {
            if is_free(variables, hires) {
                let pixels = scale.zip(number(variables, side)).map(|(scale, pixels)| scale * pixels);
                variables.set(hires, pixels.map_or(Value::Null, whole));
            }
        }
    }
}

/// Truncates a number to an integer.
fn whole(number: f64) -> Value {
    (number as i64).into()
}
