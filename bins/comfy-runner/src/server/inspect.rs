//! The workflow that would be made of a saved file. Nothing is stored.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::{Finding, FindingSeverity, Input, InspectQuery, Inspection};
use comfy_runner_editor::file::{SavedFile, SavedFileError, read_saved};
use comfy_runner_manifest::{Diagnostic, MANIFEST_FILE, Manifest, refuse_id};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{ScaffoldError, Workflow, scaffold_file};
use serde_json::{Map, Value};

use super::State;
use super::error::ApiError;
use super::form::read_to_disk;

/// `POST /api/workflows/inspect`
pub async fn inspect(
    state: web::Data<State>,
    query: web::Query<InspectQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let id = query.into_inner().id;
    if let Some(reason) = refuse_id(&id) {
        return Err(ApiError::BadRequest(reason));
    }
    let mut file = read_to_disk(&request, body, &state).await?;
    let schemas = state.latest_schemas().await?;
    // Parsing a large graph would delay other requests.
    let work = web::block(move || inspected(read_saved(&mut file)?, &schemas, &id));
    Ok(HttpResponse::Ok().json(work.await.map_err(|error| ApiError::Unavailable(error.to_string()))??))
}

fn inspected(
    file: SavedFile,
    schemas: &ObjectInfo,
    id: &str,
) -> Result<Inspection<Map<String, Value>>, ApiError> {
    let noticed = file.warning.clone();
    let made = scaffold_file(file, schemas, id)?;
    let (workflow, problems) = made.check(schemas, id).map_err(|problems| unusable(&problems))?;
    let findings = problems.into_iter().map(finding);
    Ok(Inspection {
        findings: noticed.into_iter().chain(made.left_out()).map(warning).chain(findings).collect(),
        manifest: Workflow::manifest(&workflow).json().clone(),
        others: inputs_of(&made.others, id)?,
        yaml: made.manifest,
        graph: made.graph,
    })
}

/// Returns the inputs of a manifest.
fn inputs_of(manifest: &str, id: &str) -> Result<Vec<Input>, ApiError> {
    let (manifest, _) = Manifest::parse(manifest, id).map_err(|problems| unusable(&problems))?;
    let inputs = manifest.json().get("inputs").cloned().unwrap_or_default();
    serde_json::from_value(inputs).map_err(|error| ApiError::Unavailable(error.to_string()))
}

fn unusable(problems: &[Diagnostic]) -> ApiError {
    let problems: Vec<String> = problems.iter().map(Diagnostic::to_string).collect();
    ApiError::BadRequest(format!("no workflow can be made of this graph: {}", problems.join("; ")))
}

fn warning(message: String) -> Finding {
    Finding { severity: FindingSeverity::Warning, file: MANIFEST_FILE.to_owned(), line: None, message }
}

/// Returns a diagnostic as the API shows it.
pub fn finding(problem: Diagnostic) -> Finding {
    let severity = if problem.is_error() { FindingSeverity::Error } else { FindingSeverity::Warning };
    let Diagnostic { file, line, message, .. } = problem;
    Finding { severity, file, line, message }
}

impl From<SavedFileError> for ApiError {
    fn from(error: SavedFileError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<ScaffoldError> for ApiError {
    fn from(error: ScaffoldError) -> Self {
        Self::BadRequest(error.to_string())
    }
}
