//! What is remembered of jobs, and what can be done with it.

mod files;
mod package;
mod package_path;
mod query;

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpResponse, Responder, web};
use comfy_runner_store::Summary;
use comfy_runner_workflow::OutputFolder;
use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use super::State;
use super::error::ApiError;
pub use files::files;
pub use package::package;

/// `GET /api/jobs`
pub async fn list(
    state: web::Data<State>,
    query: web::Query<query::ListQuery>,
) -> Result<impl Responder, ApiError> {
    #[derive(Serialize)]
    struct Listed {
        jobs: Vec<Summary>,
        next_cursor: Option<String>,
    }
    let page = state.jobs.list(query.filter()?).await?;
    answer(&Listed { jobs: page.jobs, next_cursor: page.next.map(query::cursor) })
}

/// `GET /api/jobs/{prompt_id}`
pub async fn show(state: web::Data<State>, prompt_id: web::Path<String>) -> Result<impl Responder, ApiError> {
    answer(&state.jobs.record(&prompt_id).await?)
}

/// `POST /api/jobs/{prompt_id}/retry`
pub async fn retry(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let folder = OutputFolder::new(OffsetDateTime::now_utc(), rand::random());
    let submitted = state.jobs.retry(&state.client, &prompt_id, folder.as_str()).await?;
    Ok(HttpResponse::Ok().json(submitted))
}

/// `DELETE /api/jobs/{prompt_id}`
pub async fn forget(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    state.jobs.forget(&prompt_id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/queue`
pub async fn queue(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    #[derive(Serialize)]
    struct Listed {
        running: usize,
        pending: usize,
        jobs: Vec<Active>,
    }
    #[derive(Serialize)]
    struct Active {
        position: Option<usize>,
        progress: Option<Box<RawValue>>,
        #[serde(flatten)]
        summary: Summary,
    }
    let active = state.jobs.active(&state.client).await?;
    let jobs = active.jobs.into_iter().map(|job| {
        let progress = state
            .jobs
            .with_progress(&job.summary.prompt_id, |progress, now| {
                serde_json::value::to_raw_value(&progress.snapshot(now))
            })
            .transpose()?;
        Ok(Active { position: job.position, progress, summary: job.summary })
    });
    let jobs = jobs.collect::<Result<_, serde_json::Error>>()?;
    answer(&Listed { running: active.running, pending: active.pending, jobs })
}

/// JSON that is true now and perhaps not in a moment.
fn answer(body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(serde_json::to_vec(body)?))
}
