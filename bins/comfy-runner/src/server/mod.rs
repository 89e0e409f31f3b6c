//! The HTTP server: routes to handlers that parse, call a crate and answer.

mod add_workflow;
mod auth;
mod brought_files;
mod build;
mod cancel;
mod comfyui_folders;
mod comfyuis;
mod connection;
mod docs;
mod download;
mod ended_sessions;
mod endpoint;
mod error;
mod excerpt;
mod execute;
mod failed_keys;
mod files;
mod form;
mod head;
mod health;
mod idempotency;
mod inspect;
mod jobs;
mod limits;
mod live;
mod local_files;
mod manifest_source;
mod media_type;
mod merged_schemas;
mod models;
mod openapi;
mod origins;
mod page;
mod partner_key;
mod pool;
mod priority;
mod readiness;
mod request_body;
mod request_log;
mod request_params;
mod routes;
mod schemas;
mod session;
mod several_jobs;
mod status;
mod stop;
mod store_file;
mod stored_file;
mod token;
mod unsaved;
mod v2;
mod wait;
mod workflow_reader;
mod workflows;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HeaderName, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::{Condition, DefaultHeaders, from_fn};
use actix_web::{App, web};
use comfy_runner_client::{Client, ConfigError, Fetcher};
use comfy_runner_jobs::{Clients, ComfyUi, FilesConfig, FollowError, Jobs, JobsConfig, follow};
use comfy_runner_scheduler::Priority;
use comfy_runner_store::{EndedSession, Store, StoreError};
use comfy_runner_workflow::{Workflow, Workflows};
use tokio::sync::{Semaphore, watch};

use auth::ApiKeys;
pub use auth::{AuthConfigError, KeySettings};
use comfyuis::{Probes, SchemaValidator};
// The fuzz target `multipart` reads forms without a server.
pub use comfyui_folders::{ComfyUiFolders, NotAFolder};
#[doc(hidden)]
pub use error::ApiError;
use failed_keys::FailedKeys;
#[doc(hidden)]
pub use form::Form;
pub use limits::Limits;
use merged_schemas::MergedSchemas;
use openapi::OpenApi;
pub use origins::{AllowedOrigin, AllowedOrigins, ParseOriginError};
use readiness::FindingsCache;
pub use stop::Handle;
use stop::ShutdownSignal;
use token::Tokens;
pub use v2::{ParseProxyError, PublicUrl, TrustedProxy};
use workflow_reader::WorkflowReader;

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The settings of a server.
#[derive(Clone)]
pub struct Settings {
    /// The address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The API keys; without any, `listen` must be a loopback address.
    pub api_keys: Vec<KeySettings>,
    /// The origins whose pages may use the API, besides its own.
    pub allow_origins: AllowedOrigins,
    /// The largest file that may be uploaded, in bytes.
    pub max_upload: u64,
    /// The hosts whose addresses need not be public when a caller names a file there by its URL.
    pub allow_input_hosts: Vec<String>,
    /// Limits on connections and callers.
    pub limits: Limits,
    /// The highest priority that callers may give to jobs whose key has no limit of its own.
    pub max_priority: Priority,
    /// The number of threads that answer requests; `None` for one per core.
    pub workers: Option<usize>,
    /// The ComfyUIs that jobs run on.
    pub comfyuis: Vec<ComfyUi>,
    /// ComfyUI's folders, if files in them may be deleted.
    pub folders: ComfyUiFolders,
    /// How the server is reached from outside.
    pub public_url: PublicUrl,
    /// How jobs are followed, and how long records are kept.
    pub jobs: JobsConfig,
    /// The store of records.
    pub store: Arc<dyn Store>,
    /// The file store, and what goes into it.
    pub files: FilesConfig,
    /// Whether callers who download a file from the file store are redirected to its storage, where that has URLs.
    pub redirect_downloads: bool,
    /// Whether callers may add workflows to the library and edit them.
    pub allow_edit: bool,
}

impl Settings {
    /// Checks whether a server can start with these settings, as far as that is known before it listens.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn check(&self) -> Result<(), StartError> {
        ApiKeys::new(&self.api_keys, self.listen, &self.allow_origins)?;
        for comfyui in &self.comfyuis {
            Client::new(comfyui.client.clone())?;
        }
        self.folders.check()?;
        Ok(())
    }
}

/// The reason why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The keys and the address cannot be combined.
    #[error(transparent)]
    Auth(#[from] AuthConfigError),
    /// No client can be created for this ComfyUI.
    #[error(transparent)]
    Client(#[from] ConfigError),
    /// A folder of ComfyUI is none.
    #[error(transparent)]
    Folder(#[from] NotAFolder),
    /// The address is in use, or not an address of this machine.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

/// The reason why a server ends without being stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The network fails.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The store cannot be read at the start, or written at the end.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Jobs are no longer followed, so their statuses would be wrong.
    #[error("the server stops because it can no longer follow jobs")]
    Follow(#[from] FollowError),
}

/// The state that handlers share. Each worker has its own, with its own connections to ComfyUI.
struct State {
    workflows: Arc<WorkflowReader<Workflow>>,
    jobs: Jobs,
    clients: Clients,
    findings: Arc<FindingsCache>,
    merged_schemas: Arc<MergedSchemas>,
    probes: Arc<Probes>,
    fetcher: Fetcher,
    /// Permits for large JSON bodies.
    large_bodies: Arc<Semaphore>,
    max_upload: u64,
    redirect_downloads: bool,
    allow_edit: bool,
    folders: ComfyUiFolders,
    public_url: PublicUrl,
    /// The sizes and hashes of what jobs made, for the Comfy API v2.
    output_facts: Arc<v2::OutputFacts>,
    shutdown: ShutdownSignal,
}

/// A server that listens. It answers requests while [`Server::run`] is awaited.
pub struct Server {
    address: SocketAddr,
    server: actix_web::dev::Server,
    jobs: Jobs,
    handle: Handle,
    keys: web::Data<ApiKeys>,
    store: Arc<dyn Store>,
}

impl Server {
    /// Binds the address and prepares everything. Call it, and [`Server::run`], in an actix system.
    pub fn bind(settings: &Settings, workflows: Arc<Workflows>) -> Result<Self, StartError> {
        let keys = web::Data::new(
            ApiKeys::new(&settings.api_keys, settings.listen, &settings.allow_origins)?
                .with_max_priority(settings.max_priority),
        );
        let origins = web::Data::new(settings.allow_origins.clone());
        let keys_of_server = keys.clone();
        let store = web::Data::from(Arc::clone(&settings.store));
        let tokens = web::Data::new(Tokens::new());
        let fetcher = Fetcher::new(&settings.allow_input_hosts)?;
        let large_bodies = Arc::new(Semaphore::new(request_params::LARGE_BODIES));
        settings.folders.check()?;
        let folders = settings.folders.clone();
        let public_url = settings.public_url.clone();
        let output_facts = Arc::new(v2::OutputFacts::default());
        let config = settings.jobs.clone().with_validator(Arc::new(SchemaValidator));
        let jobs = Jobs::with_files(config, Arc::clone(&settings.store), settings.files.clone());
        jobs.set_comfyuis(settings.comfyuis.clone())?;
        let (max_upload, of_workers) = (settings.max_upload, jobs.clone());
        let redirect_downloads = settings.redirect_downloads;
        let allow_edit = settings.allow_edit;
        let workflows = WorkflowReader::new(workflows);
        let (stop, shutdown) = watch::channel(false);
        let findings = Arc::new(FindingsCache::default());
        let merged_schemas = Arc::new(MergedSchemas::default());
        let failed_keys = web::Data::new(FailedKeys::new(settings.limits.failed_keys_per_minute));
        let limits = web::Data::new(settings.limits.clone());
        let probes = Arc::new(Probes::default());
        let openapi = web::Data::new(OpenApi::default());
        let app = move || {
            let state = State {
                workflows: Arc::clone(&workflows),
                jobs: of_workers.clone(),
                clients: Clients::new(&of_workers),
                findings: Arc::clone(&findings),
                merged_schemas: Arc::clone(&merged_schemas),
                probes: Arc::clone(&probes),
                fetcher: fetcher.clone(),
                large_bodies: Arc::clone(&large_bodies),
                max_upload,
                redirect_downloads,
                allow_edit,
                folders: folders.clone(),
                public_url: public_url.clone(),
                output_facts: Arc::clone(&output_facts),
                shutdown: shutdown.clone(),
            };
            App::new()
                .app_data(keys.clone())
                .app_data(store.clone())
                .app_data(origins.clone())
                .app_data(tokens.clone())
                .app_data(failed_keys.clone())
                .app_data(limits.clone())
                .app_data(openapi.clone())
                .app_data(web::Data::new(state))
                .configure(routes::routes)
                .wrap(from_fn(head::drop_body_of_head))
                .wrap(from_fn(request_body::guard_body))
                .wrap(from_fn(v2::envelope::put_errors_into_envelope))
                .wrap(Condition::new(!origins.is_empty(), origins.middleware()))
                .wrap(default_headers(&origins))
                .wrap(from_fn(request_log::log_request))
        };
        let listen_error = |error| StartError::Listen(settings.listen, error);
        let listener = connection::bind(settings.listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let mut builder = actix_web::dev::Server::build().shutdown_timeout(10);
        if let Some(workers) = settings.workers {
            builder = builder.workers(workers);
        }
        let server =
            connection::listen(builder, listener, &settings.limits, app).map_err(listen_error)?.run();
        let handle = Handle::new(server.handle(), stop);
        Ok(Self { address, server, jobs, handle, keys: keys_of_server, store: Arc::clone(&settings.store) })
    }

    /// Returns the address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the jobs of the server.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Returns a handle that stops the server.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Loads the open jobs of the previous process, then answers requests and follows jobs until it is stopped by its handle,
    /// SIGINT or SIGTERM. Requests in progress get ten seconds to end.
    pub async fn run(self) -> Result<(), ServeError> {
        let open = self.jobs.load().await?;
        if open > 0 {
            tracing::info!(open, "jobs were open when the server stopped; ComfyUI is asked for them");
        }
        for EndedSession { id, expires_at, .. } in self.store.ended_sessions().await? {
            self.keys.ended_sessions().add(
                &id,
                u64::try_from(expires_at).unwrap_or_default(),
                session::now(),
            );
        }
        let handle = self.handle.clone();
        let draining = actix_rt::spawn(async move { self.handle.drain_on_signals().await });
        let mut server = self.server;
        let result = tokio::select! {
            served = &mut server => served.map_err(ServeError::from),
            failed = follow(self.jobs.clone(), Clients::new(&self.jobs)) => {
                let (_, served) = futures::join!(handle.stop(true), server);
                served.map_err(ServeError::from).and(Err(failed.into()))
            }
        };
        draining.abort();
        let flushed = self.jobs.flush().await;
        result?;
        Ok(flushed?)
    }
}

/// Returns headers of every response that protect browsers: the media type is not guessed; only pages of this origin and of
/// allowed ones may use it; and nothing in it runs, also when it is opened as a page.
fn default_headers(origins: &AllowedOrigins) -> DefaultHeaders {
    // A browser names no origin when it loads an image, so this cannot distinguish allowed origins from others.
    let readers = if origins.is_empty() { "same-origin" } else { "cross-origin" };
    DefaultHeaders::new()
        .add((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add((CROSS_ORIGIN_RESOURCE_POLICY, readers))
        // Without `allow-same-origin`, Chromium does not play a video that is opened as a page: it fetches the video again,
        // as if from another site. Scripts do not run in either case.
        .add((CONTENT_SECURITY_POLICY, "sandbox allow-same-origin"))
}
