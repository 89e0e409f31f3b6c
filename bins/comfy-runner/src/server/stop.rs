//! Orderly shutdown, which closes WebSockets and event streams at once.

use actix_web::dev::ServerHandle;
use actix_web::{HttpMessage as _, HttpRequest};
use tokio::sync::watch;

use super::session::OpenSession;

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

/// Waits until a stream must end: the server stops, or the session by which the stream was opened has ended.
pub fn end_of_stream(shutdown: ShutdownSignal, request: &HttpRequest) -> impl Future<Output = ()> + use<> {
    let session = request.extensions().get::<OpenSession>().cloned();
    async move {
        tokio::select! {
            () = stopped(shutdown) => {}
            () = OpenSession::end(session) => {}
        }
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
