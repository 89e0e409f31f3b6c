//! Streamed bodies: they fail when no bytes arrive for too long, but may take any time as a whole.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use awc::error::PayloadError;
use bytes::Bytes;
use futures::Stream;
use tokio::time::{Instant, Sleep, sleep};

use crate::error::ClientError;
use crate::exchange::Exchange;

/// A body as it arrives. It ends with an error when its stream does, or when no bytes arrive for too long.
pub(crate) struct TimedBody<S> {
    stream: S,
    exchange: Exchange,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    /// Whether the timer runs. It runs only while ComfyUI is waited for, not while the reader of the body is slow.
    waiting: bool,
    over: bool,
}

impl<S> TimedBody<S> {
    pub(crate) fn new(stream: S, exchange: Exchange, idle: Duration) -> Self {
        Self { stream, exchange, idle, timer: Box::pin(sleep(idle)), waiting: false, over: false }
    }

    fn end(&mut self, error: Option<ClientError>) -> Poll<Option<Result<Bytes, ClientError>>> {
        self.over = true;
        Poll::Ready(error.map(Err))
    }
}

impl<S> Stream for TimedBody<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.stream).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.waiting = false;
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => {
                let error = self.exchange.broken_body(error);
                self.end(Some(error))
            }
            Poll::Ready(None) => self.end(None),
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    let deadline = Instant::now() + self.idle;
                    self.timer.as_mut().reset(deadline);
                }
                match self.timer.as_mut().poll(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(()) => {
                        let error = self.exchange.timed_out(self.idle);
                        self.end(Some(error))
                    }
                }
            }
        }
    }
}
