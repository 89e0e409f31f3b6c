//! A log line for each request, and an id that is also in the other log lines of the request.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use tracing::Instrument as _;

use super::excerpt::excerpt;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of a logged path, in bytes.
const PATH_LOGGED: usize = 256;
/// The maximum length of a logged method, in bytes: a caller may send any.
const METHOD_LOGGED: usize = 32;

/// Middleware that logs each request. The path is logged, the query string, headers and body are not.
///
/// A caller's own `X-Request-Id` is used when it is harmless; the response has the id in any case. Requests for a status
/// and wrong keys beyond their limit are logged at debug level, because there can be thousands of them.
pub async fn log_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = given_id(&request).unwrap_or_else(new_id);
    let method = excerpt(request.method().as_str(), METHOD_LOGGED).into_owned();
    let path = excerpt(request.path(), PATH_LOGGED).into_owned();
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default());
    let started = Instant::now();
    let result = next.call(request).instrument(span.clone()).await;
    let status = match &result {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let (status, ms) = (status.as_u16(), started.elapsed().as_millis() as u64);
    span.in_scope(|| match (status, is_poll(&path)) {
        (500.., _) => tracing::warn!(%method, path, status, ms, "answered"),
        // The first wrong key beyond the limit has its own warning.
        (429, _) | (_, true) => tracing::debug!(%method, path, status, ms, "answered"),
        (_, false) => tracing::info!(%method, path, status, ms, "answered"),
    });
    match result {
        Ok(mut response) => {
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

fn given_id(request: &ServiceRequest) -> Option<HeaderValue> {
    let id = request.headers().get(REQUEST_ID)?;
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (!id.is_empty() && id.len() <= 64 && id.as_bytes().iter().all(harmless)).then(|| id.clone())
}

fn new_id() -> HeaderValue {
    let id = format!("{:016x}", rand::random::<u64>());
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("unknown"))
}

fn is_poll(path: &str) -> bool {
    path.starts_with("/api/run/status/")
        || path.starts_with("/api/run/preview/")
        || path == "/health"
        || path == "/ready"
}
