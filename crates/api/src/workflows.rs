//! `GET /api/workflows`: the workflows. `GET /api/run/{workflow_id}` answers a
//! [`Manifest`](crate::manifest::Manifest).
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`WorkflowList`] |

use serde::{Deserialize, Serialize};

/// The last path segments below `/api/run/` that belong to the API: no workflow may have one of them as its id.
pub const RESERVED_IDS: [&str; 7] = ["upload-image", "status", "result", "ws", "events", "preview", "cancel"];

/// The response of `GET /api/workflows`: every workflow that can run, by id.
pub type WorkflowList = Vec<WorkflowSummary>;

/// A workflow in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// How a workflow's graph is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowKind {
    /// From a graph file.
    Static,
    /// From blocks, for each request.
    Dynamic,
}
