//! How to reach a ComfyUI, and how patient to be with it.

use std::fmt;
use std::time::Duration;

use awc::http::header::{HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::endpoint::Endpoint;

/// What a [`Client`](crate::Client) needs to know.
#[derive(Clone)]
pub struct Config {
    /// Where ComfyUI is.
    pub endpoint: Endpoint,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How the WebSocket is kept up.
    pub socket: SocketConfig,
    headers: Vec<(HeaderName, HeaderValue)>,
    root_certificates: Vec<CertificateDer<'static>>,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, name resolution included, and as long again for the TLS handshake.
    pub connect: Duration,
    /// For a reply that is read as a whole, from sending the request to the last byte; and for the head of a reply
    /// that is streamed.
    pub reply: Duration,
    /// Between two pieces of a stream. A stream that moves on is never cut.
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 3 seconds for a connection; 30 for a reply, as ComfyUI answers nobody while it loads a model; 60 within a
    /// stream.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            reply: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
}

/// How the WebSocket is kept up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketConfig {
    /// The first pause before a new attempt to connect; each further one doubles it.
    pub backoff_min: Duration,
    /// The longest pause between attempts.
    pub backoff_max: Duration,
    /// How often to ask for a sign of life.
    pub ping_every: Duration,
    /// A connection without any sign of life for so long is dead. It must be longer than `ping_every`.
    pub silence_max: Duration,
    /// The largest message, in bytes, its fragments together. The connection is given up, and made again, as soon as
    /// ComfyUI announces a larger one. Previews of large pictures are megabytes.
    pub max_message: usize,
    /// How many events may wait for their receiver.
    pub buffered_events: usize,
}

impl Default for SocketConfig {
    /// Pauses from 0.25 to 10 seconds, a ping every 20, dead after 60; 64 MiB for a message; 256 events.
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

/// Why a header or certificate cannot be used. No message holds a header's value.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the name of a header.
    #[error("\"{0}\" is not the name of an HTTP header")]
    HeaderName(String),
    /// A value with line breaks or the like.
    #[error("the value for the header \"{0}\" holds characters that no header may hold")]
    HeaderValue(String),
    /// A header that the client sets itself.
    #[error("the header \"{0}\" is set by the client itself")]
    HeaderReserved(String),
    /// Not certificates in PEM.
    #[error("the root certificates cannot be read as PEM: {0}")]
    Certificates(String),
    /// A certificate that cannot be trusted as a root.
    #[error("a root certificate cannot be used: {0}")]
    Certificate(String),
}

/// Headers that say how a message is framed, or where it goes: another value than the client's own would break it.
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
    /// The endpoint with everything else at its default.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            timeouts: Timeouts::default(),
            socket: SocketConfig::default(),
            headers: Vec::new(),
            root_certificates: Vec::new(),
        }
    }

    /// Adds a header to every request, the WebSocket's included: what a proxy before ComfyUI asks for.
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
    pub fn with_bearer(self, token: &str) -> Result<Self, ConfigError> {
        self.with_header("authorization", &format!("Bearer {}", token.trim()))
    }

    /// Trusts these root certificates (PEM, one or several) besides the public ones: for a ComfyUI behind a
    /// certificate of one's own.
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

    /// The headers that go with every request.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    pub(crate) fn root_certificates(&self) -> &[CertificateDer<'static>] {
        &self.root_certificates
    }
}

impl fmt::Debug for Config {
    /// Everything but the values of headers.
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
