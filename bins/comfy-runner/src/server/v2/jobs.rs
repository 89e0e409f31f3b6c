//! A job, its graph and its log.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_api::JobDetails;
use comfy_runner_api_v2::{Job, JobLogs, JobWorkflow, Links};
use comfy_runner_jobs::Jobs;
use serde::Serialize;
use time::OffsetDateTime;

use super::error::V2Error;
use super::outputs;
use crate::server::State;
use crate::server::error::ApiError;

/// `GET /api/v2/jobs/{id}`
pub async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, V2Error> {
    let details = state.jobs.details(&id).await?;
    let job = job(&state, &details, &state.public_url.links(&request)).await?;
    answer(HttpResponse::Ok(), &job)
}

/// `GET /api/v2/jobs/{id}/workflow`
pub async fn workflow(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, V2Error> {
    let record = state.jobs.record(&id).await?;
    answer(HttpResponse::Ok(), &JobWorkflow { workflow: &record.graph, format: "api" })
}

/// `GET /api/v2/jobs/{id}/logs`
pub async fn logs(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, V2Error> {
    let details = state.jobs.details(&id).await?;
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    match JobLogs::new(&details, i64::try_from(now).unwrap_or(i64::MAX)) {
        Some(logs) => answer(HttpResponse::Ok(), &logs),
        None => Ok(HttpResponse::NoContent().finish()),
    }
}

/// Returns the body of a job, with its outputs as far as they are known.
pub async fn job(state: &State, details: &JobDetails, links: &Links) -> Result<Job, V2Error> {
    let kept_for = kept_for(&state.jobs);
    let outputs = outputs::describe(state, details).await?;
    let outputs = outputs.into_iter().map(|output| output.into_body(details, links, kept_for)).collect();
    Ok(Job::new(details, outputs, links, kept_for))
}

/// Returns how long the record of a job is kept after its end, in milliseconds; `None` for ever.
pub fn kept_for(jobs: &Jobs) -> Option<i64> {
    jobs.kept_for().map(|kept| i64::try_from(kept.as_millis()).unwrap_or(i64::MAX))
}

/// Answers JSON that must not be cached.
pub fn answer(
    mut response: actix_web::HttpResponseBuilder,
    body: &impl Serialize,
) -> Result<HttpResponse, V2Error> {
    let body = serde_json::to_vec(body).map_err(ApiError::from)?;
    Ok(response.content_type(ContentType::json()).insert_header((CACHE_CONTROL, "no-store")).body(body))
}
