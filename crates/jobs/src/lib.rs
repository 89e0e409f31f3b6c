#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(test)]
mod any_order;
mod cancel;
mod follow;
mod lessons;
mod live;
mod lost;
mod queue;
mod reconcile;
mod record;
mod records;
mod refusal;
mod remember;
mod remote;
mod retry;
mod status;
mod submit;
mod supervise;
mod table;
mod upload;

pub use cancel::CancelError;
pub use follow::follow;
pub use live::{Event, EventKind, News, PreviewError, Previews, Wants, Watch, WatchAll};
pub use queue::{ActiveJob, ActiveJobs, QueueError};
pub use records::RecordError;
pub use refusal::Refusal;
pub use retry::RetryError;
pub use status::{ResultError, StatusError};
pub use submit::{Idempotency, Submission, SubmitError, Submitted};
pub use supervise::{FollowError, Stalled};
pub use table::{Jobs, JobsConfig, LostJobs};
pub use upload::{UploadError, upload};
