//! Liveness.

use serde::{Deserialize, Serialize};

/// The response of `GET /health`, which needs no key. It does not name ComfyUI's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Health"))]
pub struct Health {
    /// Always `healthy`: the process answers.
    pub status: HealthStatus,
    /// Whether a ComfyUI answers.
    pub upstream: Upstream,
}

/// The status of a process that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2HealthStatus"))]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// The process answers.
    Healthy,
}

/// Whether a ComfyUI answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Upstream"))]
#[serde(rename_all = "lowercase")]
pub enum Upstream {
    /// One answers.
    Reachable,
    /// None answers.
    Unreachable,
}

impl Health {
    /// Creates the body; `reachable` says whether a ComfyUI answers.
    pub fn new(reachable: bool) -> Self {
        let upstream = if reachable { Upstream::Reachable } else { Upstream::Unreachable };
        Self { status: HealthStatus::Healthy, upstream }
    }
}
