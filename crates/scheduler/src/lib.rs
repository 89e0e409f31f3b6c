#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod fair_queue;
mod job_times;
mod placement;
mod waiting_job;
mod warm_models;

pub use fair_queue::{FairQueue, JobQueue};
pub use job_times::{JobTimes, Mean, WorkflowTimes};
pub use placement::{ComfyUi, Estimate, Workload, place};
pub use waiting_job::{ParsePriorityError, Priority, WaitingJob};
pub use warm_models::WarmModels;
