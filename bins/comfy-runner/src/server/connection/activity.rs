//! The requests of a connection, as reported by the middleware to the socket.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection is read after a response that did not need the request's body. A client that sends its whole
/// body before it reads gets the response if it finishes within this time and [`LINGER_BYTES`].
pub const LINGER: Duration = Duration::from_secs(2);
/// The maximum number of bytes of such a body that are read and discarded.
pub const LINGER_BYTES: usize = 16 << 20;

/// The requests of one connection. The middleware and the socket are on the same thread.
#[derive(Debug)]
pub struct Activity {
    /// The number of requests that are being answered.
    open: Cell<usize>,
    /// Whether the head of any request could be read.
    has_begun: Cell<bool>,
    /// The end of the last request, or the start of the connection.
    idle_since: Cell<Instant>,
    linger: Cell<Option<Linger>>,
    /// Wakes the task that reads the socket.
    reader: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy)]
struct Linger {
    until: Instant,
    bytes: usize,
}

/// How long the socket may wait for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// For as long as the request takes.
    Open,
    /// The head of the next request must have arrived by then.
    Head(Instant),
    /// Data is discarded until then; after that nothing is read.
    Linger(Instant),
}

/// A guard for a request that is being answered.
#[derive(Debug)]
pub struct OpenRequest {
    activity: Rc<Activity>,
    lingers: bool,
}

impl Activity {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            open: Cell::new(0),
            has_begun: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            linger: Cell::new(None),
            reader: RefCell::new(None),
        })
    }

    /// Counts a request whose head has arrived.
    pub fn begin(self: &Rc<Self>) -> OpenRequest {
        self.open.set(self.open.get() + 1);
        self.has_begun.set(true);
        OpenRequest { activity: Rc::clone(self), lingers: false }
    }

    /// Limits further reading of the connection: the response is complete, and the client still sends its request.
    pub fn linger(&self) {
        if self.linger.get().is_none() {
            self.linger.set(Some(Linger { until: Instant::now() + LINGER, bytes: LINGER_BYTES }));
            // The socket may be waiting without a deadline.
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
    }

    /// Returns how long the socket may wait. A head must arrive within `head_within` of the end of the previous request.
    pub(super) fn wait(&self, head_within: Duration) -> Wait {
        match self.linger.get() {
            Some(linger) => Wait::Linger(linger.until),
            None if self.open.get() == 0 => Wait::Head(self.idle_since.get() + head_within),
            None => Wait::Open,
        }
    }

    /// Returns whether the connection is no longer read.
    pub(super) fn has_lingered(&self) -> bool {
        self.linger.get().is_some_and(|linger| linger.bytes == 0 || Instant::now() >= linger.until)
    }

    /// Counts bytes that were read.
    pub(super) fn received(&self, bytes: usize) {
        if let Some(linger) = self.linger.get() {
            self.linger.set(Some(Linger { bytes: linger.bytes.saturating_sub(bytes), ..linger }));
        }
    }

    /// Returns whether the head of any request could be read.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Remembers the task that reads.
    pub(super) fn read_by(&self, reader: &Waker) {
        let mut known = self.reader.borrow_mut();
        if known.as_ref().is_none_or(|known| !known.will_wake(reader)) {
            *known = Some(reader.clone());
        }
    }
}

impl OpenRequest {
    /// Limits reading when this request ends, for WebSockets, whose clients may keep sending.
    pub fn linger_at_end(&mut self) {
        self.lingers = true;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let activity = &self.activity;
        activity.open.set(activity.open.get() - 1);
        activity.idle_since.set(Instant::now());
        if self.lingers {
            activity.linger();
        }
    }
}
