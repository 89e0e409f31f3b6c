//! Starting, asking and stopping a simulator.

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
use crate::http;
use crate::paint::{Latent, Layer, Painting};
use crate::state::State;
use crate::version::Version;

/// ComfyUI comes with an image of this name in its input folder.
const EXAMPLE: &str = "example.png";

/// How a simulator is to be.
#[derive(Debug, Clone)]
pub struct Builder {
    listen: String,
    data_dir: Option<PathBuf>,
    version: Version,
    step_delay: Duration,
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
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The folder for files cannot be used.
    #[error("cannot use {} for files: {source}", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A thread, or the server in it, cannot be started.
    #[error("cannot start the server: {0}")]
    Server(#[from] io::Error),
    /// The built-in node schemas cannot be read: a bug.
    #[error("the built-in node schemas are broken: {0}")]
    Schemas(#[from] serde_json::Error),
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            data_dir: None,
            version: Version::default(),
            step_delay: Duration::from_millis(80),
            max_upload_size: 100 << 20,
            stop_on_signals: false,
        }
    }
}

impl Builder {
    /// The address to listen on, `127.0.0.1:0` (a free port) by default. Whoever can reach it can run prompts and read
    /// files of the data folder: there is no authentication, as in ComfyUI.
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

    /// The version of ComfyUI to speak as, the latest one by default.
    pub fn speak_as(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// How long a step of a sampler takes, 80 ms by default. Loading a model takes a few steps. Tests use zero.
    pub fn step_delay(mut self, delay: Duration) -> Self {
        self.step_delay = delay;
        self
    }

    /// The bytes that an upload or a prompt may have, 100 MiB by default as in ComfyUI.
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
        let catalog = Catalog::new(self.version)?;
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
        let state = web::Data::new(State::new(catalog, files, self.max_upload_size, self.step_delay));
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
        // Nobody waits any more only if the start was given up.
        let _ = started.send(server.handle());
        server.await
    })
}

/// The image that is there from the start, so that a graph with `LoadImage` runs at once.
fn write_example(files: &Files) -> io::Result<()> {
    let path = files.root_of(Folder::Input).join(EXAMPLE);
    if path.exists() {
        return Ok(());
    }
    let painting = Painting::new("a sunset over the ocean", "", "example", 1);
    let layer = Layer { paintings: vec![painting].into(), strength: 1.0 };
    let latent = Latent { layers: vec![layer], ..Latent::empty(512, 512, 1) };
    latent.decode(0).save_with_format(path, ImageFormat::Png).map_err(io::Error::other)
}

impl Simulator {
    /// A simulator with the defaults; see [`Builder`].
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it answers: `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder below which `input`, `output` and `temp` lie.
    pub fn data_dir(&self) -> PathBuf {
        self.state.files.root().to_owned()
    }

    /// How many WebSockets are open now, those included that another with their client id has silenced.
    pub fn open_sockets(&self) -> usize {
        self.state.sockets.open()
    }

    /// How many prompts have run to an end, be it success, error or interruption.
    pub fn executed_prompts(&self) -> usize {
        self.state.executed_prompts()
    }

    /// How many requests have come so far, whatever they asked for, those that opened WebSockets included.
    pub fn requests(&self) -> usize {
        self.state.requests()
    }

    /// Fault: cuts every WebSocket without a closing handshake, as a network does.
    pub fn drop_sockets(&self) {
        self.state.sockets.cut_all();
    }

    /// Fault: forgets queue, history, node cache and the prompt that runs, without a message, like a restart.
    /// Files stay, and so do the sockets: for a whole restart, call [`Simulator::drop_sockets`] too.
    pub fn forget(&self) {
        self.state.forget();
    }

    /// Stops, once answers under way have been given. The prompt that runs is given up.
    pub fn stop(mut self) {
        self.shut_down();
    }

    /// Blocks until the server ends: by a signal if [`Builder::stop_on_signals`] asked for it. For a command line.
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
