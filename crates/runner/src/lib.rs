#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod builder;
mod download;
mod error;
mod job;
mod runner;
mod updates;
mod worker;
mod workflows;

pub use builder::RunnerBuilder;
pub use download::Download;
pub use error::{RunnerError, StartError};
pub use job::{Job, JobResult};
pub use runner::Runner;
pub use updates::Updates;

/// The types that a [`Runner`] returns, from the crates that define them.
pub use comfy_runner_api::{
    CompletedStatus, Event, EventKind, JobMessage, JobRecord, JobStatus, RunningStatus, Status, Submitted,
};
pub use comfy_runner_jobs::{InvalidPartnerKey, LostJobs, PartnerKey, Preview, Update, WatchOptions};
pub use comfy_runner_protocol::{Graph, Media, OutputFile};
