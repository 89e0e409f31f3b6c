//! Assets: uploaded files, and what jobs made.

use comfy_runner_api::Timestamp;
use serde::{Deserialize, Serialize};

/// A file with an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Asset"))]
pub struct Asset {
    /// Its id.
    pub id: String,
    /// `blake3:` and the hash of its bytes in hexadecimal digits; None while the bytes of an output are still being read.
    pub hash: Option<String>,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its media type, as it was declared at the upload.
    pub content_type: String,
    /// The name that it was given.
    pub file_path: Option<String>,
    /// In responses that create an asset: whether its bytes were new to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_new: Option<bool>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The absolute URL of its bytes.
    pub url: String,
    /// Until when the URL can be used.
    pub url_expires_at: Timestamp,
    /// When it is deleted; None for never.
    pub expires_at: Option<Timestamp>,
    /// The job that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
}

/// The body of `POST /assets/from-hash`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2FromHash"))]
pub struct FromHash {
    /// The hash of bytes that the server has, as in [`Asset::hash`].
    #[serde(default)]
    pub hash: Option<String>,
    /// The name of the new asset.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 255)))]
    pub file_path: Option<String>,
    /// Categories; they are accepted and not used.
    #[serde(default)]
    pub tags: Vec<String>,
    /// After how many seconds the asset is deleted.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 60, max = 604_800)))]
    pub expires_in: Option<u64>,
}
