//! ComfyUI's URL, checked once.

use std::fmt;
use std::str::FromStr;

use awc::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The characters that are percent-encoded in path segments and query values.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The URL of a ComfyUI: `http://` or `https://`, a host, and optionally a port and a path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `scheme://authority/prefix` without a slash at the end.
    base: String,
    /// The length of `scheme://authority` in `base`.
    root: usize,
    /// `host:port`, for messages.
    address: String,
}

/// Why a string is not the URL of a ComfyUI. No message contains a password or token from the string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The string is empty.
    #[error("the URL is empty; write for example http://127.0.0.1:PORT")]
    Empty,
    /// There is no `http://` or `https://`.
    #[error("the URL has no scheme; write http:// or https:// before it, for example http://127.0.0.1:PORT")]
    NoScheme,
    /// The scheme is not HTTP.
    #[error("the URL must begin with http:// or https://, not {0}://")]
    Scheme(String),
    /// The URL has a user name or password.
    #[error("the URL holds a user name or password; send them in an Authorization header instead")]
    Credentials,
    /// The URL has a query or fragment.
    #[error(
        "the URL ends in a query or fragment; leave out everything from the `?` or `#` on (a token belongs in a header)"
    )]
    Query,
    /// The string is not a URL for another reason.
    #[error("the URL cannot be read: {0}")]
    Invalid(String),
}

impl Endpoint {
    /// Returns `host:port`, as error messages show it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the URL of a path below this endpoint. The path begins with a slash and must be percent-encoded.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Returns the URL of a path at the root of the host, whatever the endpoint's prefix.
    pub(crate) fn root_url(&self, path: &str) -> String {
        format!("{}{path}", &self.base[..self.root])
    }
}

/// Percent-encodes a value for a path segment or a query: everything but ASCII letters, digits and `-_.~`.
pub fn encode(value: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(value, ENCODED)
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(EndpointError::Empty);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(EndpointError::NoScheme);
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            let is_a_name = scheme.chars().all(|c| c.is_ascii_alphanumeric());
            return Err(if is_a_name { EndpointError::Scheme(scheme) } else { EndpointError::NoScheme });
        }
        if rest.contains(['?', '#']) {
            return Err(EndpointError::Query);
        }
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(EndpointError::Credentials);
        }
        let prefix = prefix.trim_end_matches('/');
        let base = format!("{scheme}://{authority}{prefix}");
        let uri: Uri = base.parse().map_err(|error| EndpointError::Invalid(format!("{error}")))?;
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| EndpointError::Invalid("the host is missing".to_owned()))?;
        let port = match uri.port_u16() {
            Some(port) => port,
            // `http::Uri` ignores a port that is not a number, and a colon without a port.
            None if authority.len() > host.len() => {
                return Err(EndpointError::Invalid("the port must be a number from 1 to 65535".to_owned()));
            }
            None if scheme == "https" => 443,
            None => 80,
        };
        let root = base.len() - prefix.len();
        Ok(Self { address: format!("{host}:{port}"), base, root })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Endpoint {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn slashes_at_the_end_make_no_difference_and_a_prefix_stays() {
        for (text, url, address) in [
            ("http://127.0.0.1:8188", "http://127.0.0.1:8188/ws", "127.0.0.1:8188"),
            (" HTTP://localhost:8188// ", "http://localhost:8188/ws", "localhost:8188"),
            ("https://pod.example.org", "https://pod.example.org/ws", "pod.example.org:443"),
            ("https://example.org/a/comfy/", "https://example.org/a/comfy/ws", "example.org:443"),
            ("http://[::1]:8188/", "http://[::1]:8188/ws", "[::1]:8188"),
        ] {
            assert_eq!(parsed(text).url("/ws"), url);
            assert_eq!(parsed(text).address(), address);
            assert!(url.starts_with(&parsed(text).root_url("/")), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_together_with_what_would_be_right() {
        for (text, error) in [
            ("", EndpointError::Empty),
            ("127.0.0.1:8188", EndpointError::NoScheme),
            ("localhost", EndpointError::NoScheme),
            ("ws://localhost:8188", EndpointError::Scheme("ws".into())),
            ("http://jo:secret@host", EndpointError::Credentials),
            ("http://host/?token=secret", EndpointError::Query),
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(error));
        }
        for text in ["http://", "http:///x", "http://host:99999", "http://host:", "http://a b"] {
            assert!(matches!(text.parse::<Endpoint>(), Err(EndpointError::Invalid(_))), "{text}");
        }
    }

    #[test]
    fn values_cannot_leave_their_place_in_a_url() {
        assert_eq!(encode("a/../b?c&d=é\r\n").to_string(), "a%2F..%2Fb%3Fc%26d%3D%C3%A9%0D%0A");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic_and_no_error_shows_a_password(text: String, secret in "[a-z]{12}") {
            let _ = text.parse::<Endpoint>();
            for url in [format!("http://u:{secret}@h/"), format!("u:{secret}@h"), format!("http://h/?k={secret}")] {
                let error = url.parse::<Endpoint>().unwrap_err();
                let shown = format!("{error} {error:?}");
                proptest::prop_assert!(!shown.contains(&secret));
            }
        }
    }
}
