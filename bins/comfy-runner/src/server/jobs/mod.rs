//! Records of jobs.

mod delete;
mod files;
mod package;
mod package_path;
pub mod query;

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::{JobList, JobsQuery};
use comfy_runner_workflow::OutputFolder;
use serde::Serialize;
use time::OffsetDateTime;

use super::State;
use super::error::ApiError;
use super::partner_key;
pub use delete::delete;
pub use files::{files, files_and_texts, link};
pub use package::package;

/// `GET /api/jobs`
pub async fn list(state: web::Data<State>, query: web::Query<JobsQuery>) -> Result<impl Responder, ApiError> {
    let page = state.jobs.list(query::filter(&query)?).await?;
    answer(&JobList { jobs: page.jobs, next_cursor: page.next.map(query::cursor) })
}

/// `GET /api/jobs/{prompt_id}`
pub async fn show(state: web::Data<State>, prompt_id: web::Path<String>) -> Result<impl Responder, ApiError> {
    answer(&state.jobs.record(&prompt_id).await?)
}

/// `POST /api/jobs/{prompt_id}/retry`
pub async fn retry(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
    request: HttpRequest,
) -> Result<impl Responder, ApiError> {
    let key = partner_key::from_header(&request)?;
    let folder = OutputFolder::new(OffsetDateTime::now_utc(), rand::random());
    let submitted = state.jobs.retry(&state.clients, &prompt_id, folder.as_str(), key).await?;
    Ok(HttpResponse::Ok().json(submitted))
}

/// `GET /api/queue`
pub async fn queue(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    answer(&state.jobs.queue(&state.clients).await?)
}

/// Answers JSON that must not be cached.
pub fn answer(body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(serde_json::to_vec(body)?))
}
