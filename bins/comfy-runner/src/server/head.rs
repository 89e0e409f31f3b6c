//! Responses to HEAD: the headers of GET, and no body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::Bytes;

/// The size of a body without the body.
pub struct SizeOnly(BodySize);

/// Middleware that drops the body of a response to HEAD before it is polled: an endless or costly stream is never started.
pub async fn drop_body_of_head<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, SizeOnly>>, actix_web::Error> {
    let is_head = request.method() == Method::HEAD;
    let response = next.call(request).await?;
    Ok(if is_head {
        response.map_body(|_, body| EitherBody::right(SizeOnly(body.size())))
    } else {
        response.map_into_left_body()
    })
}

impl MessageBody for SizeOnly {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
