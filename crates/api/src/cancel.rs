//! `POST /api/run/cancel/{prompt_id}`: stops a job.
//!
//! A pending job is removed from ComfyUI's queue, a running one is interrupted. The request has no body.
//!
//! | status | body |
//! | --- | --- |
//! | 200 | [`Cancellation`] with `cancelled` |
//! | 202 | [`Cancellation`] with `running`: ComfyUI knows, and the running node has not stopped yet |
//! | 404 | [`ErrorBody`](crate::ErrorBody): there is no such job |
//! | 409 | [`ErrorBody`](crate::ErrorBody): the job is over |
//! | 500 | [`ErrorBody`](crate::ErrorBody): ComfyUI cannot be reached |

use serde::{Deserialize, Serialize};

use crate::status::Status;

/// The response to a cancellation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cancellation {
    /// The job's id.
    pub prompt_id: String,
    /// The job's status after the request: `cancelled`, or one that is not over.
    pub status: Status,
}
