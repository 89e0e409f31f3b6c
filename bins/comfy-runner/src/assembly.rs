//! The steps between a request and a job that the API and the command line share.

use std::sync::Arc;

use comfy_runner_jobs::Submission;
use comfy_runner_manifest::{Manifest, Params, ParamsError};
use comfy_runner_workflow::Assembled;
use serde_json::{Map, Value};

/// Returns the submission for an assembled graph and the caller's `params`.
pub fn submission(assembled: Assembled, manifest: &Manifest, params: Map<String, Value>) -> Submission {
    let mut submission = Submission::new(&manifest.id, &manifest.name, Arc::new(assembled.graph));
    submission.params = params;
    submission.seeds = assembled.seeds;
    submission.result_nodes = assembled.result_nodes;
    submission.output_folder = assembled.output_folder.as_str().to_owned();
    submission.input_files = assembled.input_files;
    submission.required_tags.clone_from(&manifest.requires_tags);
    submission
}

/// Checks params before files have arrived, so that wrong values are refused without an upload.
pub fn check_before_files(manifest: &Manifest, params: &Map<String, Value>) -> Result<(), ParamsError> {
    check_before(manifest, params, None)
}

/// As [`check_before_files`], when a file for the input `next` is the next to come: naming another one as well is wrong.
pub fn check_before_file(
    manifest: &Manifest,
    params: &Map<String, Value>,
    next: &str,
) -> Result<(), ParamsError> {
    check_before(manifest, params, Some(next))
}

fn check_before(
    manifest: &Manifest,
    params: &Map<String, Value>,
    next: Option<&str>,
) -> Result<(), ParamsError> {
    let named_before: Vec<_> = params
        .keys()
        .filter_map(|key| manifest.file_input(key.strip_prefix("_existing_")?))
        .map(|input| &input.id)
        .collect();
    let to_come = manifest.inputs.iter().filter(|input| {
        let named = params.contains_key(&input.id) || named_before.contains(&&input.id);
        input.kind.is_file() && (next == Some(&input.id) || !named)
    });
    Params::check_before_uploads(manifest, params, to_come.map(|input| input.id.as_str()))
}
