//! Following jobs: a WebSocket, server-sent events, and the latest preview.

mod drained;
mod sse;
mod websocket;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_api::FollowQuery;
use comfy_runner_jobs::{Jobs, WatchOptions};

use super::State;
use super::error::ApiError;
use super::stop::end_of_stream;
use websocket::{Frames, Watcher};

/// Switches off buffering in nginx.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// `GET /api/run/ws`
pub async fn socket(
    state: web::Data<State>,
    query: web::Query<FollowQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let frames = Frames::from_query(query.format.as_deref())?;
    let watcher = match one_job(&query, &state.jobs)? {
        Some(prompt_id) => {
            let options = WatchOptions::new().with_previews();
            Watcher::One(Box::new(state.jobs.watch(&state.clients, &prompt_id, options).await?))
        }
        None => Watcher::All(state.jobs.watch_all()),
    };
    websocket::open(watcher, frames, state.shutdown.clone(), &request, body).await
}

/// `GET /api/run/events/{prompt_id}`
pub async fn events(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let end = state.jobs.end(&state.clients, &prompt_id).await?;
    // A browser reconnects when an event stream ends. 204 stops one that has received the end.
    if end.is_some_and(|end| sse::has_seen(request.headers(), end.id)) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let options = WatchOptions::new().with_previews().with_outputs();
    let subscription = state.jobs.watch(&state.clients, &prompt_id, options).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_ACCEL_BUFFERING, "no"))
        .streaming(sse::stream(subscription, end_of_stream(state.shutdown.clone(), &request))))
}

/// `GET /api/run/preview/{prompt_id}`
pub async fn preview(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let preview = state.jobs.preview(&state.clients, &prompt_id).await?;
    Ok(HttpResponse::Ok()
        .content_type(preview.format.media_type())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(preview.image))
}

/// Returns the id of the requested job, or `None` for all jobs.
fn one_job(query: &FollowQuery, jobs: &Jobs) -> Result<Option<String>, ApiError> {
    match (&query.prompt_id, &query.client_id) {
        (Some(_), Some(_)) => {
            Err(ApiError::BadRequest("give `prompt_id` or `client_id`, not both".to_owned()))
        }
        (Some(prompt_id), None) => Ok(Some(prompt_id.clone())),
        (None, Some(client_id)) => Ok(Some(jobs.prompt_id_of(client_id))),
        (None, None) => Ok(None),
    }
}
