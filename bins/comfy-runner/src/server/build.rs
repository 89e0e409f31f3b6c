//! Graphs without a run.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use serde::Deserialize;

use super::State;
use super::error::ApiError;
use super::form::{Files, Form};
use crate::assembly::assemble;

/// The query string of `build`.
#[derive(Debug, Deserialize)]
pub struct Query {
    #[serde(default)]
    format: Option<String>,
}

/// `POST /api/run/{workflow_id}/build`
pub async fn build(
    state: web::Data<State>,
    id: web::Path<String>,
    query: web::Query<Query>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let workflow = state.workflows.get(&id)?;
    match query.format.as_deref() {
        None | Some("api") => {}
        Some("workflow") => {
            return Err(ApiError::NotImplemented("`format=workflow` is not there yet; use `format=api`"));
        }
        Some(other) => {
            return Err(ApiError::BadRequest(format!("`format` is `api` or `workflow`, not \"{other}\"")));
        }
    }
    let form = Form::read(&request, body, workflow.manifest(), &state, Files::Upload).await?;
    let assembled = assemble(&workflow, &form.params, &form.uploads)?;
    Ok(HttpResponse::Ok().json(assembled.graph()))
}
