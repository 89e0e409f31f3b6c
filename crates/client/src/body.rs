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

#[cfg(test)]
mod tests {
    use awc::http::Method;
    use futures::{StreamExt as _, stream};
    use tokio::time::advance;

    use super::*;
    use crate::config::Config;

    const IDLE: Duration = Duration::from_secs(30);

    fn timed<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin>(stream: S) -> TimedBody<S> {
        let config = Config::new("http://127.0.0.1:9".parse().unwrap());
        TimedBody::new(stream, Exchange::new(&config, &Method::GET, "/view"), IDLE)
    }

    #[actix_rt::test]
    async fn a_body_that_moves_on_is_not_cut_however_long_it_takes_and_one_that_stops_is() {
        tokio::time::pause();
        let pieces = stream::unfold((), |()| async {
            sleep(IDLE * 9 / 10).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        let moving = timed(Box::pin(pieces.take(100)));
        assert_eq!(moving.map(Result::unwrap).count().await, 100);

        let begun = Instant::now();
        let mut stopping = timed(stream::pending());
        assert!(matches!(stopping.next().await, Some(Err(ClientError::TimedOut { .. }))));
        assert_eq!(begun.elapsed().as_secs(), IDLE.as_secs());
        assert!(stopping.next().await.is_none());
    }

    #[actix_rt::test]
    async fn a_reader_that_is_slow_does_not_make_the_body_stop() {
        tokio::time::pause();
        let mut body = timed(stream::iter([Ok(Bytes::from_static(b"x")), Ok(Bytes::from_static(b"y"))]));
        for expected in [b"x", b"y"] {
            assert_eq!(body.next().await.unwrap().unwrap(), &expected[..]);
            advance(10 * IDLE).await;
        }
        assert!(body.next().await.is_none());
    }
}
