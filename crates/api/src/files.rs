//! Files of jobs: `GET /api/run/result/{prompt_id}`, `GET /api/comfyui/view`, `GET /api/jobs/{prompt_id}/files` and
//! `GET /api/jobs/{prompt_id}/package`.
//!
//! | route | query | status | body |
//! | --- | --- | --- | --- |
//! | `result` | [`ResultQuery`] | 200, 206, 304, 416 | the bytes of the job's result file |
//! | `result` | | 404 | [`ErrorBody`](crate::ErrorBody): there is no result (yet) |
//! | `view` | [`ViewQuery`] | 200, 206, 304, 416 | the bytes of any file of ComfyUI |
//! | `view` | | 404 | [`ErrorBody`](crate::ErrorBody): there is no such file, or ComfyUI cannot be reached |
//! | `files` | | 200 | [`JobFiles`] |
//! | `package` | | 200 | a ZIP with `job.json` (a [`JobRecord`](crate::JobRecord)), the files, and `missing.json` (a list of paths) where files are missing |
//! | `files`, `package` | | 404 | [`ErrorBody`](crate::ErrorBody): there is no record of the job |
//! | `result`, `view`, `package` | | 502, 504 | [`ErrorBody`](crate::ErrorBody): ComfyUI gives no usable answer, or none in time |
//!
//! File bodies have a `Content-Type`, a `Content-Disposition` (`inline` for types that are safe to show, else
//! `attachment`), and honour `Range`, `If-Range` and `If-None-Match`.

use comfy_runner_protocol::{Media, NodeId, OutputFile};
use serde::{Deserialize, Serialize};

/// The query string of `result`. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ResultQuery {
    /// The kind of media to prefer; `video` when absent.
    #[serde(default = "default_output_type")]
    pub output_type: Media,
}

/// The query string of `view`. Unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub struct ViewQuery {
    /// The file's name, without a folder.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[^/\\:\x00-\x1f\x7f-\x9f]+$")))]
    pub filename: String,
    /// ComfyUI's directory: `input`, `output` or `temp`; `input` when absent.
    #[serde(rename = "type", default = "input_directory")]
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["input", "output", "temp"])))]
    pub kind: String,
    /// The folder below that directory; the directory itself when absent.
    #[serde(default)]
    pub subfolder: String,
    /// A smaller encoding of an image: `webp` or `jpeg`, perhaps with a quality of 1 to 100: `webp;50`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^(webp|jpeg)(;(100|[1-9][0-9]?))?$")))]
    pub preview: Option<String>,
}

impl Default for ResultQuery {
    fn default() -> Self {
        Self { output_type: default_output_type() }
    }
}

fn default_output_type() -> Media {
    Media::Video
}

fn input_directory() -> String {
    "input".to_owned()
}

/// The response of `GET /api/jobs/{prompt_id}/files`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobFiles {
    /// Every file that a node reported, in the graph's order.
    pub files: Vec<JobFile>,
    /// Every text that a node reported without a file, in the graph's order.
    #[serde(default)]
    pub texts: Vec<JobText>,
}

/// A text that a job made: what a node such as `PreviewAny` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobText {
    /// The id of the node that reported the text.
    pub node_id: NodeId,
    /// The node's title, or its type if it has no title.
    pub node_title: String,
    /// The node's type.
    pub node_type: String,
    /// The text. A long one is cut.
    pub text: String,
}

/// A file that a job made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JobFile {
    /// The id of the node that made the file.
    pub node_id: NodeId,
    /// The node's title, or its type if it has no title.
    pub node_title: String,
    /// The node's type.
    pub node_type: String,
    /// The file's name and folder.
    #[serde(flatten)]
    pub file: OutputFile,
    /// The kind of media.
    pub media: Media,
    /// The `Content-Type` with which `url` is answered.
    pub media_type: String,
    /// The path and query string of the file on this server.
    pub url: String,
}
