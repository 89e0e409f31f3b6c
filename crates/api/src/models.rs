//! `GET /api/models` and `GET /api/models/{kind}`: the model files that the ComfyUIs have.
//!
//! | route | status | body |
//! | --- | --- | --- |
//! | all | 200 | [`ModelLists`] |
//! | one kind | 200 | [`ModelList`] |
//! | one kind | 404 | [`ErrorBody`](crate::ErrorBody): no ComfyUI has such a kind |
//! | both | 500 | [`ErrorBody`](crate::ErrorBody): no ComfyUI can be reached |

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Names of ComfyUIs, by the model file that they have.
pub type ModelPlaces = IndexMap<String, Vec<String>>;

/// The response of `GET /api/models`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelLists {
    /// File names by kind, both in ComfyUI's order. A kind is the name of a folder: `checkpoints`, `loras`, `vae`, ... Those of
    /// several ComfyUIs are put together.
    pub models: IndexMap<String, Vec<String>>,
    /// Where those files are that not every ComfyUI which answered has, by kind.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub only_on: IndexMap<String, ModelPlaces>,
}

/// The response of `GET /api/models/{kind}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelList {
    /// The kind.
    pub kind: String,
    /// File names in ComfyUI's order, with the folder below that of the kind if there is one.
    pub models: Vec<String>,
    /// Where those files are that not every ComfyUI which answered has.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub only_on: ModelPlaces,
}
