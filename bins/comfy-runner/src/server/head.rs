//! Responses to HEAD: the headers of GET, and no body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::middleware::Next;
use actix_web::web::Bytes;

/// The body of a response to HEAD, which has none.
///
/// Its size is that of a stream, and the head has the length of the body of GET: actix does not know that a request was HEAD when
/// the next one has arrived before the response is ready, and would miss a body of another size.
pub struct NoBody;

/// Middleware that drops the body of a response to HEAD before it is polled: an endless or costly stream is never started.
pub async fn drop_body_of_head<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, NoBody>>, actix_web::Error> {
    let is_head = request.method() == Method::HEAD;
    let mut response = next.call(request).await?;
    if !is_head {
        return Ok(response.map_into_left_body());
    }
    if let BodySize::Sized(size) = response.response().body().size() {
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
    }
    response.response_mut().head_mut().no_chunking(true);
    Ok(response.map_body(|_, _| EitherBody::right(NoBody)))
}

impl MessageBody for NoBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
