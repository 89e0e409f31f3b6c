//! `GET /health` and `GET /ready`. Both need no API key.
//!
//! | route | status | body |
//! | --- | --- | --- |
//! | `/health` | 200 | [`Health`] |
//! | `/ready` | 200 | [`Readiness`] |
//! | `/ready` | 503 | [`ErrorBody`](crate::ErrorBody): jobs are not followed, or ComfyUI does not answer |

use serde::{Deserialize, Serialize};

/// The response of `GET /health`: the process is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// Always `ok`.
    pub status: HealthStatus,
    /// Always `comfy-runner`.
    pub program: String,
    /// The version of comfy-runner.
    pub version: String,
}

/// The status of a process that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HealthStatus {
    /// The process is alive.
    Ok,
}

/// The response of `GET /ready`: jobs are followed, and ComfyUI answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Readiness {
    /// Always `ready`.
    pub status: ReadinessStatus,
}

/// The status of a server that can run jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReadinessStatus {
    /// Jobs are followed, and ComfyUI answers.
    Ready,
}
