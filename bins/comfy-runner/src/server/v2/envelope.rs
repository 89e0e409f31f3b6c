//! Every error below `/api/v2` has the envelope, also one that no handler made: an unknown path, a wrong method, a missing
//! key, a body that does not arrive.

use actix_web::ResponseError as _;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use actix_web::middleware::Next;

use super::error::V2Error;
use crate::server::error::ApiError;

/// Middleware that replaces error responses without the envelope. The headers stay.
pub async fn put_errors_into_envelope<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let is_v2 = matches!(request.path().strip_prefix("/api/v2"), Some(rest) if rest.is_empty() || rest.starts_with('/'));
    let response = next.call(request).await?;
    let status = response.status();
    if !is_v2 || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response.map_into_left_body());
    }
    let error = match response.response().error() {
        Some(error) if error.as_error::<V2Error>().is_some() => return Ok(response.map_into_left_body()),
        Some(error) => match error.as_error::<ApiError>() {
            Some(error) => V2Error::from(error),
            None => V2Error::from_status(status, error.to_string()),
        },
        None => V2Error::from_status(status, status.to_string()),
    };
    let mut enveloped = error.error_response();
    let body_headers: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_LENGTH];
    for (name, value) in response.headers() {
        if !body_headers.contains(name) && !enveloped.headers().contains_key(name) {
            enveloped.headers_mut().insert(name.clone(), value.clone());
        }
    }
    Ok(response.into_response(enveloped).map_into_right_body())
}
