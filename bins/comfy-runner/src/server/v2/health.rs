//! Liveness.

use actix_web::{HttpResponse, web};
use comfy_runner_api_v2::Health;

use super::error::V2Error;
use super::jobs::answer;
use crate::server::State;

/// `GET /api/v2/health`. It needs no key, so the response names no host.
pub async fn health(state: web::Data<State>) -> Result<HttpResponse, V2Error> {
    let reachable = state.check_comfyuis().await.is_ok();
    answer(HttpResponse::Ok(), &Health::new(reachable))
}
