//! What can go wrong between us and ComfyUI, each in one sentence that may be shown to a caller: no secret, no body.

use std::time::Duration;

use awc::error::{ConnectError, SendRequestError};
use comfy_runner_protocol::PromptRefused;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClientError {
    /// No connection could be made.
    #[error("ComfyUI at {address} cannot be reached: {reason}")]
    Unreachable {
        /// `host:port`
        address: String,
        /// Why.
        reason: Unreachable,
    },
    /// The connection stands, but the answer does not come.
    #[error("ComfyUI at {address} did not answer {request} within {} s", after.as_secs_f64())]
    TimedOut {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// How long we waited.
        after: Duration,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("ComfyUI at {address} broke off {request}: {reason}")]
    BrokenOff {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// What broke.
        reason: String,
    },
    /// An answer with a status that is no success.
    #[error("ComfyUI at {address} answered {request} with {status}{hint}")]
    Status {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// The status.
        status: u16,
        /// What may be the matter; begins with a colon or a bracket, or is empty.
        hint: String,
    },
    /// An answer that is not what ComfyUI answers.
    #[error("ComfyUI at {address} answered {request} with something that cannot be read: {reason}")]
    Unreadable {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An answer that is larger than we are ready to hold.
    #[error("ComfyUI at {address} answered {request} with more than {limit} bytes")]
    TooLarge {
        /// `host:port`
        address: String,
        /// Method and path.
        request: String,
        /// The most that we take.
        limit: u64,
    },
    /// The file that was to be uploaded could not be read to its end. ComfyUI has not got it.
    #[error("the upload was given up, as its file could not be read: {0}")]
    Source(String),
    /// A name, folder or type that ComfyUI could not take as it is.
    #[error("the file cannot be uploaded: {0}")]
    Upload(String),
    /// A request that cannot be written, such as one with a name that is too long for a URL.
    #[error("ComfyUI cannot be asked: {0}")]
    Request(String),
    /// The thread of a [`Handle`](crate::Handle) is gone.
    #[error("the ComfyUI client has been shut down")]
    Closed,
}

/// Why no connection could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// Nothing listens there.
    #[error("connection refused (is ComfyUI running, and is this its port?)")]
    Refused,
    /// No answer in time.
    #[error("no connection within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// No such host.
    #[error("the host name cannot be resolved")]
    UnknownHost,
    /// TLS could not be agreed on.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Why a prompt was not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SubmitError {
    /// ComfyUI looked at it and refused it.
    #[error("ComfyUI refused the prompt: {}", .0.error.message)]
    Refused(PromptRefused),
    /// It did not get so far. Unless ComfyUI could not be reached, it may have accepted the prompt all the same: ask
    /// its queue and history for the prompt's id.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl ClientError {
    /// Whether no connection could be made, so that ComfyUI has not got the request.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether ComfyUI said nothing at all, so that it may be away, busy or shut down.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Closed)
    }

    /// The sentence without ComfyUI's host and port, for those who are not to know them.
    pub fn without_address(&self) -> String {
        let sentence = self.to_string();
        match self {
            Self::Unreachable { address, .. }
            | Self::TimedOut { address, .. }
            | Self::BrokenOff { address, .. }
            | Self::Status { address, .. }
            | Self::Unreadable { address, .. }
            | Self::TooLarge { address, .. } => sentence.replacen(&format!(" at {address}"), "", 1),
            Self::Source(_) | Self::Upload(_) | Self::Request(_) | Self::Closed => sentence,
        }
    }

    /// The status of the answer, where there was one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What awc says, in our words.
    pub(crate) fn of_send(
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
            SendRequestError::Connect(error) => unreachable(Unreachable::of(error, connect_timeout)),
            SendRequestError::Send(error) => broken_off(error.to_string()),
            SendRequestError::Response(error) => broken_off(format!("what it answers is no HTTP ({error})")),
            SendRequestError::Body(error) => Self::Source(error.to_string()),
            other => broken_off(other.to_string()),
        }
    }
}

impl Unreachable {
    fn of(error: ConnectError, connect_timeout: Duration) -> Self {
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
