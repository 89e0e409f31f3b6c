//! From a request's values to a graph: the one road that the API and the command line share.

use comfy_runner_manifest::{Manifest, Params, ParamsError};
use comfy_runner_workflow::{AssembleError, Assembled, OutputFolder, Workflow};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// Why a request makes no graph.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The values are not what the workflow takes.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The values are fine, and still nothing can be made of them.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

/// Checks a request's values and puts the graph together, with fresh seeds and an output folder of its own.
///
/// `uploads` are the names under which ComfyUI stored files, by input id.
pub fn assemble(
    workflow: &Workflow,
    params: &Map<String, Value>,
    uploads: &IndexMap<String, String>,
) -> Result<Assembled, RequestError> {
    let params = Params::check(workflow.manifest(), params, uploads, &mut rand::random)?;
    let folder = OutputFolder::new(OffsetDateTime::now_utc(), rand::random());
    Ok(workflow.assemble(&params, &folder)?)
}

/// Checks what can be checked before files have arrived, so that wrong values are refused without an upload.
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
