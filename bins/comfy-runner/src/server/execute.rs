//! Running a workflow, and uploading what it needs.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use serde_json::json;

use super::State;
use super::error::ApiError;
use super::form::{Form, read_upload};
use crate::assembly::assemble;

/// `POST /api/run/{workflow_id}/execute`
pub async fn execute(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let workflow = state.workflow(&id).await?;
    let form = Form::read(&request, body, workflow.manifest(), &state).await?;
    let assembled = assemble(&workflow, &form.params, &form.uploads)?;
    let submission = assembled.submission(workflow.manifest(), form.params);
    Ok(HttpResponse::Ok().json(state.jobs.submit(&state.client, submission).await?))
}

/// `POST /api/run/upload-image`
pub async fn upload_image(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let filename = read_upload(&request, body, &state).await.map_err(ApiError::for_upload)?;
    Ok(HttpResponse::Ok().json(json!({"filename": filename})))
}
