//! The files of a workflow as they are written: the text of its manifest, to read and to replace, and its graph.

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::WorkflowCheck;
use comfy_runner_files::ContentHash;
use comfy_runner_manifest::LibraryError;
use comfy_runner_workflow::Workflows;

use super::State;
use super::add_workflow::{may_edit, unusable};
use super::error::ApiError;
use super::inspect::finding;
use super::request_params::read_body;
use super::schemas::needs_schemas;
use crate::workflow_folder;

const YAML: &str = "application/yaml";

/// `GET /api/workflows/{workflow_id}/manifest`
pub async fn show(state: web::Data<State>, id: web::Path<String>) -> Result<impl Responder, ApiError> {
    may_edit(&state)?;
    let of_id = id.clone();
    let text = state.workflows.work(&id, move |library| library.manifest_text(&of_id)).await??;
    Ok(HttpResponse::Ok()
        .content_type(YAML)
        .insert_header((ETAG, etag(&text)))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(text))
}

/// `PUT /api/workflows/{workflow_id}/manifest`
pub async fn replace(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    may_edit(&state)?;
    let expected = Expected::from_request(&request)?;
    let body = read_body(body).await?;
    let text = String::from_utf8(body.to_vec()).map_err(|_| {
        ApiError::BadRequest("the body is not the text of a manifest: it is not UTF-8".to_owned())
    })?;
    let tag = etag(&text);
    let attempt = || {
        let (of_id, text, expected) = (id.clone(), text.clone(), expected.clone());
        state.workflows.work(&id, move |library| write(library, &of_id, &text, &expected))
    };
    let mut written = attempt().await?;
    if matches!(&written, Err(Refusal::Library(LibraryError::Broken { diagnostics, .. })) if needs_schemas(diagnostics))
    {
        state.learn_schemas().await?;
        written = attempt().await?;
    }
    written?;
    let (readiness, findings) = state.check(&id).await?;
    let findings = findings.into_iter().map(finding).collect();
    let check = WorkflowCheck { id: id.into_inner(), readiness, findings };
    Ok(HttpResponse::Ok().insert_header((ETAG, tag)).json(check))
}

/// `GET /api/workflows/{workflow_id}/graph`
pub async fn graph(state: web::Data<State>, id: web::Path<String>) -> Result<impl Responder, ApiError> {
    let workflow = state.workflow(&id).await?;
    let none = || {
        let id = id.as_str();
        ApiError::NotFound(format!("workflow \"{id}\" has no graph of its own: it is assembled from blocks"))
    };
    Ok(HttpResponse::Ok().json(workflow.graph().ok_or_else(none)?))
}

/// Replaces a manifest, if its text is the expected one. One thread at a time does this for a workflow.
fn write(library: &Workflows, id: &str, text: &str, expected: &Expected) -> Result<(), Refusal> {
    let now = library.manifest_text(id).map_err(Refusal::Missing)?;
    if !expected.is(&etag(&now)) {
        return Err(Refusal::Changed);
    }
    library.compile_with(id, text).map_err(Refusal::Library)?;
    workflow_folder::replace_manifest(&library.path().join(id), text).map_err(Refusal::Io)
}

/// Why a manifest is not replaced.
enum Refusal {
    /// There is none, or it cannot be read.
    Missing(LibraryError),
    /// Its text is not the expected one.
    Changed,
    /// The new text makes no workflow.
    Library(LibraryError),
    Io(std::io::Error),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing(error) => error.into(),
            Refusal::Changed => Self::PreconditionFailed(
                "the manifest has been changed since you read it; read it again and repeat your change"
                    .to_owned(),
            ),
            Refusal::Library(LibraryError::Broken { diagnostics, .. }) => unusable(&diagnostics),
            Refusal::Library(error) => error.into(),
            Refusal::Io(error) => {
                tracing::error!(%error, "a manifest cannot be written");
                Self::Files(format!("the manifest cannot be written: {}", error.kind()))
            }
        }
    }
}

/// The text that a caller changed, by its tag.
#[derive(Debug, Clone)]
struct Expected(String);

impl Expected {
    fn from_request(request: &HttpRequest) -> Result<Self, ApiError> {
        let header = request.headers().get(IF_MATCH).and_then(|value| value.to_str().ok());
        header.map(|list| Self(list.to_owned())).ok_or(ApiError::PreconditionRequired(
            "send `If-Match` with the `ETag` of the text that you have changed, so that no other change is lost",
        ))
    }

    fn is(&self, tag: &str) -> bool {
        self.0.split(',').any(|listed| matches!(listed.trim(), listed if listed == "*" || listed == tag))
    }
}

fn etag(text: &str) -> String {
    format!("\"{}\"", ContentHash::of(text.as_bytes()))
}
