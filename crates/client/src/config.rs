//! How to reach a ComfyUI, and the time limits.

use std::fmt;
use std::time::Duration;

use awc::http::header::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::endpoint::Endpoint;

/// The configuration of a [`Client`](crate::Client).
#[derive(Clone, PartialEq)]
pub struct Config {
    /// Where ComfyUI is.
    pub endpoint: Endpoint,
    /// The time limits.
    pub timeouts: Timeouts,
    /// How the WebSocket is kept open.
    pub socket: SocketConfig,
    headers: Vec<(HeaderName, HeaderValue)>,
    root_certificates: Vec<CertificateDer<'static>>,
}

/// The time limits of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// For a connection, including name resolution; the TLS handshake may take as long again.
    pub connect: Duration,
    /// For a reply that is read as a whole, from sending the request to the last byte, and for the head of a streamed reply.
    pub reply: Duration,
    /// Between two pieces of a stream. A stream that makes progress has no other limit.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// Returns 3 seconds for a connection, 30 for a reply (ComfyUI does not answer while it loads a model), and 60 within a
    /// stream.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            reply: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// How the WebSocket is kept open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketConfig {
    /// The pause before the first new attempt to connect; each further attempt doubles it.
    pub backoff_min: Duration,
    /// The longest pause between attempts.
    pub backoff_max: Duration,
    /// How often a ping is sent.
    pub ping_every: Duration,
    /// A connection on which nothing arrives for as many pings as are sent in this time is dead. It must be longer than
    /// `ping_every`. Pings count and not a clock: a process that stood still has sent none.
    pub silence_max: Duration,
    /// The largest message in bytes, all fragments together. The connection is closed and opened again as soon as ComfyUI
    /// announces a larger one. Previews of large images are megabytes.
    pub max_message: usize,
    /// The number of events that may wait for their receiver.
    pub buffered_events: usize,
}

impl Default for SocketConfig {
    /// Returns pauses from 0.25 to 10 seconds, a ping every 20 seconds, dead after 60; 64 MiB for a message; 256 events.
    fn default() -> Self {
        Self {
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(10),
            ping_every: Duration::from_secs(20),
            silence_max: Duration::from_secs(60),
            max_message: 64 * 1024 * 1024,
            buffered_events: 256,
        }
    }
}

/// Why a header or certificate cannot be used. No message contains the value of a header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The name is not that of a header.
    #[error("\"{0}\" is not the name of an HTTP header")]
    HeaderName(String),
    /// The value has characters that a header must not have, such as line breaks.
    #[error("the value for the header \"{0}\" holds characters that no header may hold")]
    HeaderValue(String),
    /// The client sets this header itself.
    #[error("the header \"{0}\" is set by the client itself")]
    HeaderReserved(String),
    /// The certificates are not in PEM format.
    #[error("the root certificates cannot be read as PEM: {0}")]
    Certificates(String),
    /// The certificate cannot be trusted as a root.
    #[error("a root certificate cannot be used: {0}")]
    Certificate(String),
}

/// Headers that frame or route a request. Another value than the client's own would break it.
const RESERVED: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "origin",
    "transfer-encoding",
    "upgrade",
    "expect",
];

impl Config {
    /// Creates a configuration with everything but the endpoint at its default.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            timeouts: Timeouts::default(),
            socket: SocketConfig::default(),
            headers: Vec::new(),
            root_certificates: Vec::new(),
        }
    }

    /// Adds a header to every request, including that of the WebSocket, for a proxy in front of ComfyUI.
    ///
    /// # Errors
    /// It is not a header, or one that the client sets itself.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        let name: HeaderName = name.trim().parse().map_err(|_| ConfigError::HeaderName(name.to_owned()))?;
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-") {
            return Err(ConfigError::HeaderReserved(name.as_str().to_owned()));
        }
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| ConfigError::HeaderValue(name.as_str().to_owned()))?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }

    /// Adds `Authorization: Bearer <token>` to every request.
    ///
    /// # Errors
    /// The token has characters that a header must not have.
    pub fn with_bearer(self, token: &str) -> Result<Self, ConfigError> {
        self.with_header("authorization", &format!("Bearer {}", token.trim()))
    }

    /// Trusts root certificates (one or several, in PEM format) besides the public ones, for a ComfyUI with a private
    /// certificate.
    ///
    /// # Errors
    /// They are not certificates in PEM format.
    pub fn with_root_certificates(mut self, pem: &[u8]) -> Result<Self, ConfigError> {
        let unreadable =
            |error: rustls::pki_types::pem::Error| ConfigError::Certificates(format!("{error:?}"));
        let before = self.root_certificates.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            self.root_certificates.push(certificate.map_err(unreadable)?);
        }
        if self.root_certificates.len() == before {
            return Err(ConfigError::Certificates("there is no certificate in it".to_owned()));
        }
        Ok(self)
    }

    /// Returns the headers that are sent with every request.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    pub(crate) fn root_certificates(&self) -> &[CertificateDer<'static>] {
        &self.root_certificates
    }
}

impl fmt::Debug for Config {
    /// Writes everything but the values of headers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Config")
            .field("endpoint", &self.endpoint)
            .field("headers", &names)
            .field("timeouts", &self.timeouts)
            .field("socket", &self.socket)
            .field("root_certificates", &self.root_certificates.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new("http://127.0.0.1:8188".parse().unwrap())
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let config = config().with_bearer("hush-hush").unwrap().with_header("X-Key", "psst").unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("authorization") && shown.contains("x-key"), "{shown}");
        assert!(!shown.contains("hush") && !shown.contains("psst"), "{shown}");
        let error = config.with_header("X-Key", "psst\r\nHost: evil").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("psst"));
    }

    #[test]
    fn headers_that_the_client_sets_itself_are_refused() {
        for name in ["Host", "content-length", "Sec-WebSocket-Key"] {
            assert!(matches!(config().with_header(name, "x"), Err(ConfigError::HeaderReserved(_))), "{name}");
        }
        assert!(matches!(config().with_header("a b", "x"), Err(ConfigError::HeaderName(_))));
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        for pem in [&b""[..], b"junk", b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(config().with_root_certificates(pem), Err(ConfigError::Certificates(_))));
        }
    }
}
