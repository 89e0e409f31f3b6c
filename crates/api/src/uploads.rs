//! `POST /api/run/upload-image`: a file for later requests.
//!
//! The request is a multipart form with one file in the part [`FILE_PART`]. The file must be an image, a video or audio
//! by its content.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Uploaded`] |
//! | 400, 413 | [`ErrorBody`](crate::ErrorBody): the file is refused |
//! | 500 | [`ErrorBody`](crate::ErrorBody) with `Upload failed: ...`: ComfyUI does not take it |

use serde::{Deserialize, Serialize};

/// The name of the form's part.
pub const FILE_PART: &str = "file";

/// The response to an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// The name under which ComfyUI stored the file, for `_existing_input_image` of a later request. It is unique: a
    /// time stamp and random digits come before the name that was sent.
    pub filename: String,
}
