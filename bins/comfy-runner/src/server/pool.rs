//! The ComfyUIs behind the server, for operators.

use std::time::Duration;

use actix_web::{HttpResponse, Responder, web};
use comfy_runner_api::{ComfyUiInfo, ComfyUiStatus, ComfyUis, DrainedComfyUi};
use comfy_runner_jobs::ComfyUiState;
use futures::future::join_all;

use super::State;
use super::error::ApiError;
use super::jobs::answer;

/// How long a ComfyUI may take to report its state.
const PATIENCE: Duration = Duration::from_secs(2);

/// `GET /api/comfyui`
pub async fn list(state: web::Data<State>) -> Result<impl Responder, ApiError> {
    let known = state.jobs.comfyuis().into_iter();
    let comfyuis = join_all(known.map(|comfyui| describe(&state, comfyui))).await;
    answer(&ComfyUis { comfyuis, waiting: state.jobs.waiting() })
}

/// `POST /api/comfyui/{name}/drain`
pub async fn drain(state: web::Data<State>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    set_draining(&state, &name, true).await
}

/// `POST /api/comfyui/{name}/resume`
pub async fn resume(state: web::Data<State>, name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    set_draining(&state, &name, false).await
}

async fn set_draining(state: &State, name: &str, draining: bool) -> Result<HttpResponse, ApiError> {
    state.jobs.set_draining(name, draining).await?;
    let comfyuis = state.jobs.comfyuis();
    let Some(comfyui) = comfyuis.iter().find(|comfyui| *comfyui.name == *name) else {
        let names: Vec<_> = comfyuis.iter().map(|comfyui| &*comfyui.name).collect();
        return Err(ApiError::NotFound(format!(
            "there is no ComfyUI \"{name}\"; there are {}",
            names.join(", ")
        )));
    };
    tracing::info!(comfyui = name, draining, "a ComfyUI was drained or resumed");
    let jobs = comfyui.jobs.len();
    Ok(HttpResponse::Ok().json(DrainedComfyUi { name: name.to_owned(), draining: comfyui.draining, jobs }))
}

/// Asks a ComfyUI for what only it knows.
async fn describe(state: &State, comfyui: ComfyUiState) -> ComfyUiInfo {
    let client = state.clients.get(&comfyui.name).map(|client| client.with_reply_timeout(PATIENCE));
    let (stats, queue) = match &client {
        Some(client) if comfyui.connected != Some(false) => {
            let (stats, queue) = futures::join!(client.system_stats(), client.queue());
            (stats.ok(), queue.ok())
        }
        _ => (None, None),
    };
    ComfyUiInfo {
        name: comfyui.name.to_string(),
        status: match comfyui.connected {
            None => ComfyUiStatus::Unknown,
            Some(true) => ComfyUiStatus::Up,
            Some(false) => ComfyUiStatus::Down,
        },
        draining: comfyui.draining,
        tags: comfyui.tags,
        depth: comfyui.depth,
        jobs: comfyui.jobs,
        running: comfyui.running,
        queue: queue.map(|queue| queue.queue_running.len() + queue.queue_pending.len()),
        warm_models: comfyui.warm_models,
        version: stats.as_ref().and_then(|stats| stats.comfyui_version().map(str::to_owned)),
        devices: stats.map(|stats| stats.devices).unwrap_or_default(),
        last_error: comfyui.last_error,
    }
}
