#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod durations;
mod estimate;
mod failure;
mod follow;
mod outline;
mod outputs;
mod progress;
mod running;
mod snapshot;
mod status;

pub use durations::{Durations, MeanDuration, NodeDuration};
pub use failure::failure_text;
pub use outputs::{NodeFiles, ReportedFile};
pub use progress::{Picture, Progress};
pub use snapshot::{CompletedSnapshot, FailedSnapshot, PendingSnapshot, RunningSnapshot, Snapshot};
pub use status::Status;
