//! Errors of calls to ComfyUI. Each is one sentence that may be shown to a caller: it contains no secret and no body.

use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use comfy_runner_protocol::PromptRefused;

/// What stands for the URL in sentences for callers who must not see it.
const CONFIGURED: &str = "the configured URL";

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No connection could be made.
    #[error("ComfyUI at {address} cannot be reached: {reason}")]
    Unreachable {
        /// `host:port`
        address: String,
        /// Why.
        reason: Unreachable,
    },
    /// The connection was made, but no answer came in time.
    #[error("ComfyUI at {address} did not answer {request} within {} s", after.as_secs_f64())]
    TimedOut {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// How long the client waited.
        after: Duration,
    },
    /// The connection broke, or the answer is not HTTP.
    #[error("ComfyUI at {address} broke off {request}: {reason}")]
    BrokenOff {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// What broke.
        reason: String,
    },
    /// ComfyUI answered with an error status.
    #[error("ComfyUI at {address} answered {request} with {status}{hint}")]
    Status {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// The status.
        status: u16,
        /// The likely cause; begins with a colon or a bracket, or is empty.
        hint: String,
    },
    /// The answer is not one of ComfyUI's.
    #[error("ComfyUI at {address} answered {request} with something that cannot be read: {reason}")]
    Unreadable {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another program answers at the URL, or the URL is not the root of a ComfyUI.
    #[error("{url} does not look like a ComfyUI (GET {url}{path}: {answer}); give its root URL")]
    NotComfyUi {
        /// The configured URL.
        url: String,
        /// The path that was asked for.
        path: &'static str,
        /// The answer: a status, or what came instead of JSON.
        answer: String,
    },
    /// A comfy-runner answers at the URL.
    #[error("{url} is a comfy-runner server, not a ComfyUI; give the URL of the ComfyUI that it uses")]
    ComfyRunner {
        /// The configured URL.
        url: String,
    },
    /// The answer is larger than the limit.
    #[error("ComfyUI at {address} answered {request} with more than {limit} bytes")]
    TooLarge {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file to upload could not be read to its end. ComfyUI does not have it.
    #[error("the upload was given up, as its file could not be read: {0}")]
    Source(String),
    /// The file has a name, folder or type that cannot be sent.
    #[error("the file cannot be uploaded: {0}")]
    Upload(String),
    /// The request cannot be written, for example because a name is too long for a URL.
    #[error("ComfyUI cannot be asked: {0}")]
    Request(String),
    /// There is no ComfyUI with this name among the configured ones.
    #[error("the ComfyUI \"{0}\" is not configured (any more)")]
    NotConfigured(String),
    /// The thread of a [`ClientHandle`](crate::ClientHandle) has ended.
    #[error("the ComfyUI client has been shut down")]
    Closed,
}

/// Why no connection could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// Nothing listens on the port.
    #[error("connection refused (is ComfyUI running, and is this its port?)")]
    Refused,
    /// There was no answer in time.
    #[error("no connection within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// There is no such host.
    #[error("the host name cannot be resolved")]
    UnknownHost,
    /// The TLS handshake failed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// Another reason.
    #[error("{0}")]
    Other(String),
}

/// Why a prompt was not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PromptError {
    /// ComfyUI refused the prompt.
    #[error("ComfyUI refused the prompt: {}", .0.error.message)]
    Refused(PromptRefused),
    /// There was no usable answer. Unless ComfyUI could not be reached, it may have accepted the prompt: look for the
    /// prompt's id in its queue and history.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ClientError {
    /// Returns whether no connection could be made, so that ComfyUI does not have the request.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Returns whether there was no answer at all, so that ComfyUI may be down or busy.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Closed)
    }

    /// Returns whether something other than a ComfyUI answers at the URL.
    pub fn is_not_comfyui(&self) -> bool {
        matches!(self, Self::NotComfyUi { .. } | Self::ComfyRunner { .. })
    }

    /// Returns the sentence without ComfyUI's host and port, for callers who must not see them.
    pub fn without_address(&self) -> String {
        let sentence = self.to_string();
        match self {
            Self::Unreachable { address, .. }
            | Self::TimedOut { address, .. }
            | Self::BrokenOff { address, .. }
            | Self::Status { address, .. }
            | Self::Unreadable { address, .. }
            | Self::TooLarge { address, .. } => sentence.replacen(&format!(" at {address}"), "", 1),
            Self::NotComfyUi { url, .. } => {
                sentence.replacen(&format!("GET {url}"), "GET ", 1).replacen(url.as_str(), CONFIGURED, 1)
            }
            Self::ComfyRunner { url } => sentence.replacen(url.as_str(), CONFIGURED, 1),
            Self::Source(_) | Self::Upload(_) | Self::Request(_) | Self::NotConfigured(_) | Self::Closed => {
                sentence
            }
        }
    }

    /// Returns the status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Converts an error of awc.
    pub(crate) fn from_send(
        error: SendRequestError,
        address: &str,
        request: &str,
        connect_timeout: Duration,
    ) -> Self {
        let unreachable = |reason| Self::Unreachable { address: address.to_owned(), reason };
        let broken_off = |reason: String| Self::BrokenOff {
            address: address.to_owned(),
            request: request.to_owned(),
            reason,
        };
        match error {
            SendRequestError::Connect(ConnectError::Disconnected) => {
                broken_off("the connection was closed before an answer came".to_owned())
            }
            SendRequestError::Connect(error) => {
                unreachable(Unreachable::from_connect(error, connect_timeout))
            }
            SendRequestError::Send(error) => broken_off(error.to_string()),
            SendRequestError::Response(error) => broken_off(format!("what it answers is no HTTP ({error})")),
            SendRequestError::Body(error) => Self::Source(error.to_string()),
            other => broken_off(other.to_string()),
        }
    }
}

impl Unreachable {
    fn from_connect(error: ConnectError, connect_timeout: Duration) -> Self {
        use std::io::ErrorKind;
        match error {
            ConnectError::Timeout => Self::TimedOut(connect_timeout),
            ConnectError::Resolver(_) | ConnectError::NoRecords => Self::UnknownHost,
            ConnectError::Io(error) => {
                let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                match (tls, error.kind()) {
                    (Some(rustls::Error::InvalidMessage(_)), _) => {
                        Self::Tls("it does not speak TLS; should the URL begin with http://?".to_owned())
                    }
                    (Some(tls), _) => Self::Tls(tls.to_string()),
                    (None, ErrorKind::ConnectionRefused) => Self::Refused,
                    (None, ErrorKind::TimedOut) => Self::TimedOut(connect_timeout),
                    (None, _) => Self::Other(error.to_string()),
                }
            }
            other => Self::Other(other.to_string()),
        }
    }
}
