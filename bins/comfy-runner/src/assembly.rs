//! From a request's values to a graph: the one road that the API and the command line share.

use std::sync::Arc;

use comfy_runner_jobs::Submission;
use comfy_runner_manifest::{Manifest, Params, ParamsError, Uploads};
use comfy_runner_protocol::Graph;
use comfy_runner_workflow::{AssembleError, Assembled, OutputFolder, Workflow};
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

/// What a request makes.
pub struct Assembly {
    /// The graph, and what is known of it.
    pub assembled: Assembled,
    input_files: Vec<String>,
}

impl Assembly {
    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.assembled.graph
    }

    /// What is to be submitted and remembered, where the caller gave these `params`.
    pub fn submission(self, manifest: &Manifest, params: Map<String, Value>) -> Submission {
        Submission {
            workflow_id: manifest.id.clone(),
            workflow_name: manifest.name.clone(),
            params,
            seeds: self.assembled.seeds,
            graph: Arc::new(self.assembled.graph),
            result_nodes: self.assembled.result_nodes,
            output_folder: self.assembled.output_folder.as_str().to_owned(),
            input_files: self.input_files,
            retry_of: None,
            idempotency: None,
        }
    }
}

/// Checks a request's values and puts the graph together for a run, with fresh seeds and an output folder of its own.
///
/// `uploads` are the names under which ComfyUI stored files, by input id.
pub fn assemble(
    workflow: &Workflow,
    params: &Map<String, Value>,
    uploads: &Uploads,
) -> Result<Assembly, RequestError> {
    let folder = OutputFolder::new(OffsetDateTime::now_utc(), rand::random());
    assemble_into(&folder, workflow, params, uploads)
}

/// As [`assemble`], for a graph that is only looked at: its output folder is always the same, so that the same values
/// and seeds give the same bytes.
pub fn assemble_for_show(workflow: &Workflow, params: &Map<String, Value>) -> Result<Assembly, RequestError> {
    let folder = OutputFolder::new(OffsetDateTime::UNIX_EPOCH, 0);
    assemble_into(&folder, workflow, params, &Uploads::new())
}

fn assemble_into(
    folder: &OutputFolder,
    workflow: &Workflow,
    params: &Map<String, Value>,
    uploads: &Uploads,
) -> Result<Assembly, RequestError> {
    let params = Params::check(workflow.manifest(), params, uploads, &mut rand::random)?;
    let assembled = workflow.assemble(&params, folder)?;
    Ok(Assembly { assembled, input_files: input_files(workflow.manifest(), &params) })
}

/// The files that inputs name, each once.
fn input_files(manifest: &Manifest, params: &Params) -> Vec<String> {
    let inputs = manifest.inputs.iter().filter(|input| input.kind.is_file());
    let names = inputs.filter_map(|input| params.get(&input.id)?.as_str());
    let names: indexmap::IndexSet<_> = names.filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.into_iter().collect()
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
