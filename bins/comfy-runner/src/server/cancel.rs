//! Cancelling a job.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::Cancellation;

use super::State;
use super::error::ApiError;

/// `POST /api/run/cancel/{prompt_id}`
pub async fn cancel(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let status = state.jobs.cancel(&state.clients, &prompt_id).await?;
    let mut response = if status.is_over() { HttpResponse::Ok() } else { HttpResponse::Accepted() };
    Ok(response.json(Cancellation { prompt_id: prompt_id.into_inner(), status }))
}
