//! Watching jobs as they go.
//!
//! Nobody queues anything up for a watcher. A watcher waits for word that something changed, looks at the present when
//! it is ready to send, and is given what is new to it. What it is given is serialised once for all watchers.

mod board;
mod client_id;
mod event;
mod frames;
mod plan;
mod preview;
mod watch;

pub(crate) use client_id::client_id_of;
pub use event::{Event, EventKind};
pub use plan::{Previews, Wants};
pub use preview::PreviewError;
pub use watch::{News, Watch, WatchAll};

pub(crate) use board::{Board, Live};
