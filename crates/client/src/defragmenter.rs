//! Joins WebSocket frames to messages.

use actix_http::ws::Item;
use awc::ws::Frame;
use bytes::{Bytes, BytesMut};

/// A complete message.
#[derive(Debug, PartialEq)]
pub(crate) enum WholeMessage {
    Text(Bytes),
    Binary(Bytes),
}

/// Joins the fragments of a message. Their total size is limited before: `LimitedCodec` rejects the fragment that announces
/// too much.
#[derive(Debug, Default)]
pub(crate) struct Defragmenter {
    open: Option<Fragments>,
}

#[derive(Debug)]
struct Fragments {
    is_text: bool,
    bytes: BytesMut,
}

impl Defragmenter {
    /// Adds a frame and returns the message that it completes. Pings, pongs and closes complete none.
    pub(crate) fn take(&mut self, frame: Frame) -> Option<WholeMessage> {
        match frame {
            Frame::Text(bytes) => Some(WholeMessage::Text(bytes)),
            Frame::Binary(bytes) => Some(WholeMessage::Binary(bytes)),
            Frame::Continuation(Item::FirstText(bytes)) => self.begin(true, &bytes),
            Frame::Continuation(Item::FirstBinary(bytes)) => self.begin(false, &bytes),
            Frame::Continuation(Item::Continue(bytes)) => {
                self.add(&bytes);
                None
            }
            Frame::Continuation(Item::Last(bytes)) => {
                self.add(&bytes);
                let Fragments { is_text, bytes } = self.open.take()?;
                let whole = bytes.freeze();
                Some(if is_text { WholeMessage::Text(whole) } else { WholeMessage::Binary(whole) })
            }
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => None,
        }
    }

    fn begin(&mut self, is_text: bool, bytes: &[u8]) -> Option<WholeMessage> {
        self.open = Some(Fragments { is_text, bytes: BytesMut::from(bytes) });
        None
    }

    fn add(&mut self, more: &[u8]) {
        if let Some(fragments) = &mut self.open {
            fragments.bytes.extend_from_slice(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: &'static str, item: fn(Bytes) -> Item) -> Frame {
        Frame::Continuation(item(Bytes::from_static(bytes.as_bytes())))
    }

    #[test]
    fn fragments_become_one_message_and_pings_between_them_do_no_harm() {
        let mut frames = Defragmenter::default();
        assert_eq!(frames.take(part("ab", Item::FirstText)), None);
        assert_eq!(frames.take(Frame::Ping(Bytes::new())), None);
        assert_eq!(frames.take(part("cd", Item::Continue)), None);
        assert_eq!(frames.take(part("ef", Item::Last)), Some(WholeMessage::Text("abcdef".into())));
        assert_eq!(frames.take(part("x", Item::FirstBinary)), None);
        assert_eq!(frames.take(part("y", Item::Last)), Some(WholeMessage::Binary("xy".into())));
    }

    #[test]
    fn a_fragment_without_a_beginning_is_no_message() {
        let mut frames = Defragmenter::default();
        assert_eq!(frames.take(part("stray", Item::Last)), None);
        assert_eq!(frames.take(part("ab", Item::FirstText)), None);
        assert_eq!(frames.take(part("c", Item::Last)), Some(WholeMessage::Text("abc".into())));
    }
}
