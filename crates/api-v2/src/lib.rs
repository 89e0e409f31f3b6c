#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod asset;
mod error;
mod events;
mod health;
mod job;
mod labels;
mod links;
mod list;
mod new_job;
mod output;
mod reference;

pub use asset::{Asset, FromHash};
pub use error::{Code, Error, ErrorBody, ErrorEnvelope};
pub use events::{EventState, Frame, Preview, StatusEvent, to_json_line};
pub use health::{Health, HealthStatus, Upstream};
pub use job::{
    Job, JobError, JobLogs, JobStatus, JobUrls, JobWorkflow, Metrics, Progress, expires_at, timestamp,
};
pub use labels::{Metadata, label_filters};
pub use links::Links;
pub use list::{JobList, ListQuery, ListedJob};
pub use new_job::{LibraryWorkflow, NewJob, Workflow};
pub use output::{Output, OutputType};
pub use reference::{AssetReference, References};
