//! Which workflows there are.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_manifest::Manifest;
use serde::Serialize;

use super::State;
use super::error::ApiError;

/// `GET /api/workflows`: every workflow that works. Broken ones are named in the log.
pub async fn list(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    let listed = state.list().await?;
    let working = listed.iter().filter_map(|listed| listed.workflow.as_ref().ok());
    let summaries: Vec<_> = working.map(|workflow| Summary::of(workflow.manifest())).collect();
    Ok(HttpResponse::Ok().json(summaries))
}

/// `GET /api/run/{workflow_id}`: the manifest, unknown keys included.
pub async fn manifest(state: web::Data<State>, id: web::Path<String>) -> Result<impl Responder, ApiError> {
    let workflow = state.workflow(&id).await?;
    Ok(HttpResponse::Ok().json(workflow.manifest()))
}

/// What a list shows of a workflow.
#[derive(Serialize)]
struct Summary {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    category: Option<String>,
    description: Option<String>,
}

impl Summary {
    fn of(manifest: &Manifest) -> Self {
        Self {
            id: manifest.id.clone(),
            name: manifest.name.clone(),
            kind: manifest.kind.as_str(),
            category: manifest.category.clone(),
            description: manifest.description.clone(),
        }
    }
}
