//! The limit where frames are decoded by us.

use std::io;

use actix_codec::{Decoder, Encoder};
use actix_http::ws::{Codec, Frame, Message, ProtocolError};
use bytes::BytesMut;

use crate::scanner::{FrameError, FrameScanner};

/// A WebSocket codec that refuses a message at the header that announces too much.
#[derive(Debug)]
pub struct LimitedCodec {
    inner: Codec,
    scanner: FrameScanner,
    /// How many bytes at the front of the read buffer have been scanned.
    scanned: usize,
}

/// Why frames cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The other side announces too much.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The other side does not speak the protocol, or the connection fails.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        Self::Protocol(ProtocolError::Io(error))
    }
}

impl LimitedCodec {
    /// Limits messages that `inner` decodes to `limit` bytes.
    pub fn new(inner: Codec, limit: usize) -> Self {
        Self { inner: inner.max_size(limit), scanner: FrameScanner::new(limit), scanned: 0 }
    }
}

impl Decoder for LimitedCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        self.scanner.scan(&buffer[self.scanned..])?;
        let frame = self.inner.decode(buffer)?;
        // The codec takes frames from the front; what it leaves has been scanned.
        self.scanned = buffer.len();
        Ok(frame)
    }
}

impl Encoder<Message> for LimitedCodec {
    type Error = CodecError;

    fn encode(&mut self, message: Message, buffer: &mut BytesMut) -> Result<(), CodecError> {
        Ok(self.inner.encode(message, buffer)?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn server() -> LimitedCodec {
        LimitedCodec::new(Codec::new(), 1000)
    }

    proptest! {
        #[test]
        fn every_frame_of_a_client_arrives_whole_in_pieces_of_any_length(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1000), 1..8),
            piece in 1usize..700,
        ) {
            let (mut client, mut server) = (LimitedCodec::new(Codec::new().client_mode(), 1000), server());
            let mut sent = BytesMut::new();
            for payload in &payloads {
                client.encode(Message::Binary(Bytes::copy_from_slice(payload)), &mut sent).unwrap();
            }
            let (mut buffer, mut received) = (BytesMut::new(), Vec::new());
            for piece in sent.chunks(piece) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = server.decode(&mut buffer).unwrap() {
                    let Frame::Binary(payload) = frame else { panic!("{frame:?}") };
                    received.push(payload.to_vec());
                }
            }
            prop_assert_eq!(received, payloads);
        }
    }

    #[test]
    fn an_announcement_beyond_the_limit_is_an_error_although_nothing_followed() {
        let mut buffer = BytesMut::from(&b"\x82\xff\0\0\x01\0\0\0\0\0"[..]);
        let Err(CodecError::Frame(error)) = server().decode(&mut buffer) else { panic!("it waits for more") };
        assert_eq!(error, FrameError::MessageTooLarge { announced: 1 << 40, limit: 1000 });
        assert!(buffer.capacity() < 1000, "{}", buffer.capacity());
    }
}
