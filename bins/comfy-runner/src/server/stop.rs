//! Stopping, so that those who watch do not hold it up.

use actix_web::dev::ServerHandle;
use tokio::sync::watch;

/// Tells when the server stops. It is true from then on, also when the server is gone.
pub type Stopping = watch::Receiver<bool>;

/// Stops a server from elsewhere.
#[derive(Clone)]
pub struct Handle {
    server: ServerHandle,
    stopping: watch::Sender<bool>,
}

impl Handle {
    pub(super) fn new(server: ServerHandle, stopping: watch::Sender<bool>) -> Self {
        Self { server, stopping }
    }

    /// Stops the server. With `graceful`, requests at work get ten seconds to end. Those who watch jobs are sent home at
    /// once: they would stay for as long as the job does.
    pub async fn stop(&self, graceful: bool) {
        self.leave();
        self.server.stop(graceful).await;
    }

    /// Sends those who watch home when the process is asked to stop.
    pub(super) async fn leave_on_signals(&self) {
        if let Err(error) = asked_to_stop().await {
            tracing::warn!(%error, "cannot hear signals: those who watch jobs will hold up a stop");
            std::future::pending().await
        }
        self.leave();
    }

    fn leave(&self) {
        self.stopping.send_replace(true);
    }
}

/// Waits until the server stops.
pub async fn stopped(mut stopping: Stopping) {
    // The sender is gone only when the server is.
    let _ = stopping.wait_for(|stops| *stops).await;
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
