//! Whether we are alive, and whether there is a ComfyUI to work with.

use std::time::Duration;

use actix_web::{HttpResponse, Responder, web};
use serde_json::json;

use super::State;
use super::error::ApiError;

/// How long ComfyUI may take to show that it is ready: whoever asks wants to know now.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /health`: we are alive.
pub async fn health() -> impl Responder {
    HttpResponse::Ok().json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// `GET /ready`: ComfyUI answers.
pub async fn ready(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    let patience = PATIENCE.min(state.client.config().timeouts.reply);
    match state.client.with_reply_timeout(patience).queue().await {
        Ok(_) => Ok(HttpResponse::Ok().json(json!({"status": "ready"}))),
        Err(error) => Err(ApiError::Unavailable(error.to_string())),
    }
}
