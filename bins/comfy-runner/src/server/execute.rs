//! Running a workflow, and uploading what it needs.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::{ExecuteQuery, Submitted, Uploaded};
use comfy_runner_jobs::{Idempotency, PartnerKey};
use comfy_runner_manifest::{COUNT_KEY, params_of_jobs};
use comfy_runner_scheduler::Priority;
use comfy_runner_workflow::Workflow;

use super::State;
use super::auth::Caller;
use super::error::ApiError;
use super::form::{Files, Form, read_upload};
use super::idempotency::{self, RequestDigest};
use super::partner_key;
use super::priority;
use super::several_jobs;
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
    let workflow = state.workflow(&id).await?;
    let request = JobRequest::read(&state, &workflow, &request, body).await?;
    let Some(params) = params_of_jobs(workflow.manifest(), &request.form.params)? else {
        let submitted = submit(&state, &workflow, request).await?;
        return wait::answer(&state, wait, submitted).await;
    };
    if wait.is_some_and(Wait::is_for_result) {
        let message = format!("`result` is one file: leave it out, or leave out `{COUNT_KEY}`");
        return Err(ApiError::BadRequest(message));
    }
    let jobs = several_jobs::submit(&state, &workflow, request, params).await?;
    wait::answer_all(&state, wait, jobs).await
}

/// What a request asks for.
pub struct JobRequest {
    /// The params, and the files that were stored.
    pub form: Form,
    /// The key for partner nodes.
    pub partner_key: Option<PartnerKey>,
    /// Who sends it.
    pub caller: Caller,
    /// The priority of its jobs.
    pub priority: Priority,
    /// The idempotency key.
    pub idempotency: Option<Idempotency>,
    /// Whether an earlier request with this key led to a job. The files are not uploaded again then.
    pub known: bool,
}

impl JobRequest {
    /// Reads the body and the headers of a request.
    async fn read(
        state: &State,
        workflow: &Workflow,
        request: &HttpRequest,
        body: web::Payload,
    ) -> Result<Self, ApiError> {
        let manifest = workflow.manifest();
        let caller = Caller::of(request);
        let Some(key) = idempotency::key(request)? else {
            let mut form = Form::read(request, body, manifest, state, Files::Upload).await?;
            let partner_key = partner_key::take(request, &mut form.params)?;
            let priority = priority::take(request, &caller, &mut form.params)?;
            return Ok(Self { form, partner_key, caller, priority, idempotency: None, known: false });
        };
        let digest = RequestDigest::default();
        let known = state.jobs.is_known_key(&key).await?;
        let files = if known { Files::Digest(&digest) } else { Files::UploadAndDigest(&digest) };
        let mut form = Form::read(request, body, manifest, state, files).await?;
        let partner_key = partner_key::take(request, &mut form.params)?;
        let priority = priority::take(request, &caller, &mut form.params)?;
        let idempotency = Some(digest.with_key(key, &manifest.id, &form.params));
        Ok(Self { form, partner_key, caller, priority, idempotency, known })
    }
}

/// Submits the job of a request, or finds the job of an earlier one with the same idempotency key.
async fn submit(state: &State, workflow: &Workflow, request: JobRequest) -> Result<Submitted, ApiError> {
    let JobRequest { form, partner_key, caller, priority, idempotency, known } = request;
    if let Some(idempotency) = idempotency.as_ref().filter(|_| known) {
        return Ok(state.jobs.submitted_before(idempotency).await?);
    }
    let assembled = workflow.request(&form.params).uploads(form.uploads).assemble()?;
    let mut submission = submission(assembled, workflow.manifest(), form.params);
    submission.idempotency = idempotency;
    submission.partner_key = partner_key;
    submission.caller = caller.name.to_string();
    submission.priority = priority;
    Ok(state.jobs.submit(&state.clients, submission).await?)
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
