//! The open WebSockets and what is sent to them.
//!
//! Each socket has a queue of bounded length. When it is full, a message of a prompt waits a while for room; then
//! a preview is dropped, and for other messages the socket is closed. A `status` never waits: it is dropped,
//! and the next one replaces it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

/// Messages that may wait for one socket.
const LONGEST_QUEUE: usize = 256;
/// How long a message waits for room before its socket is closed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a preview waits for room before it is dropped.
const PREVIEW_PATIENCE: Duration = Duration::from_millis(250);

/// The content of one WebSocket frame.
#[derive(Debug, Clone)]
pub enum Frame {
    /// JSON.
    Text(String),
    /// A preview.
    Binary(Bytes),
}

/// The sockets by their client id.
#[derive(Default)]
pub struct Sockets {
    by_client: Mutex<HashMap<String, Entry>>,
    serial: AtomicU64,
    open: AtomicUsize,
}

struct Entry {
    serial: u64,
    line: Line,
    previews_with_metadata: bool,
}

#[derive(Clone)]
struct Line {
    sender: mpsc::Sender<Frame>,
    cut: Arc<Notify>,
}

/// The end of a registered socket that takes what is sent to it.
pub struct Registered {
    /// The client id.
    pub client_id: String,
    /// The queued frames.
    pub frames: mpsc::Receiver<Frame>,
    /// Signals that the connection must be dropped without a closing handshake.
    pub cut: Arc<Notify>,
    serial: u64,
}

impl Sockets {
    /// Registers a socket. One with the same client id stays open, but receives nothing more.
    pub fn register(&self, client_id: String) -> Registered {
        let (sender, frames) = mpsc::channel(LONGEST_QUEUE);
        let cut = Arc::new(Notify::new());
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let line = Line { sender, cut: cut.clone() };
        self.lock().insert(client_id.clone(), Entry { serial, line, previews_with_metadata: false });
        self.open.fetch_add(1, Ordering::Relaxed);
        Registered { client_id, frames, cut, serial }
    }

    /// A socket has closed. As in ComfyUI 0.3.64 this silences whatever socket has its client id, be it a newer one;
    /// only a socket that the simulator itself had cut leaves its successor alone.
    pub fn closed(&self, socket: &Registered, was_cut: bool) {
        let mut by_client = self.lock();
        if !was_cut || by_client.get(&socket.client_id).is_some_and(|entry| entry.serial == socket.serial) {
            by_client.remove(&socket.client_id);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// What the client can do with previews.
    pub fn set_previews_with_metadata(&self, socket: &Registered, supported: bool) {
        if let Some(entry) = self.lock().get_mut(&socket.client_id) {
            entry.previews_with_metadata = supported;
        }
    }

    /// Whether previews for this client carry metadata; `None` if no client would receive one.
    pub fn previews_with_metadata(&self, client_id: Option<&str>) -> Option<bool> {
        let by_client = self.lock();
        match client_id {
            Some(client_id) => by_client.get(client_id).map(|entry| entry.previews_with_metadata),
            None => (!by_client.is_empty()).then_some(false),
        }
    }

    /// Returns the number of open connections, including those that receive nothing any more.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Drops every connection without a closing handshake, as a network does.
    pub fn cut_all(&self) {
        for (_, entry) in self.lock().drain() {
            entry.line.cut.notify_one();
        }
    }

    /// Tells every socket the length of the queue. Never waits.
    pub fn broadcast_status(&self, remaining: usize) {
        let text = message("status", &json!({"status": {"exec_info": {"queue_remaining": remaining}}}));
        for entry in self.lock().values() {
            // More important messages handle a full queue.
            let _ = entry.line.sender.try_send(Frame::Text(text.clone()));
        }
    }

    /// Sends to one socket, if it is there, and never waits. For the greetings of a new socket.
    pub fn greet(&self, client_id: &str, kind: &str, data: &Value) {
        if let Some(entry) = self.lock().get(client_id) {
            let _ = entry.line.sender.try_send(Frame::Text(message(kind, data)));
        }
    }

    /// Sends a message to a client, or to all. Blocks while a queue is full; not for async code.
    pub fn send(&self, to: Option<&str>, kind: &str, data: &Value) {
        let text = message(kind, data);
        for line in self.lines(to) {
            if !line.send_within(Frame::Text(text.clone()), PATIENCE) {
                tracing::warn!("a socket did not take its messages for {PATIENCE:?} and is cut");
                line.cut.notify_one();
            }
        }
    }

    /// Sends a preview to a client, or to all. Blocks for a moment while a queue is full; not for async code.
    pub fn send_preview(&self, to: Option<&str>, frame: &Bytes) {
        for line in self.lines(to) {
            if !line.send_within(Frame::Binary(frame.clone()), PREVIEW_PATIENCE) {
                tracing::debug!("a preview was dropped for a slow socket");
            }
        }
    }

    fn lines(&self, to: Option<&str>) -> Vec<Line> {
        let by_client = self.lock();
        match to {
            Some(client_id) => by_client.get(client_id).map(|entry| entry.line.clone()).into_iter().collect(),
            None => by_client.values().map(|entry| entry.line.clone()).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Puts a frame into the queue, waiting for room. A socket that has closed takes anything.
    fn send_within(&self, frame: Frame, patience: Duration) -> bool {
        let start = Instant::now();
        let mut frame = frame;
        loop {
            match self.sender.try_send(frame) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => return true,
                Err(mpsc::error::TrySendError::Full(back)) => frame = back,
            }
            if start.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn message(kind: &str, data: &Value) -> String {
    json!({"type": kind, "data": data}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_socket_of_a_client_takes_over_and_falls_silent_when_the_first_closes() {
        let sockets = Sockets::default();
        let mut first = sockets.register("c".to_owned());
        let mut second = sockets.register("c".to_owned());
        sockets.send(Some("c"), "x", &json!({}));
        assert!(first.frames.try_recv().is_err());
        assert!(second.frames.try_recv().is_ok());
        assert_eq!(sockets.open(), 2);
        sockets.closed(&first, false);
        sockets.send(Some("c"), "x", &json!({}));
        assert!(second.frames.try_recv().is_err());
    }

    #[test]
    fn a_socket_that_was_cut_leaves_its_successor_alone() {
        let sockets = Sockets::default();
        let first = sockets.register("c".to_owned());
        sockets.cut_all();
        let mut second = sockets.register("c".to_owned());
        sockets.closed(&first, true);
        sockets.send(Some("c"), "x", &json!({}));
        assert!(second.frames.try_recv().is_ok());
    }

    #[test]
    fn a_full_queue_never_grows_and_a_status_never_waits() {
        let sockets = Sockets::default();
        let mut slow = sockets.register("c".to_owned());
        for _ in 0..LONGEST_QUEUE * 2 {
            sockets.broadcast_status(1);
        }
        sockets.send_preview(Some("c"), &Bytes::from_static(b"dropped"));
        let waiting = std::iter::from_fn(|| slow.frames.try_recv().ok()).count();
        assert_eq!(waiting, LONGEST_QUEUE);
    }
}
