//! `POST /api/workflows/inspect`: the workflow that `comfy-runner init` would make of a saved file. Nothing is stored.
//!
//! The request is a multipart form with the file in the part [`FILE_PART`](crate::uploads::FILE_PART), the query string
//! an [`InspectQuery`].
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Inspection`] |
//! | 400 | [`ErrorBody`](crate::ErrorBody): the file has no graph, or no workflow can be made of it |
//! | 413 | [`ErrorBody`](crate::ErrorBody): the file is too large |
//! | 500 | [`ErrorBody`](crate::ErrorBody): ComfyUI's node schemas cannot be fetched |

use comfy_runner_protocol::Graph;
use serde::{Deserialize, Serialize};

use crate::manifest::{Input, Manifest};

/// The query string of `inspect`. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct InspectQuery {
    /// The id that the workflow would have; `workflow` when absent.
    #[serde(default = "default_id")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Za-z0-9._-]+$")))]
    pub id: String,
}

impl Default for InspectQuery {
    fn default() -> Self {
        Self { id: default_id() }
    }
}

fn default_id() -> String {
    "workflow".to_owned()
}

/// The response of `inspect`.
///
/// `M` is the manifest: a [`Manifest`] where it is read, and anything that serializes as one where it is written. The
/// server writes the manifest of `comfy-runner-manifest`, which keeps the order of the file's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Inspection<M = Manifest> {
    /// The manifest, as `GET /api/run/{workflow_id}` would answer it.
    pub manifest: M,
    /// The text of `manifest.yaml`, with comments.
    pub yaml: String,
    /// The graph for `workflow.json`, in API format.
    pub graph: Graph,
    /// Inputs for the other values of the graph, which the manifest does not offer.
    #[serde(default)]
    pub others: Vec<Input>,
    /// What is missing on this ComfyUI, and what was left out.
    pub findings: Vec<Finding>,
}

/// A remark about a file of the workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// How serious it is.
    pub severity: FindingSeverity,
    /// The file, relative to the workflow's folder.
    pub file: String,
    /// The line, from 1, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// A sentence for people.
    pub message: String,
}

/// How serious a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FindingSeverity {
    /// The workflow can run, but perhaps not as intended.
    Warning,
    /// The workflow cannot run.
    Error,
}
