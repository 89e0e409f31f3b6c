//! What the middleware tells the socket of a connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection is read after an answer that did not need the request's body. A client that sends its whole body
/// before it reads gets the answer if it finishes within this time and [`LINGER_BYTES`].
pub const LINGER: Duration = Duration::from_secs(2);
/// How many bytes of such a body are read, and thrown away.
pub const LINGER_BYTES: usize = 16 << 20;

/// The requests of one connection, as its socket needs to know them. Both live on one thread.
#[derive(Debug)]
pub struct Activity {
    /// Requests that are being answered.
    open: Cell<usize>,
    /// Whether the head of any request could be read.
    has_begun: Cell<bool>,
    /// When the last of them ended, or the connection was made.
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

/// Until when the socket may wait for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// For as long as the request takes.
    Open,
    /// The head of the next request must have arrived by then.
    Head(Instant),
    /// What comes is thrown away, and nothing is read any more after that.
    Linger(Instant),
}

/// A request that is being answered, until this is dropped.
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

    /// Lets the connection be read a little longer, and then no more: the answer is made, and the request goes on.
    pub fn linger(&self) {
        if self.linger.get().is_none() {
            self.linger.set(Some(Linger { until: Instant::now() + LINGER, bytes: LINGER_BYTES }));
            // The socket may be waiting without a deadline.
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
        }
    }

    /// Until when the socket may wait, where a head must arrive `head_within` the end of the request before.
    pub(super) fn wait(&self, head_within: Duration) -> Wait {
        match self.linger.get() {
            Some(linger) => Wait::Linger(linger.until),
            None if self.open.get() == 0 => Wait::Head(self.idle_since.get() + head_within),
            None => Wait::Open,
        }
    }

    /// Whether nothing is read from the connection any more.
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
    /// Lets the connection linger when this request ends, as a WebSocket's does, whose client need not stop sending.
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
