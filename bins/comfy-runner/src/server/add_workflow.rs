//! A workflow that a caller sends, to add it to the library.

use std::io;
use std::path::Path;

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{NewWorkflow, WorkflowCheck};
use comfy_runner_manifest::{Diagnostics, MANIFEST_FILE, Manifest, WorkflowKind, refuse_id, yaml};
use comfy_runner_workflow::Workflow;
use serde_json::{Map, Value};

use super::State;
use super::error::ApiError;
use super::inspect::finding;
use super::request_params::read_json_body;
use crate::workflow_folder;

/// `PUT /api/workflows/{workflow_id}`
pub async fn add(
    state: web::Data<State>,
    id: web::Path<String>,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    may_edit(&state)?;
    if let Some(reason) = refuse_id(&id) {
        return Err(ApiError::BadRequest(reason));
    }
    let body = read_json_body(body, &state.large_bodies).await?;
    let workflow: NewWorkflow = serde_json::from_slice(&body.bytes).map_err(|error| {
        ApiError::BadRequest(format!("the body is not {{\"manifest\": TEXT, \"graph\": GRAPH}}: {error}"))
    })?;
    let (library, of_id) = (state.workflows.library().path().to_owned(), id.clone());
    let work = web::block(move || create(&library, &of_id, &workflow));
    work.await.map_err(|error| ApiError::Unavailable(error.to_string()))??;
    let (readiness, findings) = state.check(&id).await?;
    let findings = findings.into_iter().map(finding).collect();
    Ok(HttpResponse::Created().json(WorkflowCheck { id: id.into_inner(), readiness, findings }))
}

/// Refuses requests to a server whose library cannot be changed.
pub fn may_edit(state: &State) -> Result<(), ApiError> {
    match state.allow_edit {
        true => Ok(()),
        false => Err(ApiError::Forbidden(
            "this server does not allow adding or editing workflows; start it with --allow-edit, or change the folder yourself",
        )),
    }
}

/// Compiles a workflow that a caller sends. `id` is the one that it must have, if that is known.
pub fn compile(manifest: &str, id: Option<&str>, graph: &Map<String, Value>) -> Result<Workflow, ApiError> {
    let own_id = || {
        let Value::Object(manifest) = yaml::parse(manifest, MANIFEST_FILE).ok()? else { return None };
        manifest.get("id").and_then(Value::as_str).map(str::to_owned)
    };
    let id = id.map(str::to_owned).or_else(own_id).unwrap_or_default();
    let (manifest, _) = Manifest::parse(manifest, &id).map_err(|problems| unusable(&problems))?;
    if manifest.kind != WorkflowKind::Static {
        return Err(ApiError::BadRequest(
            "a workflow with blocks cannot be sent over HTTP, only one with a graph (`type: static`)"
                .to_owned(),
        ));
    }
    let graph = serde_json::to_string(graph)?;
    let compiled = Workflow::new(manifest, &graph, None).map_err(|problems| unusable(&problems))?;
    Ok(compiled.workflow)
}

fn create(library: &Path, id: &str, workflow: &NewWorkflow) -> Result<(), ApiError> {
    compile(&workflow.manifest, Some(id), &workflow.graph)?;
    let graph = serde_json::to_string_pretty(&workflow.graph)?;
    workflow_folder::create(library, id, &workflow.manifest, &graph).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            ApiError::Conflict(format!("there is a workflow \"{id}\"; choose another id"))
        }
        kind => {
            tracing::error!(workflow = id, %error, "a new workflow cannot be written");
            ApiError::Files(format!("the folder of the workflow cannot be written: {kind}"))
        }
    })
}

/// Returns the error for a workflow that a caller sends.
pub fn unusable(problems: &Diagnostics) -> ApiError {
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    ApiError::BadRequest(problems.join("; "))
}
