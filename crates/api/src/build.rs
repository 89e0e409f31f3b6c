//! `POST /api/run/{workflow_id}/build`: the graph for some parameters, without a run.
//!
//! The request is the multipart form of [`execute`](crate::execute), the query string a [`BuildQuery`].
//!
//! | status | body |
//! | --- | --- |
//! | 200, `format=api` | [`Graph`](comfy_runner_protocol::Graph): what ComfyUI's `/prompt` takes |
//! | 200, `format=workflow` | a graph in ComfyUI's UI format, the type `UiGraph` of `comfy-runner-editor` |
//! | 400, 404, 413, 500 | [`ErrorBody`](crate::ErrorBody), as for `execute` |

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::UnknownWord;

/// The query string of `build`. Unknown keys are ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct BuildQuery {
    /// A [`GraphFormat`]; `api` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<GraphFormat>"))]
    pub format: Option<String>,
}

/// A format of a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum GraphFormat {
    /// ComfyUI's API format, a map from node ids to nodes.
    #[default]
    Api,
    /// ComfyUI's UI format, which its editor saves and opens.
    Workflow,
}

impl GraphFormat {
    const WORDS: [&str; 2] = ["api", "workflow"];

    /// Returns the word that the query string uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Workflow => "workflow",
        }
    }
}

impl FromStr for GraphFormat {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "api" => Ok(Self::Api),
            "workflow" => Ok(Self::Workflow),
            other => Err(UnknownWord::new(other, &Self::WORDS)),
        }
    }
}
