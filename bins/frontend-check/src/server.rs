//! Serves the editor's files, and the part of ComfyUI's API that the editor needs to start.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use anyhow::Context;
use serde_json::{Value, json};

/// A server on a free port of 127.0.0.1. It stops when dropped.
pub struct Server {
    pub address: SocketAddr,
    handle: ServerHandle,
}

struct Schemas(String);

impl Server {
    /// Serves the editor of this folder with these schemas.
    pub fn start(frontend: &Path, object_info: &Path) -> anyhow::Result<Self> {
        let files = static_folder(frontend)?;
        let schemas = std::fs::read_to_string(object_info)
            .with_context(|| format!("cannot read {}", object_info.display()))?;
        let schemas = web::Data::new(Schemas(schemas));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(schemas.clone())
                .route("/ws", web::get().to(socket))
                .route("/templates/index.json", web::get().to(|| async { json_reply(json!([])) }))
                .route("/internal/folder_paths", web::get().to(|| async { json_reply(json!({})) }))
                // `/internal/files/output` gets no response: the editor would replace the graph's value with the first
                // file of the list.
                .route("/user.css", web::get().to(style_sheet))
                .service(web::scope("/api").configure(api))
                .service(actix_files::Files::new("/", &files).index_file("index.html"))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .context("no free port on 127.0.0.1")?;
        let address = server.addrs()[0];
        let running = server.run();
        let handle = running.handle();
        actix_rt::spawn(running);
        Ok(Self { address, handle })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The call starts the stop. The future only waits for its end.
        drop(self.handle.stop(false));
    }
}

/// Returns the folder with index.html: the given one, or the one in an installed package.
fn static_folder(frontend: &Path) -> anyhow::Result<PathBuf> {
    ["", "static", "comfyui_frontend_package/static"]
        .iter()
        .map(|below| frontend.join(below))
        .find(|folder| folder.join("index.html").is_file())
        .with_context(|| {
            format!(
                "no index.html in {}: give the folder of an installed comfyui-frontend-package",
                frontend.display()
            )
        })
}

fn api(config: &mut web::ServiceConfig) {
    config
        .route("/object_info", web::get().to(object_info))
        .route("/prompt", web::post().to(refuse_prompt))
        .route("/userdata/user.css", web::get().to(style_sheet))
        .default_service(web::to(stub));
}

async fn object_info(schemas: web::Data<Schemas>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(schemas.0.clone())
}

/// Rejects prompts. No check sends one.
async fn refuse_prompt() -> HttpResponse {
    let error =
        json!({"type": "no_execution", "message": "Nothing runs here", "details": "", "extra_info": {}});
    HttpResponse::BadRequest().json(json!({"error": error, "node_errors": {}}))
}

async fn style_sheet() -> HttpResponse {
    HttpResponse::Ok().content_type("text/css").body("")
}

/// Responds as a ComfyUI without users, models, images and custom nodes.
async fn stub(request: HttpRequest) -> HttpResponse {
    let path = request.path().trim_start_matches("/api/");
    let is_read = request.method().is_safe();
    match path {
        _ if !is_read => json_reply(json!({})),
        "settings" => json_reply(settings()),
        "users" => json_reply(json!({"storage": "server", "migrated": true})),
        "system_stats" => json_reply(system_stats()),
        "features" => json_reply(json!({"supports_preview_metadata": true, "max_upload_size": 104_857_600})),
        "prompt" => json_reply(json!({"exec_info": {"queue_remaining": 0}})),
        "queue" => json_reply(json!({"queue_running": [], "queue_pending": []})),
        "jobs" => json_reply(json!({
            "jobs": [], "pagination": {"offset": 0, "limit": 0, "total": 0, "has_more": false},
        })),
        "history" | "i18n" | "workflow_templates" | "global_subgraphs" => json_reply(json!({})),
        "extensions" | "embeddings" | "experiment/models" | "models" => json_reply(json!([])),
        "userdata" | "v2/userdata" => json_reply(json!([])),
        other => {
            // Images that nodes preview and files of the user do not exist.
            tracing::debug!(path = other, query = request.query_string(), "answered with 404");
            HttpResponse::NotFound().finish()
        }
    }
}

/// The user's settings: the tour is finished. Settings that could change a prompt or a warning have their defaults, except
/// that missing model files cause no warning, because there are no models.
fn settings() -> Value {
    json!({
        "Comfy.TutorialCompleted": true,
        "Comfy.InstalledVersion": "1.0.0",
        "Comfy.Locale": "en",
        "Comfy.Workflow.ShowMissingModelsWarning": false,
        "Comfy.Workflow.Persist": false,
        "Comfy.Release.Status": "skipped",
        "Comfy.Notification.ShowVersionUpdates": false,
        // Screenshots show all text, and the graph instead of its overview.
        "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0.0,
        "LiteGraph.Canvas.MinFontSizeForLOD": 0,
        "Comfy.Minimap.Visible": false,
        "Comfy.Graph.CanvasInfo": false,
    })
}

fn system_stats() -> Value {
    json!({
        "system": {
            "os": "posix", "ram_total": 0, "ram_free": 0, "comfyui_version": "0.0.0",
            "python_version": "3", "pytorch_version": "2", "embedded_python": false, "argv": ["main.py"],
        },
        "devices": [],
    })
}

async fn socket(
    request: HttpRequest,
    body: web::Payload,
    query: web::Query<HashMap<String, String>>,
) -> actix_web::Result<HttpResponse> {
    let (response, mut session, mut messages) = actix_ws::handle(&request, body)?;
    let client = query.get("clientId").filter(|id| !id.is_empty()).map_or("frontend-check", String::as_str);
    let hello = json!({
        "type": "status",
        "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": client},
    });
    actix_web::rt::spawn(async move {
        if session.text(hello.to_string()).await.is_err() {
            return;
        }
        while let Some(Ok(message)) = messages.recv().await {
            match message {
                actix_ws::Message::Ping(bytes) if session.pong(&bytes).await.is_err() => return,
                actix_ws::Message::Close(_) => return,
                _ => {}
            }
        }
    });
    Ok(response)
}

fn json_reply(body: Value) -> HttpResponse {
    HttpResponse::Ok().json(body)
}
