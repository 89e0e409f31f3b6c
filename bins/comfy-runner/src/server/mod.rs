//! The HTTP server: routes to handlers that parse, call a crate and answer.

mod auth;
mod build;
mod cancel;
mod download;
mod error;
mod execute;
mod form;
mod health;
mod idempotency;
mod jobs;
mod live;
mod request_log;
mod schemas;
mod status;
mod stop;
mod workflows;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::HttpServiceFactory;
use actix_web::http::header::X_CONTENT_TYPE_OPTIONS;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use comfy_runner_client::{Client, Config, ConfigError, Schemas};
use comfy_runner_jobs::{Jobs, JobsConfig, follow};
use comfy_runner_store::{Store, StoreError};
use comfy_runner_workflow::Workflows;
use tokio::sync::watch;

use auth::ApiKeys;
pub use auth::AuthConfigError;
use error::ApiError;
pub use stop::Handle;
use stop::Stopping;

/// What a server needs to know.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The keys that open the API; none is for loopback only.
    pub api_keys: Vec<String>,
    /// The largest file that may be uploaded, in bytes.
    pub max_upload: u64,
    /// Threads that answer requests; `None` is one for each core.
    pub workers: Option<usize>,
    /// Which ComfyUI, and how to reach it.
    pub comfyui: Config,
    /// How jobs are followed and how long they are remembered.
    pub jobs: JobsConfig,
    /// Where they are remembered.
    pub store: Arc<dyn Store>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The keys and the address do not go together.
    #[error(transparent)]
    Auth(#[from] AuthConfigError),
    /// There can be no client for this ComfyUI.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// The address is taken, or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
}

/// Why a server ends otherwise than by being stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The network fails.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What is remembered of jobs cannot be read at the start, or written at the end.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What handlers share. Each worker has its own, with connections of its own to ComfyUI.
struct State {
    workflows: Arc<Workflows>,
    jobs: Jobs,
    client: Client,
    schemas: Arc<Schemas>,
    max_upload: u64,
    stopping: Stopping,
}

/// A server that listens. It answers while [`Server::run`] is awaited.
pub struct Server {
    address: SocketAddr,
    server: actix_web::dev::Server,
    jobs: Jobs,
    client: Client,
    handle: Handle,
}

impl Server {
    /// Binds the address and makes everything ready. To be called, as [`Server::run`], in an actix system.
    pub fn bind(settings: &Settings, workflows: Arc<Workflows>) -> Result<Self, StartError> {
        let keys = web::Data::new(ApiKeys::new(&settings.api_keys, settings.listen)?);
        let client = Client::new(settings.comfyui.clone())?;
        let jobs = Jobs::new(settings.jobs.clone(), Arc::clone(&settings.store));
        let (comfyui, max_upload, of_workers) = (settings.comfyui.clone(), settings.max_upload, jobs.clone());
        let (stop, stopping) = watch::channel(false);
        let schemas = Arc::new(Schemas::default());
        let mut server = HttpServer::new(move || {
            let state = State {
                workflows: Arc::clone(&workflows),
                jobs: of_workers.clone(),
                client: Client::new(comfyui.clone())
                    .expect("the same configuration has made a client before"),
                schemas: Arc::clone(&schemas),
                max_upload,
                stopping: stopping.clone(),
            };
            App::new()
                .app_data(keys.clone())
                .app_data(web::Data::new(state))
                .configure(routes)
                // What an answer is, its type says: no browser is to make a page of it.
                .wrap(DefaultHeaders::new().add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
                .wrap(from_fn(request_log::log_request))
        })
        .shutdown_timeout(10);
        if let Some(workers) = settings.workers {
            server = server.workers(workers);
        }
        let server =
            server.bind(settings.listen).map_err(|error| StartError::Listen(settings.listen, error))?;
        let address = server.addrs().first().copied().unwrap_or(settings.listen);
        let server = server.run();
        let handle = Handle::new(server.handle(), stop);
        Ok(Self { address, server, jobs, client, handle })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that stops it from elsewhere.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Brings back the jobs of the process before, and then answers requests and follows jobs until it is stopped by its
    /// handle, SIGINT or SIGTERM. Requests at work get ten seconds to end.
    pub async fn run(self) -> Result<(), ServeError> {
        let open = self.jobs.load().await?;
        if open > 0 {
            tracing::info!(open, "jobs were open when the server stopped; ComfyUI is asked for them");
        }
        let following = actix_rt::spawn(follow(self.jobs.clone(), self.client));
        let leaving = actix_rt::spawn(async move { self.handle.leave_on_signals().await });
        let result = self.server.await;
        following.abort();
        leaving.abort();
        self.jobs.flush().await?;
        Ok(result?)
    }
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::QueryConfig::default().error_handler(|error, _| ApiError::from(error).into()))
        .app_data(
            web::PathConfig::default().error_handler(|error, _| ApiError::NotFound(error.to_string()).into()),
        )
        .route("/health", web::get().to(health::health))
        .route("/ready", web::get().to(health::ready))
        .service(
            web::scope("/api")
                .wrap(from_fn(auth::require_key))
                .route("/workflows", web::get().to(workflows::list))
                .service(
                    web::resource("/comfyui/view")
                        .route(web::get().to(download::view))
                        .route(web::head().to(download::view))
                        .default_service(web::to(wrong_method)),
                )
                .service(only("/queue", web::get().to(jobs::queue)))
                .service(only("/jobs", web::get().to(jobs::list)))
                .service(
                    web::resource("/jobs/{prompt_id}")
                        .route(web::get().to(jobs::show))
                        .route(web::delete().to(jobs::forget))
                        .default_service(web::to(wrong_method)),
                )
                .service(only("/jobs/{prompt_id}/retry", web::post().to(jobs::retry)))
                .service(only("/jobs/{prompt_id}/files", web::get().to(jobs::files)))
                .service(only("/jobs/{prompt_id}/package", web::get().to(jobs::package)))
                .service(
                    web::scope("/run")
                        .service(only("/upload-image", web::post().to(execute::upload_image)))
                        .service(
                            web::resource("/status/{prompt_id}")
                                .route(web::get().to(status::status))
                                .default_service(web::to(wrong_method)),
                        )
                        .service(
                            web::resource("/result/{prompt_id}")
                                .route(web::get().to(download::result))
                                .route(web::head().to(download::result))
                                .default_service(web::to(wrong_method)),
                        )
                        .service(only("/cancel/{prompt_id}", web::post().to(cancel::cancel)))
                        .service(stream("/ws", web::get().to(live::socket)))
                        .service(stream("/events/{prompt_id}", web::get().to(live::events)))
                        .service(stream("/preview/{prompt_id}", web::get().to(live::preview)))
                        .service(only("/{workflow_id}/build", web::post().to(build::build)))
                        .service(only("/{workflow_id}/execute", web::post().to(execute::execute)))
                        .service(
                            web::resource("/{workflow_id}")
                                .route(web::get().to(workflows::manifest))
                                .default_service(web::to(wrong_method)),
                        ),
                )
                .default_service(web::to(no_such_path)),
        )
        .default_service(web::to(no_such_path));
}

fn only(path: &str, route: actix_web::Route) -> actix_web::Resource {
    web::resource(path).route(route).default_service(web::to(wrong_method))
}

/// A path that a browser may open for the page of any site: only our own pages are answered.
fn stream(path: &str, route: actix_web::Route) -> impl HttpServiceFactory + use<> {
    web::resource(path)
        .wrap(from_fn(auth::refuse_other_sites))
        .route(route)
        .default_service(web::to(wrong_method))
}

async fn no_such_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound(format!("there is nothing at {}", request.path())))
}

async fn wrong_method(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::WrongMethod(format!("{} does not go with {}", request.method(), request.path())))
}
