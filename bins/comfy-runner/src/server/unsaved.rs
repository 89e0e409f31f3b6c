//! Manifests and workflows that are not in the library: values for a text, and a run. Nothing is stored but the job.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::{EditedManifest, ManifestEdit, UnsavedRun};
use comfy_runner_manifest::{MANIFEST_FILE, Manifest, yaml};
use serde_json::Value;

use super::State;
use super::add_workflow::compile;
use super::auth::Caller;
use super::error::ApiError;
use super::inspect::finding;
use super::request_params::read_json_body;
use super::{partner_key, priority};
use crate::assembly::submission;

/// `POST /api/manifest/edit`
pub async fn edit(state: web::Data<State>, body: web::Payload) -> Result<impl Responder, ApiError> {
    let body = read_json_body(body, &state.large_bodies).await?;
    let edit: ManifestEdit = serde_json::from_slice(&body.bytes).map_err(|error| {
        ApiError::BadRequest(format!("the body is not {{\"yaml\": TEXT, \"manifest\": VALUES}}: {error}"))
    })?;
    // A long text would delay other requests.
    let work = web::block(move || edited(edit));
    Ok(HttpResponse::Ok().json(work.await.map_err(|error| ApiError::Unavailable(error.to_string()))??))
}

fn edited(edit: ManifestEdit) -> Result<EditedManifest, ApiError> {
    let wrong = |problem: &dyn ToString| ApiError::BadRequest(problem.to_string());
    let yaml = match edit.manifest {
        Some(wanted) => yaml::edit(&edit.yaml, &wanted).map_err(|error| wrong(&error))?,
        None => edit.yaml,
    };
    let Value::Object(manifest) = yaml::parse(&yaml, MANIFEST_FILE).map_err(|problem| wrong(&problem))?
    else {
        return Err(wrong(&"a manifest is a map with `id`, `name`, `inputs`, ..."));
    };
    let id = manifest.get("id").and_then(Value::as_str).unwrap_or_default();
    let (_, problems) = Manifest::parse_partly(&yaml, id);
    Ok(EditedManifest { yaml, manifest, findings: problems.into_iter().map(finding).collect() })
}

/// `POST /api/manifest/execute`
pub async fn execute(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let body = read_json_body(body, &state.large_bodies).await?;
    let UnsavedRun { manifest, graph, mut params } =
        serde_json::from_slice(&body.bytes).map_err(|error| {
            ApiError::BadRequest(format!(
                "the body is not {{\"manifest\": TEXT, \"graph\": GRAPH, \"params\": PARAMS}}: {error}"
            ))
        })?;
    let caller = Caller::of(&request);
    let partner_key = partner_key::take(&request, &mut params)?;
    let priority = priority::take(&request, &caller, &mut params)?;
    let work = web::block(move || compile(&manifest, None, &graph));
    let workflow = work.await.map_err(|error| ApiError::Unavailable(error.to_string()))??;
    let assembled = workflow.request(&params).assemble()?;
    let mut submission = submission(assembled, workflow.manifest(), params);
    submission.partner_key = partner_key;
    submission.caller = caller.name.to_string();
    submission.priority = priority;
    Ok(HttpResponse::Ok().json(state.jobs.submit(&state.clients, submission).await?))
}
