//! The list of workflows, and their manifests.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{WorkflowKind, WorkflowList, WorkflowSummary};
use comfy_runner_manifest::{self as manifest, Manifest};

use super::State;
use super::error::ApiError;

/// `GET /api/workflows`: every workflow that works. Broken ones are named in the log.
pub async fn list(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    let listed = state.list().await?;
    let working = listed.iter().filter_map(|listed| listed.workflow.as_ref().ok());
    let summaries: WorkflowList = working.map(|workflow| summary(workflow.manifest())).collect();
    Ok(HttpResponse::Ok().json(summaries))
}

/// `GET /api/run/{workflow_id}`: the manifest, unknown keys included.
pub async fn manifest(state: web::Data<State>, id: web::Path<String>) -> Result<impl Responder, ApiError> {
    let workflow = state.workflow(&id).await?;
    Ok(HttpResponse::Ok().json(workflow.manifest()))
}

/// Returns the entry of a workflow in the list.
fn summary(manifest: &Manifest) -> WorkflowSummary {
    WorkflowSummary {
        id: manifest.id.clone(),
        name: manifest.name.clone(),
        kind: match manifest.kind {
            manifest::WorkflowKind::Static => WorkflowKind::Static,
            manifest::WorkflowKind::Dynamic => WorkflowKind::Dynamic,
        },
        category: manifest.category.clone(),
        description: manifest.description.clone(),
    }
}
