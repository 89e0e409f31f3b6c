//! Fetching files from URLs that callers name.
//!
//! A caller must not reach through this program what only this program can reach. So every address is checked after its
//! name was resolved, the connection goes to that very address, and each redirect is checked in the same way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use actix_http::RequestHead;
use awc::Connector;
use awc::http::header::{ACCEPT, CONNECTION, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use awc::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

use crate::client::USER_AGENT as PROGRAM;
use crate::config::ConfigError;
use crate::exchange::content_length;
use crate::public_address::is_public;
use crate::tls;
use crate::transport::{Body, Transport, TransportError};

/// The number of redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// How long it may take to resolve a name, and to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a fetch may take as a whole.
const LONGEST_FETCH: Duration = Duration::from_secs(600);

/// Fetches files over http and https. It must be used inside an actix system, as the client.
#[derive(Clone)]
pub struct Fetcher {
    tls: Arc<ClientConfig>,
    allowed_hosts: Arc<[String]>,
}

/// A file that is being fetched.
pub struct Fetched {
    /// The last part of the URL's path, decoded; empty if the path ends with a slash.
    pub name: String,
    /// The number of bytes, if the server says it.
    pub length: Option<u64>,
    body: Body,
    deadline: Instant,
}

/// Why a file was not fetched. No message contains an address that the caller did not name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It is no URL.
    #[error("it is not a URL: {0}")]
    NotAUrl(#[source] url::ParseError),
    /// The URL is of another kind.
    #[error("only http and https URLs are fetched, and \"{0}\" is neither")]
    Scheme(String),
    /// The URL has a user name or a password.
    #[error("a URL with a user name or a password is not fetched")]
    Credentials,
    /// The name of the host cannot be resolved.
    #[error("the host \"{0}\" cannot be found")]
    Unresolved(String),
    /// The address is not of the public internet.
    #[error("the host \"{0}\" has no public address; only hosts that the server allows may have another one")]
    NotPublic(String),
    /// A redirect leads nowhere.
    #[error("the host \"{0}\" redirects without saying where to")]
    Redirect(String),
    /// There are too many redirects.
    #[error("there are more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    /// The server has no file.
    #[error("the host \"{host}\" answered {status}")]
    Status {
        /// The host.
        host: String,
        /// The answer's status.
        status: u16,
    },
    /// There is no connection, or it breaks.
    #[error("the host \"{host}\" cannot be read from: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// What happened.
        reason: String,
    },
    /// The server was silent for too long.
    #[error("the host \"{0}\" did not answer in time")]
    TimedOut(String),
}

impl Fetcher {
    /// Creates a fetcher. `allowed_hosts` are names or IP addresses, as they stand in URLs, whose addresses need not be
    /// public.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(allowed_hosts: &[String]) -> Result<Self, ConfigError> {
        let tls = tls::public_config()?;
        let allowed_hosts = allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Self { tls, allowed_hosts })
    }

    /// Requests a file and reads the head of the response.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        let deadline = Instant::now() + LONGEST_FETCH;
        let mut url = Url::parse(url.trim()).map_err(FetchError::NotAUrl)?;
        for _ in 0..=MAX_REDIRECTS {
            let host = check(&url)?;
            let (status, headers, body) = self.request(&url, &host).await?;
            if let 301 | 302 | 303 | 307 | 308 = status.as_u16() {
                url = redirected(&url, &headers).ok_or(FetchError::Redirect(host))?;
                continue;
            }
            if status != StatusCode::OK {
                return Err(FetchError::Status { host, status: status.as_u16() });
            }
            return Ok(Fetched { name: file_name(&url), length: content_length(&headers), body, deadline });
        }
        Err(FetchError::TooManyRedirects)
    }

    /// Returns the addresses of the host that may be connected to, at least one.
    async fn resolve(&self, url: &Url, host: &str) -> Result<Vec<SocketAddr>, FetchError> {
        let port = url.port_or_known_default().unwrap_or(80);
        let addresses: Vec<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            _ => {
                let found = timeout(CONNECT_TIMEOUT, tokio::net::lookup_host((host, port))).await;
                let found = found.ok().and_then(Result::ok);
                let found = found.ok_or_else(|| FetchError::Unresolved(host.to_owned()))?;
                found.map(|address| address.ip()).collect()
            }
        };
        let is_allowed = self.allowed_hosts.iter().any(|allowed| allowed == host);
        let allowed = addresses.into_iter().filter(|address| is_allowed || is_public(*address));
        let allowed: Vec<_> = allowed.map(|address| SocketAddr::new(address, port)).collect();
        if allowed.is_empty() { Err(FetchError::NotPublic(host.to_owned())) } else { Ok(allowed) }
    }

    /// Sends the request to the first address of the host that can be connected to.
    async fn request(&self, url: &Url, host: &str) -> Result<(StatusCode, HeaderMap, Body), FetchError> {
        let mut failed = FetchError::Unresolved(host.to_owned());
        for address in self.resolve(url, host).await? {
            match self.request_from(url, host, address).await {
                Err(error @ FetchError::Broken { .. }) => failed = error,
                answered => return answered,
            }
        }
        Err(failed)
    }

    async fn request_from(
        &self,
        url: &Url,
        host: &str,
        address: SocketAddr,
    ) -> Result<(StatusCode, HeaderMap, Body), FetchError> {
        let broken = |reason: String| FetchError::Broken { host: host.to_owned(), reason };
        let uri: Uri = url[..url::Position::AfterQuery].parse().map_err(|_| broken("its URL".to_owned()))?;
        // A connection of its own: the next request may go to another address.
        let connector = Connector::new()
            .rustls_0_23(Arc::clone(&self.tls))
            .timeout(CONNECT_TIMEOUT)
            .handshake_timeout(CONNECT_TIMEOUT);
        let mut head = RequestHead::default();
        (head.method, head.uri) = (Method::GET, uri);
        head.headers.insert(USER_AGENT, HeaderValue::from_static(PROGRAM));
        head.headers.insert(ACCEPT, HeaderValue::from_static("image/*, video/*, audio/*, */*;q=0.5"));
        head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let transport = Transport::new(connector.finish());
        match timeout(SILENCE, transport.send_to(head, Some(address))).await {
            Ok(Ok((head, body))) => Ok((head.status, head.headers, body)),
            Ok(Err(TransportError::NoLength)) => {
                Err(broken("it does not say where the file ends".to_owned()))
            }
            // The error of a connection names its address.
            Ok(Err(TransportError::Send(_))) => Err(broken("the connection failed".to_owned())),
            Err(_) => Err(FetchError::TimedOut(host.to_owned())),
        }
    }
}

impl Fetched {
    /// Returns the file's bytes. The stream ends with an error if the connection breaks before the end of the file, or is
    /// too slow.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin + 'static {
        let state = Some((self.body, self.deadline));
        Box::pin(stream::unfold(state, |state| async move {
            let (mut body, deadline) = state?;
            let limit = deadline.min(Instant::now() + SILENCE);
            match tokio::time::timeout_at(limit, body.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some((body, deadline)))),
                Ok(Some(Err(error))) => Some((Err(std::io::Error::other(error)), None)),
                Err(_) => Some((Err(std::io::ErrorKind::TimedOut.into()), None)),
            }
        }))
    }
}

/// Returns the host of a URL that may be fetched, as far as the URL itself tells.
fn check(url: &Url) -> Result<String, FetchError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FetchError::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::Credentials);
    }
    let host = url.host_str().unwrap_or_default();
    Ok(host.trim_start_matches('[').trim_end_matches([']', '.']).to_owned())
}

fn redirected(url: &Url, headers: &HeaderMap) -> Option<Url> {
    url.join(headers.get(LOCATION)?.to_str().ok()?).ok()
}

fn file_name(url: &Url) -> String {
    let last = url.path_segments().and_then(Iterator::last).unwrap_or_default();
    percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_of_the_web_are_fetched() {
        let host = |url: &str| check(&Url::parse(url).unwrap()).map_err(|error| error.to_string());
        assert_eq!(host("https://Example.com./a"), Ok("example.com".to_owned()));
        assert_eq!(host("http://[::1]:80/"), Ok("::1".to_owned()));
        // Other ways to write an address.
        for loopback in ["http://2130706433/", "http://0x7f.1/", "http://127.1/"] {
            assert_eq!(host(loopback), Ok("127.0.0.1".to_owned()));
        }
        assert!(host("file:///etc/passwd").unwrap_err().contains("\"file\""));
        assert!(host("http://user@example.com/").unwrap_err().contains("user name"));
    }

    #[test]
    fn a_file_is_named_after_the_end_of_the_path() {
        let name = |url: &str| file_name(&Url::parse(url).unwrap());
        assert_eq!(name("https://example.com/a/my%20fox.png?size=1#x"), "my fox.png");
        assert_eq!(name("https://example.com/"), "");
    }
}
