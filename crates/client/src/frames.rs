//! From WebSocket frames to whole messages: fragments are put together, within a limit.

use actix_http::ws::Item;
use awc::ws::Frame;
use bytes::{Bytes, BytesMut};

/// A whole message.
#[derive(Debug, PartialEq)]
pub(crate) enum Whole {
    Text(Bytes),
    Binary(Bytes),
}

/// Puts fragments together. A message beyond the limit is passed over as a whole.
#[derive(Debug)]
pub(crate) struct Assembler {
    limit: usize,
    open: Option<Fragments>,
}

#[derive(Debug)]
struct Fragments {
    is_text: bool,
    /// `None` once there were too many.
    bytes: Option<BytesMut>,
}

impl Assembler {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, open: None }
    }

    /// Takes a frame; gives the message that it completes. Pings, pongs and closes are none of its business.
    pub(crate) fn take(&mut self, frame: Frame) -> Option<Whole> {
        match frame {
            Frame::Text(bytes) => Some(Whole::Text(bytes)),
            Frame::Binary(bytes) => Some(Whole::Binary(bytes)),
            Frame::Continuation(Item::FirstText(bytes)) => self.begin(true, &bytes),
            Frame::Continuation(Item::FirstBinary(bytes)) => self.begin(false, &bytes),
            Frame::Continuation(Item::Continue(bytes)) => {
                self.add(&bytes);
                None
            }
            Frame::Continuation(Item::Last(bytes)) => {
                self.add(&bytes);
                let fragments = self.open.take()?;
                let whole = fragments.bytes?.freeze();
                Some(if fragments.is_text { Whole::Text(whole) } else { Whole::Binary(whole) })
            }
            Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => None,
        }
    }

    fn begin(&mut self, is_text: bool, bytes: &[u8]) -> Option<Whole> {
        self.open = Some(Fragments { is_text, bytes: Some(BytesMut::new()) });
        self.add(bytes);
        None
    }

    fn add(&mut self, more: &[u8]) {
        let Some(Fragments { bytes: all @ Some(_), .. }) = &mut self.open else { return };
        match all {
            Some(bytes) if bytes.len() + more.len() <= self.limit => bytes.extend_from_slice(more),
            _ => {
                tracing::debug!(limit = self.limit, "a message of ComfyUI's is too large and is passed over");
                *all = None;
            }
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
        let mut frames = Assembler::new(6);
        assert_eq!(frames.take(part("ab", Item::FirstText)), None);
        assert_eq!(frames.take(Frame::Ping(Bytes::new())), None);
        assert_eq!(frames.take(part("cd", Item::Continue)), None);
        assert_eq!(frames.take(part("ef", Item::Last)), Some(Whole::Text("abcdef".into())));
        assert_eq!(frames.take(part("x", Item::FirstBinary)), None);
        assert_eq!(frames.take(part("y", Item::Last)), Some(Whole::Binary("xy".into())));
    }

    #[test]
    fn a_message_beyond_the_limit_is_passed_over_and_the_next_one_is_not() {
        let mut frames = Assembler::new(3);
        for frame in [part("ab", Item::FirstText), part("cd", Item::Continue), part("e", Item::Last)] {
            assert_eq!(frames.take(frame), None);
        }
        assert_eq!(frames.take(part("stray", Item::Last)), None);
        frames.take(part("a", Item::FirstText));
        assert_eq!(frames.take(part("b", Item::Last)), Some(Whole::Text("ab".into())));
    }
}
