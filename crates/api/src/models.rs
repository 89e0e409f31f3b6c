//! `GET /api/models` and `GET /api/models/{kind}`: the model files that ComfyUI has.
//!
//! | route | status | body |
//! | --- | --- | --- |
//! | all | 200 | [`ModelLists`] |
//! | one kind | 200 | [`ModelList`] |
//! | one kind | 404 | [`ErrorBody`](crate::ErrorBody): this ComfyUI has no such kind |
//! | both | 500 | [`ErrorBody`](crate::ErrorBody): ComfyUI cannot be reached |

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// The response of `GET /api/models`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelLists {
    /// File names by kind, both in ComfyUI's order. A kind is the name of a folder: `checkpoints`, `loras`, `vae`, ...
    pub models: IndexMap<String, Vec<String>>,
}

/// The response of `GET /api/models/{kind}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelList {
    /// The kind.
    pub kind: String,
    /// File names in ComfyUI's order, with the folder below that of the kind if there is one.
    pub models: Vec<String>,
}
