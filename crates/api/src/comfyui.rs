//! `GET /api/comfyui`, `POST /api/comfyui/{name}/drain` and `/resume`: the ComfyUIs behind the server.
//!
//! | route | status | body |
//! | --- | --- | --- |
//! | list | 200 | [`ComfyUis`] |
//! | `drain`, `resume` | 200 | [`DrainedComfyUi`] |
//! | `drain`, `resume` | 404 | [`ErrorBody`](crate::ErrorBody): there is no ComfyUI with this name |
//! | `drain`, `resume` | 503 | [`ErrorBody`](crate::ErrorBody): it cannot be recorded, and nothing is changed |

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The response of `GET /api/comfyui`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComfyUis {
    /// The ComfyUIs, in the order of the settings.
    pub comfyuis: Vec<ComfyUiInfo>,
    /// The number of jobs that wait for one of them.
    pub waiting: usize,
}

/// A ComfyUI. Neither its headers nor a password in its URL are shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComfyUiInfo {
    /// Its name.
    pub name: String,
    /// Its state.
    pub status: ComfyUiStatus,
    /// Whether it gets no more jobs, because somebody asked for it.
    pub draining: bool,
    /// Its tags.
    pub tags: Vec<String>,
    /// The number of this server's prompts that it gets at once.
    pub depth: usize,
    /// This server's jobs that it has, in the order in which it got them.
    pub jobs: Vec<String>,
    /// The one of them that runs.
    pub running: Option<String>,
    /// The number of prompts that run or wait there, those of other clients included; None if it does not answer.
    pub queue: Option<usize>,
    /// The models that it has in memory, as far as known from the jobs that it ran.
    pub warm_models: Vec<String>,
    /// Its version; None if it does not answer or does not say.
    pub version: Option<String>,
    /// Its devices, as it reports them: `name`, `type`, `vram_total`, `vram_free` and others.
    pub devices: Vec<Map<String, Value>>,
    /// The last error of a request to it, or why its connection was lost.
    pub last_error: Option<String>,
}

/// The state of a ComfyUI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ComfyUiStatus {
    /// It was not asked yet.
    #[default]
    Unknown,
    /// It is connected.
    Up,
    /// It cannot be reached; attempts go on.
    Down,
}

/// The response of `POST /api/comfyui/{name}/drain` and `/resume`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DrainedComfyUi {
    /// The name of the ComfyUI.
    pub name: String,
    /// Whether it gets no more jobs now.
    pub draining: bool,
    /// The number of this server's jobs that it still has.
    pub jobs: usize,
}
