//! The limit where another decoder follows.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::error::PayloadError;
use actix_http::ws::ProtocolError;
use bytes::Bytes;
use futures::Stream;

use crate::scanner::{FrameError, FrameScanner};

/// The bytes of a WebSocket, which end with an error at the header of a message that is too large.
#[derive(Debug)]
pub struct LimitedStream<S> {
    stream: S,
    /// `None` after an error.
    scanner: Option<FrameScanner>,
}

impl<S> LimitedStream<S> {
    /// Limits the messages in `stream` to `limit` bytes.
    pub fn new(stream: S, limit: usize) -> Self {
        Self { stream, scanner: Some(FrameScanner::new(limit)) }
    }
}

impl<S> Stream for LimitedStream<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(scanner) = &mut this.scanner else { return Poll::Ready(None) };
        let Poll::Ready(item) = Pin::new(&mut this.stream).poll_next(cx) else { return Poll::Pending };
        let Some(Ok(bytes)) = &item else { return Poll::Ready(item) };
        match scanner.scan(bytes) {
            Ok(()) => Poll::Ready(item),
            Err(error) => {
                this.scanner = None;
                let error = io::Error::new(io::ErrorKind::InvalidData, error);
                Poll::Ready(Some(Err(PayloadError::Io(error))))
            }
        }
    }
}

/// Finds the error of a [`LimitedStream`] in what a decoder made of it.
pub fn frame_error(error: &ProtocolError) -> Option<&FrameError> {
    let ProtocolError::Io(error) = error else { return None };
    let PayloadError::Io(error) = error.get_ref()?.downcast_ref()? else { return None };
    error.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::{StreamExt as _, stream};

    use super::*;

    #[test]
    fn a_stream_ends_with_an_error_where_too_much_is_announced() {
        let pieces: [&[u8]; 3] = [b"\x81\x01x", b"\x82\x7e\xff\xff", b"and so on"];
        let pieces = stream::iter(pieces.map(|piece| Ok(Bytes::from_static(piece))));
        let mut limited = LimitedStream::new(pieces, 1000);
        assert_eq!(block_on(limited.next()).unwrap().unwrap(), &b"\x81\x01x"[..]);
        let error = ProtocolError::Io(io::Error::other(block_on(limited.next()).unwrap().unwrap_err()));
        assert_eq!(
            frame_error(&error),
            Some(&FrameError::MessageTooLarge { announced: 0xffff, limit: 1000 })
        );
        assert!(block_on(limited.next()).is_none());
    }
}
