//! `POST /api/run/upload-image`: a file for later requests. `GET /api/files` and `DELETE /api/files/{filename}`: the files
//! that were uploaded. `POST /api/files/gc`: deletes what is no longer needed from the file store.
//!
//! The request is a multipart form with one file in the part [`FILE_PART`]. The file must be an image, a video or audio
//! by its content, or a 3D model (GLB, PLY or FBX by its content; glTF, OBJ, STL, USDZ, SPZ or a splat by extension and
//! content).
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Uploaded`] |
//! | 400, 413 | [`ErrorBody`](crate::ErrorBody): the file is refused |
//! | 500 | [`ErrorBody`](crate::ErrorBody) with `Upload failed: ...`: ComfyUI does not take it |

//!
//! | route | status | body |
//! | --- | --- | --- |
//! | `GET` | 200 | [`UploadedFiles`]; the query string is an [`UploadedFilesQuery`] |
//! | `GET` | 400 | [`ErrorBody`](crate::ErrorBody): a wrong or unknown parameter |
//! | `DELETE` | 200 | [`DeletedFile`] |
//! | `DELETE` | 404 | [`ErrorBody`](crate::ErrorBody): no such file was uploaded through this server |
//! | `DELETE` | 409 | [`ErrorBody`](crate::ErrorBody): a job that is not over reads the file |
//! | `DELETE` | 500 | [`ErrorBody`](crate::ErrorBody): the file cannot be deleted; its record stays |
//! | `POST` | 200 | [`CollectedFiles`]; the query string is a [`CollectFilesQuery`] |
//! | `POST` | 503 | [`ErrorBody`](crate::ErrorBody): the file store or the records cannot be read |

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// The name of the form's part.
pub const FILE_PART: &str = "file";

/// The response to an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Uploaded {
    /// The name under which ComfyUI stored the file, for `_existing_input_image` of a later request. It is unique: a
    /// time stamp and random digits come before the name that was sent.
    pub filename: String,
}

/// The query string of `GET /api/files`. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UploadedFilesQuery {
    /// The number of files per page, 1 to 200; 50 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>", range(min = 1, max = 200)))]
    pub limit: Option<String>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The response of `GET /api/files`: a page of the files that were uploaded through this server, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UploadedFiles {
    /// The files.
    pub files: Vec<UploadedFile>,
    /// The `cursor` of the next page; None on the last.
    pub next_cursor: Option<String>,
}

/// A file that was uploaded, alone or with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UploadedFile {
    /// The name under which ComfyUI stored it.
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// The `Content-Type` of the response at `url`.
    pub media_type: String,
    /// When it was uploaded.
    pub uploaded_at: Option<Timestamp>,
    /// Where it can be fetched, from this server's root.
    pub url: String,
    /// The BLAKE3 hash of its content, if it is in the file store: 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// The response of `DELETE /api/files/{filename}`. The record of the file is deleted in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DeletedFile {
    /// The file.
    pub filename: String,
    /// What became of the file itself.
    pub file: FileFate,
    /// Why the file stays, or a copy of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The query string of `POST /api/files/gc`. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CollectFilesQuery {
    /// `true`: count what would be deleted, and delete nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>"))]
    pub dry_run: Option<String>,
}

/// The response of `POST /api/files/gc`: what was deleted from the file store because no record refers to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CollectedFiles {
    /// Whether this is only what would be deleted.
    pub dry_run: bool,
    /// The number of files.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The number of files that were begun and never finished, because a process was killed.
    pub unfinished: usize,
    /// The number of files that stay.
    pub kept_files: usize,
    /// The size in bytes of those that stay.
    pub kept_bytes: u64,
}

/// What became of a file whose record is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileFate {
    /// It was deleted from ComfyUI's input folder, or from the file store.
    Deleted,
    /// It was not in ComfyUI's input folder any more.
    Missing,
    /// It stays in ComfyUI's input folder, to which the server has no access.
    Kept,
}
