//! ComfyUI's HTTP API.

mod info;
mod jobs;
mod multipart;
mod prompts;
mod socket;
mod upload;
mod view;

use actix_web::dev::{Service as _, ServiceFactory, ServiceRequest};
use actix_web::{App, Error, Resource, ResponseError, Route, guard, middleware, web};
use serde_json::Value;

use crate::state::State;

/// The value of the `Server` header.
pub const SERVER: &str = concat!("comfy-runner-simulator/", env!("CARGO_PKG_VERSION"));

/// The application: every path as it is and below `/api`.
pub fn app(
    state: web::Data<State>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse<impl actix_web::body::MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let limit = state.max_upload_size;
    let counted = state.clone();
    let jobs: fn(&mut web::ServiceConfig) =
        if state.catalog.version().has_jobs() { jobs::routes } else { |_| {} };
    App::new()
        .app_data(state)
        .app_data(web::PayloadConfig::new(limit))
        .wrap(middleware::DefaultHeaders::new().add(("Server", SERVER)))
        .wrap_fn(move |request, service| {
            counted.count_request();
            service.call(request)
        })
        .service(web::scope("/api").configure(jobs).configure(routes))
        .configure(routes)
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/", read().to(info::root))
        .route("/ws", web::get().to(socket::open))
        .service(both("/prompt", read().to(prompts::status), web::post().to(prompts::submit)))
        .service(both("/queue", read().to(prompts::queue), web::post().to(prompts::change_queue)))
        .service(both("/history", read().to(prompts::history), web::post().to(prompts::change_history)))
        .route("/history/{id}", read().to(prompts::history_entry))
        .route("/interrupt", web::post().to(prompts::interrupt))
        .route("/free", web::post().to(info::free))
        .route("/view", read().to(view::file))
        .route("/upload/image", web::post().to(upload::image))
        .route("/upload/mask", web::post().to(upload::mask))
        .route("/object_info", read().to(info::object_info))
        .route("/object_info/{class}", read().to(info::object_info_entry))
        .route("/system_stats", read().to(info::system_stats))
        .route("/features", read().to(info::features))
        .route("/embeddings", read().to(info::embeddings))
        .route("/extensions", read().to(info::embeddings))
        .route("/models", read().to(info::model_folders))
        .route("/models/{folder}", read().to(info::models));
}

/// GET, and HEAD with it.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn both(path: &str, read: Route, write: Route) -> Resource {
    web::resource(path).route(read).route(write)
}

/// A body that is not JSON: an error of 500, as with ComfyUI.
#[derive(Debug, thiserror::Error)]
#[error("500 Internal Server Error: the body is not JSON: {0}")]
struct NotJson(#[from] serde_json::Error);

impl ResponseError for NotJson {}

/// Parses a body as JSON, regardless of its content type.
fn json_body(body: &[u8]) -> Result<Value, NotJson> {
    Ok(serde_json::from_slice(body)?)
}

/// The strings of a list.
fn strings(value: Option<&Value>) -> Vec<String> {
    let list = value.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
