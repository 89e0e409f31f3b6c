//! Information about the server: `/system_stats`, `/features`, `/object_info`, `/models` and similar paths.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::state::State;

pub async fn root() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(
        "This is comfy-runner's simulator: it speaks ComfyUI's API and generates images of its own. There is no editor \
         here.\n",
    )
}

/// Returns ComfyUI's keys with the simulator's own values.
pub async fn system_stats(state: web::Data<State>) -> HttpResponse {
    let simulator = concat!("comfy-runner simulator ", env!("CARGO_PKG_VERSION"));
    HttpResponse::Ok().json(json!({
        "system": {
            "os": std::env::consts::OS,
            "ram_total": 0,
            "ram_free": 0,
            "comfyui_version": state.catalog.version().as_str(),
            "required_frontend_version": "none",
            "installed_templates_version": "none",
            "required_templates_version": "none",
            "python_version": format!("none ({simulator})"),
            "pytorch_version": format!("none ({simulator})"),
            "embedded_python": false,
            "argv": ["comfy-runner", "simulate"],
            "simulator": simulator,
            "simulator_requests": state.requests(),
            "simulator_sockets": state.sockets.open(),
            "simulator_loaded_models": state.loaded_models().names().collect::<Vec<_>>(),
            "simulator_model_loads": state.loaded_models().loads(),
        },
        "devices": [{
            "name": "simulator",
            "type": "cpu",
            "index": null,
            "vram_total": 0,
            "vram_free": 0,
            "torch_vram_total": 0,
            "torch_vram_free": 0,
        }],
    }))
}

/// What the server can do, as `/features` and the WebSocket say.
pub fn feature_flags(state: &State) -> Value {
    state.catalog.version().feature_flags(state.max_upload_size)
}

pub async fn features(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(feature_flags(&state))
}

pub async fn object_info(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.catalog.object_info(None, &state.files.input_images()))
}

pub async fn object_info_entry(state: web::Data<State>, class: web::Path<String>) -> HttpResponse {
    HttpResponse::Ok().json(state.catalog.object_info(Some(&class), &state.files.input_images()))
}

/// None.
pub async fn embeddings() -> HttpResponse {
    HttpResponse::Ok().json(json!([]))
}

pub async fn model_folders(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(state.catalog.model_folders().collect::<Vec<_>>())
}

pub async fn models(state: web::Data<State>, folder: web::Path<String>) -> HttpResponse {
    match state.catalog.models(&folder) {
        Some(models) => HttpResponse::Ok().json(models),
        None => HttpResponse::NotFound().finish(),
    }
}

/// The body of `POST /free`.
#[derive(Deserialize)]
pub struct Free {
    #[serde(default)]
    unload_models: bool,
}

/// Removes models from memory. There is no other memory to free.
pub async fn free(state: web::Data<State>, body: web::Json<Free>) -> HttpResponse {
    if body.unload_models {
        state.loaded_models().unload();
    }
    HttpResponse::Ok().finish()
}
