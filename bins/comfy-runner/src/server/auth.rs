//! Who may call: a key in the header `X-API-Key` or `Authorization`, the session of who signed in on the page, or a token for
//! what a browser opens without headers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use actix_web::web;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use comfy_runner_scheduler::Priority;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::ended_sessions::EndedSessions;
use super::error::ApiError;
use super::failed_keys::FailedKeys;
use super::origins::AllowedOrigins;
use super::session::{self, OpenSession, SessionParts};
use super::token::{Scope, TokenError, Tokens, token_in};

const BEARER: &[u8] = b"Bearer ";

/// An API key, and what its holder may do.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySettings {
    /// The key.
    pub key: String,
    /// The highest priority that its holder may give to jobs; `None` for that of all callers.
    pub max_priority: Option<Priority>,
}

impl From<String> for KeySettings {
    fn from(key: String) -> Self {
        Self { key, max_priority: None }
    }
}

impl From<&str> for KeySettings {
    fn from(key: &str) -> Self {
        Self::from(key.to_owned())
    }
}

/// The API keys. Without any, every caller is accepted, and the server must listen on loopback.
#[derive(Clone, Default)]
pub struct ApiKeys {
    keys: Arc<[ApiKey]>,
    /// The highest priority of callers without a limit of their own.
    max_priority: Priority,
    ended: EndedSessions,
}

struct ApiKey {
    key: Box<str>,
    /// What records call its holder: a part of the key's hash.
    caller: Arc<str>,
    max_priority: Option<Priority>,
}

impl ApiKey {
    /// Writes a session: `crs2.EXPIRY.ID.SIGNATURE`. The signature is HMAC-SHA256 with the key, so that sessions outlive the
    /// process.
    fn session(&self, expires_at: u64, id: &str) -> String {
        let signed = format!("crs2.{expires_at}.{id}");
        let signature = Hmac::<Sha256>::new_from_slice(self.key.as_bytes())
            .expect("HMAC takes a key of any length")
            .chain_update(signed.as_bytes())
            .finalize()
            .into_bytes();
        format!("{signed}.{signature:x}")
    }
}

/// Who sends a request.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The same for all requests with one key, and empty without a key. It does not give the key away.
    pub name: Arc<str>,
    /// The highest priority that the caller may give to jobs.
    pub max_priority: Priority,
}

impl Caller {
    /// Returns the caller of a request that [`require_key`] has let through.
    pub fn of(request: &HttpRequest) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }
}

/// The reason why keys, address and origins cannot be combined.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthConfigError {
    /// Every caller on the network could use the server.
    #[error(
        "refusing to listen on {0} without an API key: anyone who can reach that address could run workflows. Set \
         COMFY_RUNNER_API_KEY (or --api-key), or listen on 127.0.0.1"
    )]
    OpenToTheWorld(SocketAddr),
    /// Every web page could use the server through a browser on this machine.
    #[error(
        "refusing to allow every origin (*) without an API key: any page in a browser on this machine could run \
         workflows. Set COMFY_RUNNER_API_KEY (or --api-key), or name the origins"
    )]
    OpenToEveryPage,
    /// A key is empty, or no header value.
    #[error("an API key is {0}")]
    BadKey(&'static str),
}

impl ApiKeys {
    /// Takes the keys for a server that listens on `listen` and answers pages of `origins`.
    pub fn new(
        keys: &[KeySettings],
        listen: SocketAddr,
        origins: &AllowedOrigins,
    ) -> Result<Self, AuthConfigError> {
        if keys.iter().any(|key| key.key.trim().is_empty()) {
            return Err(AuthConfigError::BadKey(
                "empty; leave the option out to serve without one on loopback",
            ));
        }
        if keys.iter().any(|key| !key.key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(AuthConfigError::BadKey(
                "not made of printable ASCII without spaces, so no header can carry it",
            ));
        }
        if keys.is_empty() && !listen.ip().is_loopback() {
            return Err(AuthConfigError::OpenToTheWorld(listen));
        }
        if keys.is_empty() && origins.allow_any() {
            return Err(AuthConfigError::OpenToEveryPage);
        }
        let keys = keys.iter().map(|settings| ApiKey {
            key: settings.key.as_str().into(),
            caller: caller_name(&settings.key),
            max_priority: settings.max_priority,
        });
        Ok(Self { keys: keys.collect(), max_priority: Priority::MAX, ended: EndedSessions::default() })
    }

    /// Returns whether the server has no keys.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns a session for who holds a key, until a time in seconds since 1970. None if the key is not known.
    pub fn open_session(&self, given: &str, expires_at: u64) -> Option<String> {
        let key = self.keys.iter().fold(None, |found, key| {
            if key.key.as_bytes().ct_eq(given.as_bytes()).into() { Some(key) } else { found }
        });
        key.map(|key| key.session(expires_at, &Uuid::new_v4().simple().to_string()))
    }

    /// Returns the sessions whose holders have signed out.
    pub fn ended_sessions(&self) -> &EndedSessions {
        &self.ended
    }

    /// Returns who holds the key of a session that has not ended, and the parts of the session. A session ends with its key.
    pub fn holder_of<'s>(&self, session: &'s str, now: u64) -> Option<(Caller, SessionParts<'s>)> {
        let parts @ SessionParts { expires_at, id } = session::parts(session)?;
        if expires_at <= now || self.ended.contains(id) {
            return None;
        }
        let mut caller = None;
        for key in self.keys.iter() {
            if key.session(expires_at, id).as_bytes().ct_eq(session.as_bytes()).into() {
                caller = Some(self.holder(key));
            }
        }
        Some((caller?, parts))
    }

    fn holder(&self, key: &ApiKey) -> Caller {
        let max_priority = key.max_priority.unwrap_or(self.max_priority);
        Caller { name: Arc::clone(&key.caller), max_priority }
    }

    /// Sets the highest priority that callers may give to jobs whose key has no limit of its own.
    pub fn with_max_priority(mut self, max_priority: Priority) -> Self {
        self.max_priority = max_priority;
        self
    }

    /// Returns whether callers need a key.
    pub fn are_required(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the caller with these headers, if it is accepted.
    fn check(&self, headers: &HeaderMap, origins: &AllowedOrigins) -> Result<Caller, ApiError> {
        if self.keys.is_empty() {
            check_same_site(headers, origins)?;
            return Ok(Caller { max_priority: self.max_priority, ..Caller::default() });
        }
        let Some(given) = key_in(headers) else {
            return Err(ApiError::Unauthorized(
                "send your API key in the header X-API-Key, or in Authorization as a Bearer token",
            ));
        };
        let mut caller = None;
        // Every key is compared to its end, so that the time taken says nothing about any of them.
        for key in self.keys.iter() {
            if key.key.as_bytes().ct_eq(given).into() {
                caller = Some(self.holder(key));
            }
        }
        caller.ok_or(ApiError::Unauthorized("the API key in X-API-Key or Authorization is not known here"))
    }
}

/// Returns the key that a caller sends: in `X-API-Key`, or in `Authorization` with the scheme `Bearer`, whose case does not
/// matter.
fn key_in(headers: &HeaderMap) -> Option<&[u8]> {
    if let Some(key) = headers.get("X-API-Key") {
        return Some(key.as_bytes());
    }
    let (scheme, key) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| key.trim_ascii())
}

/// Returns what records call the holder of a key.
fn caller_name(key: &str) -> Arc<str> {
    let hash = Sha256::digest(key.as_bytes());
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

/// Refuses requests that a web page makes the browser of this machine's user send, on a server without keys.
fn check_same_site(headers: &HeaderMap, origins: &AllowedOrigins) -> Result<(), ApiError> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let host = headers.get(HOST).map(text);
    // DNS rebinding: the name of a page's own site may resolve to loopback, so that the browser sees no other site.
    if host.as_deref().is_some_and(|host| !is_this_machine(host)) {
        return Err(ApiError::Forbidden(
            "while the server has no API key, it answers to localhost and 127.0.0.1 only, not to other names",
        ));
    }
    if is_of_our_pages(headers) || origins.allow(headers) {
        Ok(())
    } else {
        Err(ApiError::Forbidden(
            "requests from other sites' pages are refused while the server has no API key; --allow-origin names sites \
             whose pages may send them",
        ))
    }
}

/// Returns whether a request comes from a page of this server, or from no page.
pub fn is_of_our_pages(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let same_origin = text(ORIGIN.as_str()).is_none_or(|origin| {
        let origin = origin.split_once("://").map(|(_, origin)| origin);
        origin.zip(text(HOST.as_str())).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
    });
    // Images and links of other sites have no Origin.
    let same_site = text("Sec-Fetch-Site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    same_origin && same_site
}

/// Returns whether a `Host` header has a loopback name.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Middleware that lets callers with a key through, and those with a token to what it permits. Wrong keys and tokens are
/// counted by address; the right ones are not held up by them.
pub async fn require_key<B: MessageBody>(
    keys: web::Data<ApiKeys>,
    origins: web::Data<AllowedOrigins>,
    tokens: web::Data<Tokens>,
    failed: web::Data<FailedKeys>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let Err(mut error) = check(&request, &keys, &origins, &tokens) else {
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let is_wrong_key = match error {
        ApiError::Unauthorized(_) => key_in(request.headers()).is_some(),
        ApiError::Token(TokenError::Invalid) => true,
        _ => false,
    };
    if let Some(peer) = request.peer_addr().filter(|_| is_wrong_key)
        && let Err(retry_after) = failed.count(peer.ip(), Instant::now())
    {
        error = ApiError::TooManyFailures { retry_after };
    }
    Ok(refuse(request, error).map_into_right_body())
}

/// Answers with an error that later middleware can read: `ServiceRequest::into_response` would drop it.
fn refuse(request: ServiceRequest, error: ApiError) -> ServiceResponse {
    let (request, _) = request.into_parts();
    ServiceResponse::new(request, HttpResponse::from_error(error))
}

/// Checks the key of a request or, when there is none, its token. The scope of a token is left with the request.
fn check(
    request: &ServiceRequest,
    keys: &ApiKeys,
    origins: &AllowedOrigins,
    tokens: &Tokens,
) -> Result<(), ApiError> {
    let refused = match keys.check(request.headers(), origins) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            return Ok(());
        }
        Err(refused) => refused,
    };
    if let Some((caller, session)) = holder_of_session(request, keys)? {
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(session);
        return Ok(());
    }
    let Some(token) = token_in(request.query_string()) else { return Err(refused) };
    let scope = tokens.verify(&token, SystemTime::now())?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(TokenError::NotForThis.into());
    }
    scope.check(request.path(), request.query_string())?;
    request.extensions_mut().insert(scope);
    Ok(())
}

/// Returns who is signed in, when a request has no key. Browsers send a cookie with whatever a page opens, so only pages of
/// this server may use it.
fn holder_of_session(
    request: &ServiceRequest,
    keys: &ApiKeys,
) -> Result<Option<(Caller, OpenSession)>, ApiError> {
    let headers = request.headers();
    if key_in(headers).is_some() {
        return Ok(None);
    }
    let Some(cookie) = session::cookie_in(headers) else { return Ok(None) };
    let Some((caller, parts)) = keys.holder_of(cookie, session::now()) else { return Ok(None) };
    if !is_of_our_pages(headers) {
        return Err(ApiError::Forbidden("a page of another site may not use your session"));
    }
    Ok(Some((caller, OpenSession { id: parts.id.into(), ended: keys.ended.clone() })))
}

/// Middleware for what browsers open across sites without asking first: WebSockets and event streams. A page of another
/// site needs a token or an allowed origin, whatever else lets the request in.
pub async fn refuse_other_sites<B: MessageBody>(
    origins: web::Data<AllowedOrigins>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let has_token = request.extensions().contains::<Scope>();
    if has_token || is_of_our_pages(request.headers()) || origins.allow(request.headers()) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refused = ApiError::Forbidden("a page of another site may not follow jobs here");
    Ok(refuse(request, refused).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderName;

    const LOOPBACK: &str = "127.0.0.1:8080";

    fn keys(keys: &[&str], listen: &str) -> Result<ApiKeys, AuthConfigError> {
        let keys: Vec<_> = keys.iter().map(|&key| key.into()).collect();
        ApiKeys::new(&keys, listen.parse().unwrap(), &AllowedOrigins::default())
    }

    fn none() -> AllowedOrigins {
        AllowedOrigins::default()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn without_a_key_only_loopback_is_listened_on() {
        assert!(keys(&[], LOOPBACK).is_ok());
        assert!(keys(&[], "[::1]:8080").is_ok());
        assert!(matches!(keys(&[], "0.0.0.0:8080"), Err(AuthConfigError::OpenToTheWorld(_))));
        assert!(keys(&["k"], "0.0.0.0:8080").is_ok());
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused() {
        assert!(keys(&[""], LOOPBACK).is_err());
        assert!(keys(&["good", " "], LOOPBACK).is_err());
        assert!(keys(&["schlüssel"], LOOPBACK).is_err());
    }

    #[test]
    fn any_of_several_keys_opens_and_nothing_else_does() {
        let keys = keys(&["first", "second"], "0.0.0.0:80").unwrap();
        assert!(keys.check(&headers(&[("x-api-key", "first")]), &none()).is_ok());
        assert!(keys.check(&headers(&[("x-api-key", "second")]), &none()).is_ok());
        for wrong in ["", "firs", "first2", "First"] {
            assert!(keys.check(&headers(&[("x-api-key", wrong)]), &none()).is_err(), "{wrong}");
            let bearer = format!("Bearer {wrong}");
            assert!(keys.check(&headers(&[("authorization", &bearer)]), &none()).is_err(), "{bearer}");
        }
        for right in ["Bearer first", "bearer second", "BEARER  first "] {
            assert!(keys.check(&headers(&[("authorization", right)]), &none()).is_ok(), "{right}");
        }
        for wrong in ["first", "Basic first", "Bearer", "Bearerfirst"] {
            assert!(keys.check(&headers(&[("authorization", wrong)]), &none()).is_err(), "{wrong}");
        }
        assert!(keys.check(&headers(&[]), &none()).is_err());
    }

    #[test]
    fn a_session_opens_until_its_time_is_over() {
        let keys = keys(&["first", "second"], LOOPBACK).unwrap();
        assert_eq!(keys.open_session("third", 1000), None);
        let session = keys.open_session("second", 1000).unwrap();
        assert!(keys.holder_of(&session, 999).is_some());
        assert!(keys.holder_of(&session, 1000).is_none());
        let later = session.replacen("1000", "2000", 1);
        assert!(later != session && keys.holder_of(&later, 999).is_none(), "{later}");
    }

    #[test]
    fn without_a_key_a_page_of_another_site_is_kept_out() {
        let keys = keys(&[], LOOPBACK).unwrap();
        assert!(keys.check(&headers(&[("host", LOOPBACK)]), &none()).is_ok());
        assert!(
            keys.check(&headers(&[("host", LOOPBACK), ("origin", "http://127.0.0.1:8080")]), &none()).is_ok()
        );
        assert!(
            keys.check(&headers(&[("host", LOOPBACK), ("origin", "https://evil.example")]), &none()).is_err()
        );
        assert!(keys.check(&headers(&[("host", LOOPBACK), ("origin", "null")]), &none()).is_err());
        assert!(
            keys.check(&headers(&[("host", LOOPBACK), ("sec-fetch-site", "cross-site")]), &none()).is_err()
        );
    }

    #[test]
    fn without_a_key_a_page_of_an_allowed_origin_is_let_in() {
        let keys = keys(&[], LOOPBACK).unwrap();
        let origins = AllowedOrigins::new(vec!["https://app.example".parse().unwrap()]);
        let check = |host: &str, origin: &str| {
            let headers = headers(&[("host", host), ("origin", origin), ("sec-fetch-site", "cross-site")]);
            keys.check(&headers, &origins)
        };
        assert!(check(LOOPBACK, "https://app.example").is_ok());
        assert!(check(LOOPBACK, "https://evil.example").is_err());
        assert!(check("rebound.example", "https://app.example").is_err());
    }

    #[test]
    fn every_origin_is_allowed_only_with_a_key() {
        let any = AllowedOrigins::new(vec!["*".parse().unwrap()]);
        let listen = LOOPBACK.parse().unwrap();
        assert_eq!(ApiKeys::new(&[], listen, &any).err(), Some(AuthConfigError::OpenToEveryPage));
        assert!(ApiKeys::new(&["k".into()], listen, &any).is_ok());
    }

    #[test]
    fn without_a_key_only_names_of_this_machine_are_answered_to() {
        for host in [
            "localhost",
            "LOCALHOST:80",
            "app.localhost:8080",
            "127.0.0.1:8080",
            "127.8.8.8",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "rebound.example",
            "rebound.example:80",
            "notlocalhost",
            "192.0.2.1:80",
            "127.0.0.1.example",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
