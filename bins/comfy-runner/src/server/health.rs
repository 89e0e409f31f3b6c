//! Liveness and readiness.

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{Health, HealthStatus, Readiness, ReadinessStatus};

use super::State;
use super::error::ApiError;

/// `GET /health`: the process is alive.
pub async fn health() -> impl Responder {
    let [program, version] = ["comfy-runner", env!("CARGO_PKG_VERSION")].map(str::to_owned);
    HttpResponse::Ok().json(Health { status: HealthStatus::Ok, program, version })
}

/// `GET /ready`: jobs are followed, and a ComfyUI answers. It needs no key, so the response names no host.
pub async fn ready(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    state.jobs.check_followed().map_err(|stalled| ApiError::Unavailable(stalled.to_string()))?;
    match state.check_comfyuis().await {
        Ok(()) => Ok(HttpResponse::Ok().json(Readiness { status: ReadinessStatus::Ready })),
        Err(error) => Err(ApiError::Unavailable(error.without_address())),
    }
}
