//! The list of workflows, what each lacks to run, and their manifests.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{
    BrokenWorkflow, BrokenWorkflows, ManifestQuery, WorkflowCheck, WorkflowKind, WorkflowList,
    WorkflowReadiness, WorkflowSummary, WorkflowsQuery,
};
use comfy_runner_manifest::{self as manifest, Listed, Manifest};

use super::State;
use super::error::ApiError;
use super::inspect::finding;

/// `GET /api/workflows`: every workflow that works. See [`broken`] for the others.
pub async fn list(
    state: web::Data<State>,
    query: web::Query<WorkflowsQuery>,
) -> Result<impl Responder, ApiError> {
    let filter = Filter::from_query(&query)?;
    let listed = state.list().await?;
    let working = listed.into_iter().filter_map(|listed| listed.workflow.ok());
    let wanted = working.filter(|workflow| filter.has_manifest(workflow.manifest())).collect();
    let mut summaries: WorkflowList = Vec::new();
    for (workflow, readiness) in state.readiness(wanted).await? {
        if filter.ready.is_none_or(|ready| ready == readiness.ready) {
            summaries.push(summary(workflow.manifest(), readiness));
        }
    }
    Ok(HttpResponse::Ok().json(summaries))
}

/// `GET /api/broken-workflows`: every workflow that [`list`] leaves out because of its files.
pub async fn broken(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    let listed = state.list().await?;
    let broken = listed.into_iter().filter_map(|Listed { id, workflow, .. }| {
        let problems = workflow.err()?;
        Some(BrokenWorkflow { id, findings: problems.iter().cloned().map(finding).collect() })
    });
    Ok(HttpResponse::Ok().json(broken.collect::<BrokenWorkflows>()))
}

/// `GET /api/workflows/{workflow_id}/check`: everything that is wrong with a workflow, or missing.
pub async fn check(state: web::Data<State>, id: web::Path<String>) -> Result<impl Responder, ApiError> {
    let (readiness, findings) = state.check(&id).await?;
    let findings = findings.into_iter().map(finding).collect();
    Ok(HttpResponse::Ok().json(WorkflowCheck { id: id.into_inner(), readiness, findings }))
}

/// `GET /api/run/{workflow_id}`: the manifest, unknown keys included.
pub async fn manifest(
    state: web::Data<State>,
    id: web::Path<String>,
    query: web::Query<ManifestQuery>,
) -> Result<impl Responder, ApiError> {
    let resolve = match query.resolve.as_deref() {
        None | Some("false" | "0") => false,
        Some("true" | "1") => true,
        Some(other) => {
            return Err(ApiError::BadRequest(format!("`resolve` is `true` or `false`, not \"{other}\"")));
        }
    };
    let workflow = state.workflow(&id).await?;
    if !resolve {
        return Ok(HttpResponse::Ok().json(workflow.manifest()));
    }
    let schemas = state.schemas_for_options(&workflow.manifest().requires_tags).await?;
    Ok(HttpResponse::Ok().json(workflow.manifest_with_options(&schemas)))
}

/// `GET /api/run/{workflow_id}/schema`: the JSON Schema of the params.
pub async fn params_schema(
    state: web::Data<State>,
    id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let schema = state.workflow(&id).await?.manifest().params_schema();
    let body = serde_json::to_vec(&schema)?;
    Ok(HttpResponse::Ok().content_type("application/schema+json").body(body))
}

/// The workflows to list.
struct Filter<'q> {
    category: Option<&'q str>,
    kind: Option<WorkflowKind>,
    ready: Option<Option<bool>>,
}

impl<'q> Filter<'q> {
    fn from_query(query: &'q WorkflowsQuery) -> Result<Self, ApiError> {
        let kind = match query.kind.as_deref() {
            None => None,
            Some("static") => Some(WorkflowKind::Static),
            Some("dynamic") => Some(WorkflowKind::Dynamic),
            Some(other) => {
                return Err(ApiError::BadRequest(format!(
                    "`type` is `static` or `dynamic`, not \"{other}\""
                )));
            }
        };
        let ready = match query.ready.as_deref() {
            None => None,
            Some("true" | "1") => Some(Some(true)),
            Some("false" | "0") => Some(Some(false)),
            Some("unknown") => Some(None),
            Some(other) => {
                let message = format!("`ready` is `true`, `false` or `unknown`, not \"{other}\"");
                return Err(ApiError::BadRequest(message));
            }
        };
        Ok(Self { category: query.category.as_deref(), kind, ready })
    }

    fn has_manifest(&self, manifest: &Manifest) -> bool {
        let category = self.category.is_none_or(|category| manifest.category.as_deref() == Some(category));
        category && self.kind.is_none_or(|wanted| wanted == kind(manifest))
    }
}

/// Returns the entry of a workflow in the list.
fn summary(manifest: &Manifest, readiness: WorkflowReadiness) -> WorkflowSummary {
    WorkflowSummary {
        id: manifest.id.clone(),
        name: manifest.name.clone(),
        kind: kind(manifest),
        category: manifest.category.clone(),
        description: manifest.description.clone(),
        readiness,
    }
}

fn kind(manifest: &Manifest) -> WorkflowKind {
    match manifest.kind {
        manifest::WorkflowKind::Static => WorkflowKind::Static,
        // Anything but one graph is assembled for each request.
        _ => WorkflowKind::Dynamic,
    }
}
