//! Starts, inspects and stops a simulator.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{HttpServer, web};
use image::ImageFormat;
use tempfile::TempDir;

use crate::catalog::Catalog;
use crate::execution;
use crate::files::{Files, Folder};
use crate::gpu::GpuOptions;
use crate::http;
use crate::paint::{Latent, Layer, Painting};
use crate::state::{Pauses, State};
use crate::version::Version;

/// ComfyUI comes with an image of this name in its input folder.
const EXAMPLE: &str = "example.png";

/// The options of a simulator.
#[derive(Debug, Clone)]
pub struct Builder {
    listen: String,
    data_dir: Option<PathBuf>,
    version: Version,
    gpu: GpuOptions,
    missing_models: Vec<String>,
    max_upload_size: usize,
    stop_on_signals: bool,
}

/// A running simulator. It serves from threads of its own and stops when it is dropped.
pub struct Simulator {
    address: SocketAddr,
    state: web::Data<State>,
    server: ServerHandle,
    http: Option<JoinHandle<io::Result<()>>>,
    executor: Option<JoinHandle<()>>,
    // Removed after everything else has ended.
    _temporary: Option<TempDir>,
}

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, or not an address of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// The requested address.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// The folder for files cannot be used.
    #[error("cannot use {} for files", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A thread, or the server in it, cannot be started.
    #[error("cannot start the server")]
    Server(#[from] io::Error),
    /// The built-in node schemas cannot be read: a bug.
    #[error("the built-in node schemas are broken")]
    Schemas(#[from] serde_json::Error),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            data_dir: None,
            version: Version::default(),
            gpu: GpuOptions {
                step: Duration::from_millis(80),
                model_load: Duration::ZERO,
                models: 1,
                speed: 1.0,
            },
            missing_models: Vec::new(),
            max_upload_size: 100 << 20,
            stop_on_signals: false,
        }
    }
}

impl Builder {
    /// Sets the address to listen on, `127.0.0.1:0` (a free port) by default. Everyone who can reach it can run prompts
    /// and read files of the data folder: there is no authentication, as in ComfyUI.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// The folder below which `input`, `output` and `temp` lie. By default a temporary one, removed when the simulator
    /// stops. `temp` is emptied at the start, as ComfyUI does.
    pub fn data_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.data_dir = folder;
        self
    }

    /// Sets the version of ComfyUI to simulate, the latest one by default.
    pub fn speak_as(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Sets how long a step of a sampler takes, 80 ms by default. Loading a model takes a few steps. Tests use zero.
    pub fn step_delay(mut self, delay: Duration) -> Self {
        self.gpu.step = delay;
        self
    }

    /// Sets how long a sampler waits for a model that is not in memory, zero by default.
    pub fn model_load(mut self, duration: Duration) -> Self {
        self.gpu.model_load = duration;
        self
    }

    /// Sets how many models are in memory at once, 1 by default. The models that were not used for the longest time make room
    /// for others.
    pub fn models_in_memory(mut self, models: usize) -> Self {
        self.gpu.models = models;
        self
    }

    /// Sets how many times as fast as the other options say everything goes that a model does: 1 by default. A speed that is
    /// not a positive number counts as 1.
    pub fn speed(mut self, speed: f64) -> Self {
        self.gpu.speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        self
    }

    /// Leaves out the model files of these names. By default it has all that it knows.
    pub fn without_models(mut self, names: Vec<String>) -> Self {
        self.missing_models = names;
        self
    }

    /// Sets the largest size of an upload or a prompt in bytes, 100 MiB by default as in ComfyUI.
    pub fn max_upload_size(mut self, bytes: usize) -> Self {
        self.max_upload_size = bytes;
        self
    }

    /// Stops on Ctrl-C and SIGTERM; for a process that does nothing else. Off by default.
    pub fn stop_on_signals(mut self, stop: bool) -> Self {
        self.stop_on_signals = stop;
        self
    }

    /// Binds the address and serves. When this returns, requests are answered.
    pub fn start(self) -> Result<Simulator, StartError> {
        let catalog = Catalog::shared(self.version, &self.missing_models)?;
        let listen = |source| StartError::Listen { address: self.listen.clone(), source };
        let listener = TcpListener::bind(&self.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (root, temporary) = match self.data_dir {
            Some(path) => (path, None),
            None => {
                let folder = tempfile::Builder::new().prefix("comfy-simulator-").tempdir()?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let unusable = |source| StartError::DataDir { path: root.clone(), source };
        let files = Files::create(&root).map_err(unusable)?;
        write_example(&files).map_err(unusable)?;
        let state = web::Data::new(State::new(catalog, files, self.max_upload_size, self.gpu));
        let executor = std::thread::Builder::new().name("simulator-executor".to_owned()).spawn({
            let state = state.clone();
            move || execution::work(&state)
        })?;
        let (started, start) = mpsc::channel();
        let http = std::thread::Builder::new().name("simulator-http".to_owned()).spawn({
            let state = state.clone();
            move || serve(listener, state, self.stop_on_signals, &started)
        })?;
        let Ok(server) = start.recv() else {
            state.stop();
            let ended = http.join().unwrap_or_else(|_| Err(io::Error::other("the server panicked")));
            return Err(ended.err().unwrap_or_else(|| io::Error::other("the server ended at once")).into());
        };
        tracing::info!(%address, version = %self.version, "comfy-runner's simulator (not a ComfyUI) listens");
        Ok(Simulator {
            address,
            state,
            server,
            http: Some(http),
            executor: Some(executor),
            _temporary: temporary,
        })
    }
}

/// Serves until the handle that goes to `started` says stop.
fn serve(
    listener: TcpListener,
    state: web::Data<State>,
    stop_on_signals: bool,
    started: &mpsc::Sender<ServerHandle>,
) -> io::Result<()> {
    actix_web::rt::System::new().block_on(async move {
        let mut server = HttpServer::new(move || http::app(state.clone())).workers(2).shutdown_timeout(2);
        if !stop_on_signals {
            server = server.disable_signals();
        }
        let server = server.listen(listener)?.run();
        // The receiver is gone only if the start was abandoned.
        let _ = started.send(server.handle());
        server.await
    })
}

/// The image that is there from the start, so that a graph with `LoadImage` runs at once.
fn write_example(files: &Files) -> io::Result<()> {
    let path = files.path(Folder::Input).join(EXAMPLE);
    if path.exists() {
        return Ok(());
    }
    let painting = Painting::new("a sunset over the ocean", "", "example", 1);
    let layer = Layer { paintings: vec![painting].into(), strength: 1.0 };
    let latent = Latent { layers: vec![layer], ..Latent::empty(512, 512, 1) };
    latent.decode(0).save_with_format(path, ImageFormat::Png).map_err(io::Error::other)
}

impl Simulator {
    /// Returns a builder with the defaults; see [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns its URL, `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder below which `input`, `output` and `temp` lie.
    pub fn data_dir(&self) -> PathBuf {
        self.state.files.root().to_owned()
    }

    /// Returns the number of open WebSockets, including those that a newer one with the same client id replaced.
    pub fn open_sockets(&self) -> usize {
        self.state.sockets.open()
    }

    /// Returns the number of prompts that have ended by success, error or interruption.
    pub fn executed_prompts(&self) -> usize {
        self.state.executed_prompts()
    }

    /// Returns the number of requests received so far, including those that opened WebSockets.
    pub fn requests(&self) -> usize {
        self.state.requests()
    }

    /// Injects a fault: drops every WebSocket without a closing handshake, as a network does.
    pub fn drop_sockets(&self) {
        self.state.sockets.cut_all();
    }

    /// Injects a fault: drops queue, history, node cache and the running prompt, without a message, like a restart.
    /// Files stay, and so do the sockets: for a whole restart, call [`Simulator::drop_sockets`] too.
    pub fn forget(&self) {
        self.state.forget();
    }

    /// From now on nothing waits: steps, model loads and delays of nodes end at once, also the present one. So a test can look
    /// at a slow prompt while it runs, for as long as it takes, and then have its end.
    pub fn skip_pauses(&self) {
        self.state.set_pauses(Pauses::Skipped);
    }

    /// From now on no wait ends, until [`Simulator::resume_pauses`]. What needs no time goes on.
    pub fn hold_pauses(&self) {
        self.state.set_pauses(Pauses::Held);
    }

    /// From now on waits end after their time, as at the start.
    pub fn resume_pauses(&self) {
        self.state.set_pauses(Pauses::Timed);
    }

    /// Stops after the current requests are answered. The running prompt is abandoned.
    pub fn stop(mut self) {
        self.shut_down();
    }

    /// Blocks until the server ends, for example by a signal with [`Builder::stop_on_signals`]. For a command line.
    pub fn run_until_stopped(mut self) -> io::Result<()> {
        let ended = match self.http.take() {
            Some(http) => http.join().unwrap_or_else(|_| Err(io::Error::other("the server panicked"))),
            None => Ok(()),
        };
        self.shut_down();
        ended
    }

    fn shut_down(&mut self) {
        self.state.stop();
        self.state.sockets.cut_all();
        if let Some(http) = self.http.take() {
            // The command is sent at once; what is dropped is only the waiting for it.
            drop(self.server.stop(true));
            if !matches!(http.join(), Ok(Ok(()))) {
                tracing::warn!("the simulator's server did not end well");
            }
        }
        if let Some(executor) = self.executor.take()
            && executor.join().is_err()
        {
            tracing::warn!("the simulator's executor panicked");
        }
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.shut_down();
    }
}
