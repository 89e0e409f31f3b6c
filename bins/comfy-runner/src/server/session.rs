//! Sessions: a cookie in place of a key, for the server's own page, which must not keep the key.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{CACHE_CONTROL, COOKIE, HeaderMap, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_api::session::LIFETIME;
use comfy_runner_api::{Session, SignIn, Timestamp};
use comfy_runner_store::{EndedSession, Store};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::State;
use super::auth::{ApiKeys, is_of_our_pages};
use super::ended_sessions::EndedSessions;
use super::error::ApiError;
use super::failed_keys::FailedKeys;
use super::request_params::read_body;

const NAME: &str = "comfy_runner_session";

/// Returns the session that a request carries.
pub fn cookie_in(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).filter_map(|cookies| cookies.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == NAME).map(|(_, value)| value)
}

/// Returns the time in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `GET /api/session`
pub async fn show(state: web::Data<State>, keys: web::Data<ApiKeys>, request: HttpRequest) -> HttpResponse {
    let open = cookie_in(request.headers()).and_then(|session| keys.holder_of(session, now()));
    answer(HttpResponse::Ok(), &state, &keys, open.map(|(_, session)| session.expires_at))
}

/// `POST /api/session`
pub async fn sign_in(
    state: web::Data<State>,
    keys: web::Data<ApiKeys>,
    failed: web::Data<FailedKeys>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    if !is_of_our_pages(request.headers()) {
        return Err(ApiError::Forbidden("a page of another site may not sign in here"));
    }
    let SignIn { key } = serde_json::from_slice(&read_body(body).await?)
        .map_err(|error| ApiError::BadRequest(format!("the body is not {{\"key\": KEY}}: {error}")))?;
    if keys.is_empty() {
        return Ok(answer(HttpResponse::Ok(), &state, &keys, None));
    }
    let expires_at = now() + LIFETIME;
    let Some(session) = keys.open_session(key.trim(), expires_at) else {
        if let Some(peer) = request.peer_addr()
            && let Err(retry_after) = failed.count(peer.ip(), Instant::now())
        {
            return Err(ApiError::TooManyFailures { retry_after });
        }
        return Err(ApiError::Unauthorized("this key is not known here"));
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((SET_COOKIE, set_cookie(&request, &session, LIFETIME)));
    Ok(answer(response, &state, &keys, Some(expires_at)))
}

/// `DELETE /api/session`
pub async fn sign_out(
    keys: web::Data<ApiKeys>,
    store: web::Data<dyn Store>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let now = now();
    let open = cookie_in(request.headers()).and_then(|session| keys.holder_of(session, now));
    if let Some((_, SessionParts { expires_at, id })) = open {
        let seconds = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        store.end_session(EndedSession::new(id, seconds(expires_at)), seconds(now)).await?;
        keys.ended_sessions().add(id, expires_at, now);
    }
    Ok(HttpResponse::NoContent()
        .insert_header((SET_COOKIE, set_cookie(&request, "", 0)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish())
}

fn answer(
    mut response: actix_web::HttpResponseBuilder,
    state: &State,
    keys: &ApiKeys,
    expires_at: Option<u64>,
) -> HttpResponse {
    let signed_in = keys.is_empty() || expires_at.is_some();
    let expires_at = expires_at.and_then(timestamp);
    let session = Session { required: !keys.is_empty(), signed_in, expires_at, allow_edit: state.allow_edit };
    response.insert_header((CACHE_CONTROL, "no-store")).json(session)
}

/// Writes a cookie that no script reads, that no page of another site sends, and that is sent over https only where the page
/// came by https.
fn set_cookie(request: &HttpRequest, session: &str, max_age: u64) -> String {
    let secure = if request.connection_info().scheme() == "https" { "; Secure" } else { "" };
    format!("{NAME}={session}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}")
}

/// What a session says of itself. It is true if the signature is.
#[derive(Clone, Copy)]
pub struct SessionParts<'a> {
    /// When it ends, in seconds since 1970.
    pub expires_at: u64,
    /// What distinguishes it from others of the same key.
    pub id: &'a str,
}

/// Reads the parts of a session.
pub fn parts(session: &str) -> Option<SessionParts<'_>> {
    let mut parts = session.split('.').skip(1);
    Some(SessionParts { expires_at: parts.next()?.parse().ok()?, id: parts.next()? })
}

/// The session by which a request was let in.
#[derive(Clone)]
pub struct OpenSession {
    /// See [`SessionParts::id`].
    pub id: Box<str>,
    /// Where its end is noted.
    pub ended: EndedSessions,
}

impl OpenSession {
    /// Waits until its holder signs out; for ever if the request has no session.
    pub async fn end(session: Option<Self>) {
        match session {
            Some(Self { id, ended }) => ended.wait_for(&id).await,
            None => std::future::pending().await,
        }
    }
}

fn timestamp(seconds: u64) -> Option<Timestamp> {
    let time = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?;
    Some(Timestamp::new(time.format(&Rfc3339).ok()?))
}
