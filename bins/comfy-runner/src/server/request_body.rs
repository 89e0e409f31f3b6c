//! Request bodies: how long the server waits for them, and what happens to the rest of one that no handler needs.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes};
use actix_web::{HttpMessage as _, HttpResponse};
use futures::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::{Activity, OpenRequest};
use super::error::ApiError;
use super::limits::Limits;

/// The number of bytes that counts as progress.
const PROGRESS: usize = 1024;
/// The maximum number of bytes that are read from a body that no handler needs, if they have arrived already, so that
/// its connection can be reused.
const LEFTOVER_MAX: usize = 64 << 10;

/// Middleware that answers 408 when a body does not arrive, and closes the connection after a response that did not need
/// the rest of the body, which may be endless.
pub async fn guard_body<B: MessageBody + 'static>(
    limits: web::Data<Limits>,
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let activity = request.conn_data::<Rc<Activity>>().cloned();
    let mut open = activity.as_ref().map(Activity::begin);
    let body = match request.take_payload() {
        Payload::None => None,
        payload => Some(RequestBody::new(payload, limits.body_timeout)),
    };
    if let Some(body) = &body {
        request.set_payload(Payload::Stream { payload: Box::pin(body.clone()) });
    }
    let mut response = next.call(request).await?.map_into_boxed_body();
    if let Some(body) = body {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            body.wait_for_ever();
            if let Some(open) = &mut open {
                open.linger_at_end();
            }
        } else {
            if let Some(waited) = body.timed_out() {
                response = response.into_response(HttpResponse::from_error(stalled(waited)));
            }
            if !body.is_read().await {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
                if let Some(activity) = activity {
                    activity.linger();
                }
            }
        }
    }
    Ok(response.map_body(|_, body| BoxBody::new(Answer { body, _open: open })))
}

fn stalled(waited: Duration) -> ApiError {
    ApiError::Timeout(format!(
        "the request's body did not arrive: {} s passed without progress; send it again",
        waited.as_secs_f64()
    ))
}

/// The body of a request, shared between its handler and the middleware.
#[derive(Clone)]
struct RequestBody(Rc<RefCell<State>>);

struct State {
    payload: Payload,
    end: Option<End>,
    /// `None` for no time limit.
    patience: Option<Patience>,
    /// The time since which the server waits for the caller. Time in which the body is not read does not count.
    waiting_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

/// How a body ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Broken,
    TimedOut(Duration),
}

/// Returns how long the server still waits for the caller.
struct Patience {
    window: Duration,
    left: Duration,
    received: usize,
}

impl Patience {
    fn new(window: Duration) -> Self {
        Self { window, left: window, received: 0 }
    }

    /// Records that bytes arrived.
    fn arrived(&mut self, bytes: usize, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
        self.received += bytes;
        if self.received >= PROGRESS {
            (self.left, self.received) = (self.window, 0);
        }
    }
}

impl RequestBody {
    fn new(payload: Payload, timeout: Duration) -> Self {
        Self(Rc::new(RefCell::new(State {
            payload,
            end: None,
            patience: Some(Patience::new(timeout)),
            waiting_since: None,
            timer: Box::pin(sleep_until(Instant::now())),
        })))
    }

    fn wait_for_ever(&self) {
        self.0.borrow_mut().patience = None;
    }

    fn timed_out(&self) -> Option<Duration> {
        match self.0.borrow().end {
            Some(End::TimedOut(waited)) => Some(waited),
            _ => None,
        }
    }

    /// Returns whether the body is read to its end. Reads a little of what has arrived already, and does not wait.
    async fn is_read(&self) -> bool {
        if self.0.borrow().end.is_none() {
            // What the connection has received reaches the body meanwhile.
            tokio::task::yield_now().await;
        }
        let mut left = LEFTOVER_MAX;
        poll_fn(|cx| {
            let mut state = self.0.borrow_mut();
            while state.end.is_none() && left > 0 {
                match state.poll_payload(cx) {
                    Poll::Ready(Some(Ok(bytes))) => left = left.saturating_sub(bytes.len()),
                    Poll::Ready(_) | Poll::Pending => break,
                }
            }
            Poll::Ready(state.end == Some(End::Whole))
        })
        .await
    }
}

impl State {
    fn poll_payload(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        let polled = Pin::new(&mut self.payload).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Err(_))) => self.end = Some(End::Broken),
            Poll::Ready(None) => self.end = Some(End::Whole),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    fn poll_timed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        match self.end {
            None => {}
            Some(End::Whole) => return Poll::Ready(None),
            Some(End::Broken) => return Poll::Ready(Some(Err(PayloadError::Incomplete(None)))),
            Some(End::TimedOut(_)) => return Poll::Ready(Some(Err(late()))),
        }
        let polled = self.poll_payload(cx);
        let Some(patience) = &mut self.patience else { return polled };
        if let Poll::Ready(item) = &polled {
            let waited = self.waiting_since.take().map_or(Duration::ZERO, |since| since.elapsed());
            if let Some(Ok(bytes)) = item {
                patience.arrived(bytes.len(), waited);
            }
            return polled;
        }
        if self.waiting_since.is_none() {
            let now = Instant::now();
            self.waiting_since = Some(now);
            self.timer.as_mut().reset(now + patience.left);
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.end = Some(End::TimedOut(patience.window));
        Poll::Ready(Some(Err(late())))
    }
}

fn late() -> PayloadError {
    PayloadError::Io(io::Error::new(io::ErrorKind::TimedOut, "the caller did not send the rest in time"))
}

impl Stream for RequestBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_timed(cx)
    }
}

/// The body of a response. Its request is open until the body is sent or dropped.
struct Answer {
    body: BoxBody,
    _open: Option<OpenRequest>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};

    use super::*;

    fn body(pieces: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> RequestBody {
        RequestBody::new(Payload::Stream { payload: Box::pin(pieces) }, Duration::from_secs(30))
    }

    /// Pieces of some bytes, each after some seconds.
    fn every(seconds: u64, bytes: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> {
        stream::unfold((), move |()| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Some((Ok(Bytes::from(vec![0; bytes])), ()))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_is_waited_for_while_the_body_makes_progress() {
        let start = Instant::now();
        let arrived = body(every(29, PROGRESS)).take(100).filter(|item| std::future::ready(item.is_ok()));
        assert_eq!(arrived.count().await, 100);
        assert_eq!(start.elapsed().as_secs(), 100 * 29);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_sends_a_few_bytes_now_and_then_is_given_up() {
        let (start, mut body) = (Instant::now(), body(every(1, 10)));
        while body.next().await.unwrap().is_ok() {}
        assert_eq!(start.elapsed().as_secs(), 30);
        assert_eq!(body.timed_out(), Some(Duration::from_secs(30)));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_body_is_not_read_is_not_the_callers() {
        let mut body = body(every(1, 10));
        for _ in 0..20 {
            assert!(body.next().await.unwrap().is_ok());
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        assert_eq!(body.timed_out(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_body_is_read_when_it_is_there_and_short() {
        let pieces = |count, length| stream::iter((0..count).map(move |_| Ok(Bytes::from(vec![0; length]))));
        assert!(body(pieces(3, 1000)).is_read().await);
        assert!(!body(pieces(1000, 1000)).is_read().await);
        assert!(!body(pieces(3, 1000).chain(stream::pending())).is_read().await);
    }
}
