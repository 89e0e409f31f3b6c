//! Errors: an envelope with a code, a message and details.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A machine-readable code of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// 400 or 422: the request is wrong.
    InvalidRequest,
    /// 422: the workflow is none, or ComfyUI refuses it.
    InvalidWorkflow,
    /// 422: the workflow is in the editor's format.
    WorkflowFormatUi,
    /// 422: an asset that the workflow names does not exist.
    MissingAsset,
    /// 422: the idempotency key was used before.
    IdempotencyKeyReuse,
    /// 422: the labels are refused.
    MetadataInvalid,
    /// 409: the bytes have another hash than was declared.
    HashMismatch,
    /// 409: the asset cannot be deleted.
    AssetInUse,
    /// 404: no bytes with this hash are known.
    BlobNotFound,
    /// 404: there is no such job, asset or path.
    NotFound,
    /// 404: the asset is known, and its bytes are gone.
    OutputUnavailable,
    /// 405: the path has no such method.
    MethodNotAllowed,
    /// 408: the request's body does not arrive.
    RequestTimeout,
    /// 413: the request is too large.
    PayloadTooLarge,
    /// 415: the request is in an encoding that the path does not take.
    UnsupportedMediaType,
    /// 416: the range is not a part of the bytes.
    RangeNotSatisfiable,
    /// 401: no key, or a wrong one.
    Unauthorized,
    /// 403: the caller may not do this.
    Forbidden,
    /// 429: no more jobs are accepted now.
    QueueFull,
    /// 429: too many requests.
    RateLimited,
    /// 400: the cursor of a list is none of this server.
    InvalidCursor,
    /// 400: the labels of a list are refused.
    InvalidMetadataFilter,
    /// 501: this server is not set up for it.
    NotImplemented,
    /// 500 or 502: ComfyUI, or the server itself, failed.
    UpstreamError,
    /// 503: ComfyUI or a store cannot be reached.
    UpstreamUnreachable,
}

impl Code {
    /// Returns the code as bodies have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidWorkflow => "invalid_workflow",
            Self::WorkflowFormatUi => "workflow_format_ui",
            Self::MissingAsset => "missing_asset",
            Self::IdempotencyKeyReuse => "idempotency_key_reuse",
            Self::MetadataInvalid => "metadata_invalid",
            Self::HashMismatch => "hash_mismatch",
            Self::AssetInUse => "asset_in_use",
            Self::BlobNotFound => "blob_not_found",
            Self::NotFound => "not_found",
            Self::OutputUnavailable => "output_unavailable",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTimeout => "request_timeout",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::QueueFull => "queue_full",
            Self::RateLimited => "rate_limited",
            Self::InvalidCursor => "invalid_cursor",
            Self::InvalidMetadataFilter => "invalid_metadata_filter",
            Self::NotImplemented => "not_implemented",
            Self::UpstreamError => "upstream_error",
            Self::UpstreamUnreachable => "upstream_unreachable",
        }
    }

    /// Returns the HTTP status that goes with the code.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidCursor | Self::InvalidMetadataFilter => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::BlobNotFound | Self::NotFound | Self::OutputUnavailable => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::HashMismatch | Self::AssetInUse => 409,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RangeNotSatisfiable => 416,
            Self::InvalidRequest
            | Self::InvalidWorkflow
            | Self::WorkflowFormatUi
            | Self::MissingAsset
            | Self::IdempotencyKeyReuse
            | Self::MetadataInvalid => 422,
            Self::QueueFull | Self::RateLimited => 429,
            Self::UpstreamError => 500,
            Self::NotImplemented => 501,
            Self::UpstreamUnreachable => 503,
        }
    }
}

/// An error of a request.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Error {
    /// The code.
    pub code: Code,
    /// The HTTP status.
    pub status: u16,
    /// A sentence for people.
    pub message: String,
    /// More for programs.
    pub details: Option<Map<String, Value>>,
}

impl Error {
    /// Creates an error with the status of its code and no details.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, status: code.status(), message: message.into(), details: None }
    }

    /// Creates an [`Code::InvalidRequest`] with status 400: the request cannot be read at all.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message).with_status(400)
    }

    /// Sets the HTTP status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Adds a detail.
    pub fn with_detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.get_or_insert_default().insert(key.to_owned(), value.into());
        self
    }

    /// Returns the body.
    pub fn envelope(&self) -> ErrorEnvelope {
        let (code, message) = (self.code.as_str().to_owned(), self.message.clone());
        ErrorEnvelope { error: ErrorBody { code, message, details: self.details.clone() } }
    }
}

/// The body of every response with a status of 400 or more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2ErrorEnvelope"))]
pub struct ErrorEnvelope {
    /// The error.
    pub error: ErrorBody,
}

/// The content of an [`ErrorEnvelope`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2ErrorBody"))]
pub struct ErrorBody {
    /// A [`Code`].
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// More for programs, such as `node_errors` and `missing_ids`.
    pub details: Option<Map<String, Value>>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_envelope_always_has_details_if_only_null() {
        let error = Error::new(Code::NotFound, "there is no job \"x\"");
        assert_eq!(
            serde_json::to_value(error.envelope()).unwrap(),
            json!({"error": {"code": "not_found", "message": "there is no job \"x\"", "details": null}})
        );
        let error = Error::new(Code::MissingAsset, "gone").with_detail("missing_ids", vec!["a"]);
        assert_eq!(error.status, 422);
        assert_eq!(
            serde_json::to_value(error.envelope()).unwrap()["error"]["details"],
            json!({"missing_ids": ["a"]})
        );
    }
}
