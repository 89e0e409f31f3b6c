//! Graphs without a run.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use serde::Deserialize;

use super::State;
use super::error::ApiError;
use super::form::{Files, Form};

/// The query string of `build`.
#[derive(Debug, Deserialize)]
pub struct Query {
    #[serde(default)]
    format: Option<String>,
}

/// What a graph is written in.
enum Format {
    /// What ComfyUI's `/prompt` takes.
    Api,
    /// What ComfyUI's editor opens.
    Workflow,
}

impl Query {
    fn format(&self) -> Result<Format, ApiError> {
        match self.format.as_deref() {
            None | Some("api") => Ok(Format::Api),
            Some("workflow") => Ok(Format::Workflow),
            Some(other) => {
                Err(ApiError::BadRequest(format!("`format` is `api` or `workflow`, not \"{other}\"")))
            }
        }
    }
}

/// `POST /api/run/{workflow_id}/build`
pub async fn build(
    state: web::Data<State>,
    id: web::Path<String>,
    query: web::Query<Query>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let format = query.format()?;
    let workflow = state.workflow(&id).await?;
    let form = Form::read(&request, body, workflow.manifest(), &state, Files::Upload).await?;
    let assembled = workflow.request(&form.params).uploads(form.uploads).assemble()?;
    Ok(match format {
        Format::Api => HttpResponse::Ok().json(assembled.graph),
        Format::Workflow => HttpResponse::Ok().json(state.draw(&workflow, &assembled).await?.graph),
    })
}
