//! `GET /api/workflows`: the workflows, and whether each can run now. `GET /api/workflows/{workflow_id}/check`: what one
//! of them lacks. `GET /api/broken-workflows`: those that the list leaves out. `GET /api/run/{workflow_id}` answers a
//! [`Manifest`](crate::manifest::Manifest).
//!
//! | route | status | body |
//! | --- | --- | --- |
//! | list | 200 | [`WorkflowList`]; the query string is a [`WorkflowsQuery`] |
//! | list | 400 | [`ErrorBody`](crate::ErrorBody): a wrong or unknown parameter |
//! | broken | 200 | [`BrokenWorkflows`] |
//! | `check` | 200 | [`WorkflowCheck`] |
//! | `check` | 404 | [`ErrorBody`](crate::ErrorBody): there is no such workflow |
//! | `PUT` | 201 | [`WorkflowCheck`]; the body is a [`NewWorkflow`] |
//! | `PUT` | 400 | [`ErrorBody`](crate::ErrorBody): it is no workflow |
//! | `PUT` | 403 | [`ErrorBody`](crate::ErrorBody): the server does not allow adding workflows |
//! | `PUT` | 409 | [`ErrorBody`](crate::ErrorBody): there is a workflow with this id |
//!
//! `GET` and `PUT /api/workflows/{workflow_id}/manifest` have the text of `manifest.yaml` as their body; the response of
//! `PUT` is a [`WorkflowCheck`]. `POST /api/manifest/edit` and `POST /api/manifest/execute` need no library: see
//! [`ManifestEdit`] and [`UnsavedRun`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::inspect::Finding;

/// The last path segments below `/api/run/` that belong to the API: no workflow may have one of them as its id.
pub const RESERVED_IDS: [&str; 7] = ["upload-image", "status", "result", "ws", "events", "preview", "cancel"];

/// The response of `GET /api/workflows`: every workflow that can run, by id.
pub type WorkflowList = Vec<WorkflowSummary>;

/// The body of `PUT /api/workflows/{workflow_id}`: a workflow to add to the library. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWorkflow {
    /// The text of `manifest.yaml`, whose `id` is the one in the path.
    pub manifest: String,
    /// The graph, in API format.
    pub graph: Map<String, Value>,
}

/// The body of `POST /api/manifest/edit`: values for the text of a manifest. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ManifestEdit {
    /// The text of a `manifest.yaml`.
    pub yaml: String,
    /// The values that the text is to have. None to read those that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Map<String, Value>>,
}

/// The response of `POST /api/manifest/edit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EditedManifest {
    /// The text with the values, and otherwise as it was: comments, order, quotes.
    pub yaml: String,
    /// The values of the text, and nothing else: no presets of other files, no keys that were left out.
    pub manifest: Map<String, Value>,
    /// What is wrong with the manifest on its own. The graph is not looked at.
    pub findings: Vec<Finding>,
}

/// The body of `POST /api/manifest/execute`: a run of a workflow that is not in the library. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnsavedRun {
    /// The text of a `manifest.yaml`.
    pub manifest: String,
    /// The graph, in API format.
    pub graph: Map<String, Value>,
    /// The params, as those of `execute`. Files are named by their names at ComfyUI.
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// A workflow in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowSummary {
    /// The workflow's id.
    pub id: String,
    /// The workflow's name; its id if the manifest has none.
    pub name: String,
    /// Whether the workflow has one graph or is assembled from blocks.
    #[serde(rename = "type")]
    pub kind: WorkflowKind,
    /// What the workflow makes: `image`, `video`, ...
    pub category: Option<String>,
    /// A sentence for people.
    pub description: Option<String>,
    /// Whether it can run now.
    #[serde(flatten)]
    pub readiness: WorkflowReadiness,
}

/// Whether a workflow can run now on this ComfyUI, by the node schemas that ComfyUI answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowReadiness {
    /// True if ComfyUI has every node type and model that the workflow names and nothing in it is an error. `None` if
    /// ComfyUI's node schemas cannot be fetched.
    #[serde(default)]
    pub ready: Option<bool>,
    /// Why it is not ready, or why that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What ComfyUI lacks.
    #[serde(default)]
    pub missing: Missing,
}

/// What a workflow names and a ComfyUI lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Missing {
    /// Node types.
    #[serde(default)]
    pub node_types: Vec<String>,
    /// File names of models.
    #[serde(default)]
    pub models: Vec<String>,
    /// Packages of custom nodes that the manifest names (`required_nodes`), when node types are missing too.
    #[serde(default)]
    pub packages: Vec<String>,
}

/// The query string of `GET /api/workflows`. Unknown keys are refused: a misspelt filter must not list every workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorkflowsQuery {
    /// Only workflows of this category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Only workflows of this type: `static` or `dynamic`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<WorkflowKind>"))]
    pub kind: Option<String>,
    /// Only workflows that are ready (`true` or `1`), that are not (`false` or `0`), or of which it is not known (`unknown`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["true", "false", "unknown", "1", "0"])))]
    pub ready: Option<String>,
}

/// The response of `GET /api/workflows/{workflow_id}/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkflowCheck {
    /// The workflow's id.
    pub id: String,
    /// Whether it can run now.
    #[serde(flatten)]
    pub readiness: WorkflowReadiness,
    /// Every error and warning about its files, also those that do not keep it from running.
    pub findings: Vec<Finding>,
}

/// The response of `GET /api/broken-workflows`: every workflow that cannot be used, by id.
pub type BrokenWorkflows = Vec<BrokenWorkflow>;

/// A workflow whose files are broken. `GET /api/workflows` leaves it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BrokenWorkflow {
    /// The workflow's id: the name of its folder.
    pub id: String,
    /// Every error and warning about its files.
    pub findings: Vec<Finding>,
}

/// How a workflow's graph is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WorkflowKind {
    /// From a graph file.
    Static,
    /// From blocks, for each request.
    Dynamic,
}
