//! `GET /api/queue`: the jobs that are not over, with their positions in ComfyUI's queue.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Queue`] |
//! | 500 | [`ErrorBody`](crate::ErrorBody): ComfyUI cannot be reached |

use serde::{Deserialize, Serialize};

use crate::jobs::JobSummary;
use crate::status::JobStatus;

/// The response of `GET /api/queue`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Queue {
    /// The number of prompts that run on ComfyUI, those of other clients included.
    pub running: usize,
    /// The number of prompts that wait there, those of other clients included.
    pub pending: usize,
    /// This server's jobs that are not over: first the running one, then in the order in which they will run.
    pub jobs: Vec<QueuedJob>,
}

/// A job that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueuedJob {
    /// The number of prompts before this one, those of other clients included; 0 for the running one. None while
    /// ComfyUI does not have the job in its queue.
    pub position: Option<usize>,
    /// The job's status; None if the job ended meanwhile.
    pub progress: Option<JobStatus>,
    /// What the list of jobs shows.
    #[serde(flatten)]
    pub summary: JobSummary,
}
