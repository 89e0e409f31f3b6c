//! Errors of the Comfy API v2.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use comfy_runner_api_v2::{Code, Error};
use comfy_runner_client::ClientError;
use comfy_runner_jobs::{RecordError, SubmitError};
use comfy_runner_store::StoreError;

use crate::server::error::ApiError;

/// An error response of a route below `/api/v2`.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct V2Error {
    error: Box<Error>,
    /// The methods of the path, with 405.
    allow: Option<String>,
    /// The seconds after which to try again, with 429.
    retry_after: Option<u64>,
}

impl From<Error> for V2Error {
    fn from(error: Error) -> Self {
        Self { error: Box::new(error), allow: None, retry_after: None }
    }
}

impl V2Error {
    /// Creates an error with the status of its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error::new(code, message).into()
    }

    /// Returns whether an asset is missing.
    pub fn is_missing(&self) -> bool {
        matches!(self.error.code, Code::NotFound | Code::OutputUnavailable)
    }

    /// Creates the error for a request whose response has this status and no other description.
    pub fn from_status(status: StatusCode, message: String) -> Self {
        let code = match status.as_u16() {
            401 => Code::Unauthorized,
            403 => Code::Forbidden,
            404 => Code::NotFound,
            405 => Code::MethodNotAllowed,
            408 => Code::RequestTimeout,
            413 => Code::PayloadTooLarge,
            415 => Code::UnsupportedMediaType,
            416 => Code::RangeNotSatisfiable,
            429 => Code::RateLimited,
            400..=499 => Code::InvalidRequest,
            501 => Code::NotImplemented,
            503 => Code::UpstreamUnreachable,
            _ => Code::UpstreamError,
        };
        let message = match code {
            Code::RangeNotSatisfiable => {
                "the file has no such part; `Content-Range` says how long it is".to_owned()
            }
            _ => message,
        };
        Error::new(code, message).with_status(status.as_u16()).into()
    }
}

impl From<&ApiError> for V2Error {
    fn from(error: &ApiError) -> Self {
        let status = error.status_code();
        match error {
            ApiError::Refused { detail, node_errors } => {
                let node_errors = serde_json::to_value(node_errors).unwrap_or_default();
                Error::new(Code::InvalidWorkflow, detail).with_detail("node_errors", node_errors).into()
            }
            // The text may name ComfyUI's address.
            ApiError::ComfyUi(_) | ApiError::BadGateway(_) | ApiError::GatewayTimeout(_) => {
                Self::from_status(
                    status,
                    "ComfyUI gave no usable answer; the server's log says more".to_owned(),
                )
            }
            ApiError::WrongMethod { detail, allow } => {
                Self { allow: Some(allow.clone()), ..Self::from_status(status, detail.clone()) }
            }
            ApiError::QueueFull { detail, retry_after } => Self {
                retry_after: Some(retry_after.as_secs().max(1)),
                ..Self::new(Code::QueueFull, detail.clone())
            },
            ApiError::TooManyFailures { retry_after } => {
                let retry_after = Some(retry_after.as_secs().max(1));
                Self { retry_after, ..Self::from_status(status, error.to_string()) }
            }
            other => Self::from_status(status, other.to_string()),
        }
    }
}

impl From<ApiError> for V2Error {
    fn from(error: ApiError) -> Self {
        Self::from(&error)
    }
}

impl From<StoreError> for V2Error {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        Self::new(Code::UpstreamUnreachable, "the records of jobs cannot be reached now; try again")
    }
}

impl From<RecordError> for V2Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => error.into(),
            other => ApiError::from(other).into(),
        }
    }
}

impl From<&ClientError> for V2Error {
    /// Says nothing of ComfyUI's address; that is logged.
    fn from(error: &ClientError) -> Self {
        tracing::warn!(%error, "ComfyUI failed");
        match error.is_unreachable() {
            true => Self::new(Code::UpstreamUnreachable, "ComfyUI cannot be reached now; try again"),
            false => Self::new(Code::UpstreamError, "ComfyUI gave no usable answer"),
        }
    }
}

impl From<SubmitError> for V2Error {
    fn from(error: SubmitError) -> Self {
        match &error {
            SubmitError::Client(client) => client.into(),
            SubmitError::NoComfyUi(detail) => Self::new(Code::InvalidWorkflow, detail.clone()),
            SubmitError::KeyReused { .. } | SubmitError::KeyBusy => Self::new(
                Code::IdempotencyKeyReuse,
                "this Idempotency-Key was used before, and a key works once: look for the job among your jobs, or send \
                 another key",
            ),
            SubmitError::Unconfirmed { prompt_id, error } => {
                tracing::warn!(%error, prompt_id, "the answer to a submission was lost");
                let message =
                    "the answer of ComfyUI was lost; the status of the job will say whether ComfyUI has it";
                Error::new(Code::UpstreamError, message).with_detail("job_id", prompt_id.as_str()).into()
            }
            _ => ApiError::from(error).into(),
        }
    }
}

impl ResponseError for V2Error {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(allow) = &self.allow {
            response.insert_header((ALLOW, allow.as_str()));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.json(self.error.envelope())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_names_the_address_of_comfyui() {
        let at = "10.0.0.7:8188";
        for error in [
            ApiError::ComfyUi(format!("cannot reach {at}")),
            ApiError::BadGateway(format!("{at} answered nonsense")),
            ApiError::GatewayTimeout(format!("{at} is slow")),
        ] {
            assert!(!V2Error::from(&error).to_string().contains("10.0.0.7"));
        }
    }
}
