//! Where a job stands.

use actix_web::http::header::{CACHE_CONTROL, ContentType};
use actix_web::{HttpResponse, Responder, web};

use super::State;
use super::error::ApiError;

/// `GET /api/run/status/{prompt_id}`
pub async fn status(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let body = state.jobs.status(&state.client, &prompt_id).await?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body))
}
