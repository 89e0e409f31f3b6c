//! The errors of the API, with the status that the contract gives them.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use comfy_runner_api::{ErrorBody, Submitted};
use comfy_runner_client::ClientError;
use comfy_runner_files::FileError;
use comfy_runner_jobs::{
    BringError, CancelError, CollectError, PreviewError, RecordError, ResultError, RetryError, StatusError,
    SubmitError, UploadError, UploadedError,
};
use comfy_runner_manifest::{LibraryError, ParamsError};
use comfy_runner_protocol::NodeErrors;
use comfy_runner_store::StoreError;
use comfy_runner_workflow::RequestError;
use indexmap::IndexMap;

use super::excerpt::excerpt;
use super::token::TokenError;

/// The maximum length of `detail` in bytes: it may repeat what a caller sent.
const LONGEST_DETAIL: usize = 8 << 10;

/// An error response.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 401: no key, or a wrong one.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 401 or 403: a token that permits nothing, or not this.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// 403: a page of another site.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 400: the request is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// 400: values of the request's params are wrong.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// 404: there is no such workflow, job, file or path.
    #[error("{0}")]
    NotFound(String),
    /// 405: the path has no such method.
    #[error("{detail}")]
    WrongMethod {
        /// The method of the request, and those of the path.
        detail: String,
        /// The methods that the path has.
        allow: String,
    },
    /// 408: the body of the request does not arrive.
    #[error("{0}")]
    Timeout(String),
    /// 409: the state of a job or key does not allow the request.
    #[error("{0}")]
    Conflict(String),
    /// 412: what the request is to change has been changed by another.
    #[error("{0}")]
    PreconditionFailed(String),
    /// 428: the caller does not say what it has read.
    #[error("{0}")]
    PreconditionRequired(&'static str),
    /// 413: a part of the request is too large.
    #[error("{0}")]
    TooLarge(String),
    /// 415: the body is in no encoding that the path takes.
    #[error("{0}")]
    UnsupportedMediaType(String),
    /// 429: too many wrong keys.
    #[error("too many wrong API keys came from this address; wait {} s, or send the right one", retry_after.as_secs())]
    TooManyFailures {
        /// How long to wait.
        retry_after: Duration,
    },
    /// 429: too many jobs wait.
    #[error("{detail}")]
    QueueFull {
        /// The limit.
        detail: String,
        /// How long to wait.
        retry_after: Duration,
    },
    /// 500: the folder of this workflow is broken.
    #[error("{0}")]
    BrokenWorkflow(String),
    /// 500: a file of ComfyUI cannot be deleted, or a workflow's folder not be written.
    #[error("{0}")]
    Files(String),
    /// 501: the server is not configured for it.
    #[error("{0}")]
    NotImplemented(&'static str),
    /// 502: ComfyUI's response is not usable.
    #[error("{0}")]
    BadGateway(String),
    /// 504: ComfyUI does not answer in time.
    #[error("{0}")]
    GatewayTimeout(String),
    /// 503: the server cannot do this now.
    #[error("{0}")]
    Unavailable(String),
    /// 500: the response cannot be serialized.
    #[error("the answer cannot be written")]
    Answer(#[from] serde_json::Error),
    /// 500: the package cannot be written.
    #[error("the package cannot be written: {0}")]
    Package(String),
    /// 500: ComfyUI cannot be reached, or its response is not usable.
    #[error("{0}")]
    ComfyUi(String),
    /// 400: ComfyUI refuses the graph.
    #[error("{detail}")]
    Refused {
        /// What is wrong, with nodes named by title.
        detail: String,
        /// ComfyUI's own errors, by node.
        node_errors: NodeErrors,
    },
    /// The status of `error`: a later job of a request for several was not accepted.
    #[error("{} of {count} jobs were accepted, they are in `jobs`; the next was not: {error}", .jobs.len())]
    Incomplete {
        /// Why the next job was not accepted.
        error: Box<ApiError>,
        /// The jobs that were accepted.
        jobs: Vec<Submitted>,
        /// How many were asked for.
        count: usize,
    },
}

impl ApiError {
    /// Creates the error for a file that cannot be fetched from ComfyUI.
    pub fn upstream(error: &ClientError, detail: String) -> Self {
        match error {
            ClientError::TimedOut { .. } => Self::GatewayTimeout(detail),
            _ => Self::BadGateway(detail),
        }
    }

    /// Returns the contract's error for an upload that ComfyUI refused.
    pub fn for_upload(self) -> Self {
        match self {
            Self::ComfyUi(detail) => Self::ComfyUi(format!("Upload failed: {detail}")),
            other => other,
        }
    }
}

/// Returns the message of an error, followed by those of its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let messages = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    messages.collect::<Vec<_>>().join(": ")
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Incomplete { error, .. } => error.status_code(),
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Token(TokenError::Invalid | TokenError::Expired) => StatusCode::UNAUTHORIZED,
            Self::Token(TokenError::NotForThis | TokenError::OtherJob) | Self::Forbidden(_) => {
                StatusCode::FORBIDDEN
            }
            Self::BadRequest(_) | Self::Params(_) | Self::Refused { .. } => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Timeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::PreconditionFailed(_) => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired(_) => StatusCode::PRECONDITION_REQUIRED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyFailures { .. } | Self::QueueFull { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::BrokenWorkflow(_) | Self::Answer(_) | Self::Package(_) | Self::ComfyUi(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Files(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Self::BadGateway(_) => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let (cause, jobs) = match self {
            Self::Incomplete { error, jobs, .. } => (&**error, jobs.clone()),
            _ => (self, Vec::new()),
        };
        let node_errors = match cause {
            Self::Refused { node_errors, .. } => Some(node_errors.clone()),
            _ => None,
        };
        let param_errors = match cause {
            Self::Params(error) => {
                error.problems.iter().map(|wrong| (wrong.key.clone(), wrong.message.clone())).collect()
            }
            _ => IndexMap::new(),
        };
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::WrongMethod { allow, .. } => response.insert_header((ALLOW, allow.as_str())),
            Self::TooManyFailures { retry_after } | Self::QueueFull { retry_after, .. } => {
                response.insert_header((RETRY_AFTER, retry_after.as_secs()))
            }
            _ => &mut response,
        };
        let detail = excerpt(&with_causes(self), LONGEST_DETAIL).into_owned();
        response.json(ErrorBody { detail, param_errors, node_errors, jobs })
    }
}

impl From<actix_web::error::QueryPayloadError> for ApiError {
    fn from(error: actix_web::error::QueryPayloadError) -> Self {
        Self::BadRequest(format!("the query string cannot be read: {error}"))
    }
}

impl From<LibraryError> for ApiError {
    fn from(error: LibraryError) -> Self {
        match &error {
            LibraryError::NotFound { .. } => Self::NotFound(error.to_string()),
            _ => {
                let detail = with_causes(&error);
                tracing::error!("{detail}");
                Self::BrokenWorkflow(detail)
            }
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Params(error) => error.into(),
            RequestError::Assemble(error) if error.is_of_the_workflow() => {
                Self::BrokenWorkflow(error.to_string())
            }
            other => Self::BadRequest(other.to_string()),
        }
    }
}

impl From<UploadError> for ApiError {
    fn from(error: UploadError) -> Self {
        match &error {
            UploadError::Empty(_)
            | UploadError::NotMedia { .. }
            | UploadError::NotAnImage { .. }
            | UploadError::Source { .. } => Self::BadRequest(error.to_string()),
            UploadError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            UploadError::Client(_) => Self::ComfyUi(error.to_string()),
            UploadError::Files(error) => error.into(),
            UploadError::Record(error) => Self::Unavailable(error.to_string()),
            other => Self::ComfyUi(other.to_string()),
        }
    }
}

impl From<SubmitError> for ApiError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Refused(refusal) => {
                Self::Refused { detail: refusal.detail, node_errors: refusal.node_errors }
            }
            SubmitError::Client(_) | SubmitError::WrongId(_) => Self::ComfyUi(error.to_string()),
            SubmitError::Unconfirmed { .. } => Self::ComfyUi(with_causes(&error)),
            SubmitError::Store(_) => Self::Unavailable(with_causes(&error)),
            SubmitError::Files(BringError::Missing(_)) => Self::BadRequest(error.to_string()),
            SubmitError::Files(error) => Self::Unavailable(error.to_string()),
            SubmitError::NoComfyUi(detail) => Self::BadRequest(detail),
            SubmitError::QueueFull { retry_after, .. } | SubmitError::TooManyOfCaller { retry_after, .. } => {
                Self::QueueFull { detail: error.to_string(), retry_after }
            }
            SubmitError::KeyReused { .. } | SubmitError::KeyBusy => Self::Conflict(error.to_string()),
            other => Self::ComfyUi(other.to_string()),
        }
    }
}

impl From<StatusError> for ApiError {
    fn from(error: StatusError) -> Self {
        match &error {
            StatusError::Unknown(_) => Self::NotFound(error.to_string()),
            StatusError::Client(_) => Self::ComfyUi(error.to_string()),
            StatusError::Store(_) => Self::Unavailable(error.to_string()),
            other => Self::ComfyUi(other.to_string()),
        }
    }
}

impl From<ResultError> for ApiError {
    fn from(error: ResultError) -> Self {
        match error {
            // 404 means that there is no result. It would be wrong when ComfyUI does not answer.
            ResultError::Status(StatusError::Client(error)) => Self::upstream(&error, error.to_string()),
            ResultError::Status(error) => error.into(),
            other => Self::NotFound(other.to_string()),
        }
    }
}

impl From<PreviewError> for ApiError {
    fn from(error: PreviewError) -> Self {
        match error {
            PreviewError::Status(error) => error.into(),
            other => Self::NotFound(other.to_string()),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<&FileError> for ApiError {
    fn from(error: &FileError) -> Self {
        // The cause may name paths and addresses, which are not for callers.
        tracing::error!("{}", with_causes(error));
        match error {
            FileError::TooLarge { .. } => Self::TooLarge(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<CollectError> for ApiError {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Files(error) => Self::from(&error),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<RecordError> for ApiError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Unknown(_) => Self::NotFound(error.to_string()),
            RecordError::Active(_) => Self::Conflict(error.to_string()),
            RecordError::Store(error) => error.into(),
            other => Self::ComfyUi(other.to_string()),
        }
    }
}

impl From<UploadedError> for ApiError {
    fn from(error: UploadedError) -> Self {
        match error {
            UploadedError::Unknown(_) => Self::NotFound(error.to_string()),
            UploadedError::InUse { .. } => Self::Conflict(error.to_string()),
            UploadedError::Store(error) => error.into(),
            other => Self::ComfyUi(other.to_string()),
        }
    }
}

impl From<CancelError> for ApiError {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Status(error) => error.into(),
            CancelError::Over(_) => Self::Conflict(error.to_string()),
            other => Self::ComfyUi(other.to_string()),
        }
    }
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::Record(error) => error.into(),
            RetryError::Submit(error) => error.into(),
            other => Self::ComfyUi(other.to_string()),
        }
    }
}
