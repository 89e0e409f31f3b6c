//! `GET /api/queue`: the jobs that are not over, with their positions.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Queue`] |
//! | 503 | [`ErrorBody`](crate::ErrorBody): the store of jobs cannot be read |

use serde::{Deserialize, Serialize};

use crate::jobs::JobSummary;
use crate::status::JobStatus;

/// The response of `GET /api/queue`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Queue {
    /// The number of prompts that run on ComfyUIs, those of other clients included. Of a ComfyUI that does not answer, this
    /// server's jobs are counted.
    pub running: usize,
    /// The number of prompts that wait there, those of other clients included, and of jobs that wait for a ComfyUI.
    pub pending: usize,
    /// This server's jobs that are not over: first the running ones, then in the order in which they are expected to run.
    pub jobs: Vec<QueuedJob>,
}

/// A job that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueuedJob {
    /// The number of prompts before this one, those of other clients included; 0 for a running one. None while the job is on
    /// its way to a ComfyUI, and while its ComfyUI does not answer.
    pub position: Option<usize>,
    /// The seconds until the job is expected to begin, by how long earlier jobs took. None once a ComfyUI has the job.
    #[serde(default)]
    pub eta_seconds: Option<f64>,
    /// The job's status; None if the job ended meanwhile.
    pub progress: Option<JobStatus>,
    /// What the list of jobs shows.
    #[serde(flatten)]
    pub summary: JobSummary,
}
