//! The status of a job.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, Responder, web};

use super::State;
use super::error::ApiError;

/// `GET /api/run/status/{prompt_id}`
pub async fn status(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let status = state.jobs.status(&state.clients, &prompt_id).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(status))
}
