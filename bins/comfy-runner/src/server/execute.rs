//! Running a workflow, and uploading what it needs.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::{ExecuteQuery, Submitted, Uploaded};
use comfy_runner_jobs::{Idempotency, PartnerKey};
use comfy_runner_workflow::Workflow;

use super::State;
use super::error::ApiError;
use super::form::{Files, Form, read_upload};
use super::idempotency::{self, RequestDigest};
use super::partner_key;
use super::wait::{self, Wait};
use crate::assembly::submission;

/// `POST /api/run/{workflow_id}/execute`
pub async fn execute(
    state: web::Data<State>,
    id: web::Path<String>,
    query: web::Query<ExecuteQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let wait = Wait::from_request(&request, &query)?;
    let submitted = submit(&state, &id, &request, body).await?;
    wait::answer(&state, wait, submitted).await
}

/// Submits the job of a request, or finds the job of an earlier one with the same idempotency key.
async fn submit(
    state: &State,
    id: &str,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<Submitted, ApiError> {
    let workflow = state.workflow(id).await?;
    let Some(key) = idempotency::key(request)? else {
        let mut form = Form::read(request, body, workflow.manifest(), state, Files::Upload).await?;
        let key = partner_key::take(request, &mut form.params)?;
        return run(state, &workflow, form, key, None).await;
    };
    let digest = RequestDigest::default();
    let known = state.jobs.is_known_key(&key).await?;
    let files = if known { Files::Digest(&digest) } else { Files::UploadAndDigest(&digest) };
    let mut form = Form::read(request, body, workflow.manifest(), state, files).await?;
    let partner_key = partner_key::take(request, &mut form.params)?;
    let idempotency = digest.with_key(key, id, &form.params);
    if known {
        return Ok(state.jobs.submitted_before(&idempotency).await?);
    }
    run(state, &workflow, form, partner_key, Some(idempotency)).await
}

async fn run(
    state: &State,
    workflow: &Workflow,
    form: Form,
    partner_key: Option<PartnerKey>,
    idempotency: Option<Idempotency>,
) -> Result<Submitted, ApiError> {
    let assembled = workflow.request(&form.params).uploads(form.uploads).assemble()?;
    let mut submission = submission(assembled, workflow.manifest(), form.params);
    submission.idempotency = idempotency;
    submission.partner_key = partner_key;
    Ok(state.jobs.submit(&state.client, submission).await?)
}

/// `POST /api/run/upload-image`
pub async fn upload_image(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let filename = read_upload(&request, body, &state).await.map_err(ApiError::for_upload)?;
    Ok(HttpResponse::Ok().json(Uploaded { filename }))
}
