//! The origins whose pages may use the API (CORS).

use std::str::FromStr;

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, ORIGIN};

use super::partner_key;

/// How long a browser may remember the answer to a preflight request, in seconds.
const MAX_AGE: usize = 600;

/// The request headers that the API reads and that a browser does not send on its own.
const REQUEST_HEADERS: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static(partner_key::HEADER),
    HeaderName::from_static("x-request-id"),
];

/// The response headers that a page may read beside those that every page may read.
const RESPONSE_HEADERS: [HeaderName; 9] = [
    header::ACCEPT_RANGES,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("x-request-id"),
];

/// An origin that may use the API: `https://app.example`, or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigin {
    /// Every origin. Needs API keys.
    Any,
    /// One origin as a browser writes it: scheme, host and port, in lower case.
    Exact(String),
}

/// Why a string is not an origin.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is not an origin: write SCHEME://HOST or SCHEME://HOST:PORT without a path, or *")]
pub struct ParseOriginError(String);

impl FromStr for AllowedOrigin {
    type Err = ParseOriginError;

    fn from_str(origin: &str) -> Result<Self, Self::Err> {
        if origin == "*" {
            return Ok(Self::Any);
        }
        let wrong = || ParseOriginError(origin.to_owned());
        let parsed = url::Url::parse(origin).map_err(|_| wrong())?;
        let is_origin = matches!(parsed.scheme(), "http" | "https")
            && parsed.path() == "/"
            && parsed.query().is_none()
            && parsed.fragment().is_none()
            && parsed.username().is_empty()
            && parsed.password().is_none();
        // Leaves out the default port and writes the host as browsers do.
        if is_origin { Ok(Self::Exact(parsed.origin().ascii_serialization())) } else { Err(wrong()) }
    }
}

/// All origins that may use the API. The API's own origin is not among them and needs no permission.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins(Vec<AllowedOrigin>);

impl AllowedOrigins {
    /// Allows these origins.
    pub fn new(origins: Vec<AllowedOrigin>) -> Self {
        Self(origins)
    }

    /// Whether no other origin may use the API.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every origin may use the API.
    pub fn allow_any(&self) -> bool {
        self.0.contains(&AllowedOrigin::Any)
    }

    /// Whether a request comes from a page of an allowed origin.
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(Ok(origin)) = headers.get(ORIGIN).map(|origin| origin.to_str()) else { return false };
        self.0.iter().any(|allowed| match allowed {
            AllowedOrigin::Any => true,
            AllowedOrigin::Exact(allowed) => allowed == origin,
        })
    }

    /// Returns the middleware that answers preflight requests and marks responses. It never allows credentials: keys and
    /// tokens are sent by the page itself.
    pub fn middleware(&self) -> Cors {
        let cors = Cors::default()
            .allowed_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
            .allowed_headers(REQUEST_HEADERS)
            .expose_headers(RESPONSE_HEADERS)
            .max_age(MAX_AGE);
        if self.allow_any() {
            return cors.allow_any_origin().send_wildcard();
        }
        self.0.iter().fold(cors, |cors, origin| match origin {
            AllowedOrigin::Any => cors,
            AllowedOrigin::Exact(origin) => cors.allowed_origin(origin),
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn an_origin_is_read_as_a_browser_writes_it() {
        let exact = |origin: &str| AllowedOrigin::Exact(origin.to_owned());
        for (written, read) in [
            ("https://app.example", exact("https://app.example")),
            ("HTTPS://App.Example:443/", exact("https://app.example")),
            ("http://localhost:3000", exact("http://localhost:3000")),
            ("http://[::1]:80", exact("http://[::1]")),
            ("*", AllowedOrigin::Any),
        ] {
            assert_eq!(written.parse::<AllowedOrigin>().unwrap(), read, "{written}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_with_the_right_form() {
        for wrong in [
            "",
            "app.example",
            "https://app.example/page",
            "https://u:p@x.example",
            "file:///x",
            "https://x?y",
        ] {
            let error = wrong.parse::<AllowedOrigin>().unwrap_err().to_string();
            assert!(error.contains("SCHEME://HOST"), "{error}");
        }
    }

    #[test]
    fn only_listed_origins_are_allowed() {
        let origins = AllowedOrigins::new(vec!["https://app.example".parse().unwrap()]);
        let allows = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
            origins.allow(&headers)
        };
        assert!(allows("https://app.example"));
        for other in ["https://app.example.evil.example", "http://app.example", "null", ""] {
            assert!(!allows(other), "{other}");
        }
        assert!(!origins.allow(&HeaderMap::new()));
    }
}
