//! Orderly shutdown, which closes WebSockets and event streams at once.

use actix_web::dev::ServerHandle;
use tokio::sync::watch;

/// Becomes true when the server stops.
pub type ShutdownSignal = watch::Receiver<bool>;

/// A handle that stops a server.
#[derive(Clone)]
pub struct Handle {
    server: ServerHandle,
    stopping: watch::Sender<bool>,
}

impl Handle {
    pub(super) fn new(server: ServerHandle, stopping: watch::Sender<bool>) -> Self {
        Self { server, stopping }
    }

    /// Stops the server. With `graceful`, requests in progress get ten seconds to end. WebSockets and event streams are
    /// closed at once; they would last as long as their jobs.
    pub async fn stop(&self, graceful: bool) {
        self.drain();
        self.server.stop(graceful).await;
    }

    /// Closes WebSockets and event streams when the process receives SIGTERM or SIGINT.
    pub(super) async fn drain_on_signals(&self) {
        if let Err(error) = asked_to_stop().await {
            tracing::warn!(%error, "cannot listen for signals: open event streams will delay a stop");
            std::future::pending().await
        }
        self.drain();
    }

    fn drain(&self) {
        self.stopping.send_replace(true);
    }
}

/// Waits until the server stops.
pub async fn stopped(mut shutdown: ShutdownSignal) {
    // The sender is gone only when the server is.
    let _ = shutdown.wait_for(|stops| *stops).await;
}

#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
