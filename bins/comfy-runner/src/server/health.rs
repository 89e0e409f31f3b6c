//! Whether we are alive, and whether there is a ComfyUI to work with.

use actix_web::{HttpResponse, Responder, web};
use serde_json::json;

use super::State;
use super::error::ApiError;

/// `GET /health`: we are alive.
pub async fn health() -> impl Responder {
    HttpResponse::Ok().json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /ready`: ComfyUI answers.
pub async fn ready(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    match state.client.queue().await {
        Ok(_) => Ok(HttpResponse::Ok().json(json!({"status": "ready"}))),
        Err(error) => Err(ApiError::Unavailable(error.to_string())),
    }
}
