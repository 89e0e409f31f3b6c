#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod cancel;
mod follow;
mod lost;
mod reconcile;
mod record;
mod refusal;
mod remember;
mod status;
mod submit;
mod table;
mod upload;

pub use follow::follow;
pub use refusal::Refusal;
pub use status::{ResultError, StatusError};
pub use submit::{Idempotency, Submission, SubmitError, Submitted};
pub use table::{Jobs, JobsConfig, LostJobs};
pub use upload::{UploadError, upload};
