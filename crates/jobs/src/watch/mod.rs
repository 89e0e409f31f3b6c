//! Watching jobs.
//!
//! No queue grows for a subscriber. It waits for word that something changed, looks at the present state when it is ready
//! to send, and gets what is new to it. Messages are typed, and serialised once for all subscribers.

mod change_feed;
mod client_id;
mod event;
mod find;
mod preview;
mod seen;
mod serialized;
mod snapshot;
mod subscription;

pub use preview::{Preview, PreviewError};
pub use seen::WatchOptions;
pub use serialized::Serialized;
pub use subscription::{AllJobsSubscription, Subscription, Update};

pub(crate) use change_feed::ChangeFeed;
pub(crate) use client_id::{client_id_of, prompt_id_of};
pub(crate) use event::{job_event, unreported};
pub(crate) use find::end;
pub(crate) use preview::preview;
pub(crate) use snapshot::JobSnapshot;
