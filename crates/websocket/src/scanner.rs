//! The rule: a scanner that reads frame headers and refuses what is too large at its header.

/// The largest payload of a control frame, in bytes (RFC 6455, section 5.5).
pub const CONTROL_FRAME_MAX: u64 = 125;

/// The longest part of a header that a decision needs: two bytes and a length of 64 bits.
const LONGEST_LENGTH: usize = 10;
/// The key that follows the length of a masked frame, in bytes.
const MASKING_KEY: u64 = 4;

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The message is larger than the limit, together with its fragments so far.
    #[error("a WebSocket message of {announced} bytes was announced; at most {limit} are accepted")]
    MessageTooLarge {
        /// The bytes of the message so far and those that its latest frame announces.
        announced: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A ping, pong or close is larger than RFC 6455 allows.
    #[error(
        "a WebSocket control frame of {announced} bytes was announced; at most {CONTROL_FRAME_MAX} are allowed"
    )]
    ControlFrameTooLarge {
        /// The announced bytes.
        announced: u64,
    },
}

/// Reads the headers in a stream of WebSocket frames, in pieces of any length, and compares announced lengths with a
/// limit. It buffers nothing but the header of one frame.
#[derive(Debug)]
pub struct FrameScanner {
    limit: u64,
    header: [u8; LONGEST_LENGTH],
    /// How many bytes of `header` have arrived.
    filled: usize,
    /// Bytes of the current frame that are still to come, its masking key included.
    rest: u64,
    /// Bytes of the fragments of an unfinished message.
    message: u64,
}

/// The part of a frame's header that a decision needs.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    is_final: bool,
    opcode: u8,
    is_masked: bool,
    length: u64,
}

impl FrameScanner {
    /// Creates a scanner for messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        Self { limit, header: [0; LONGEST_LENGTH], filled: 0, rest: 0, message: 0 }
    }

    /// Reads the next bytes of the connection.
    ///
    /// # Errors
    ///
    /// Returns the first frame that announces too much. The scanner must not be used after that: where the next frame
    /// begins is unknown.
    pub fn scan(&mut self, mut bytes: &[u8]) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = usize::try_from(self.rest).map_or(bytes.len(), |rest| rest.min(bytes.len()));
                self.rest -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header[self.filled] = bytes[0];
            self.filled += 1;
            bytes = &bytes[1..];
            if let Some(header) = Header::parse(&self.header[..self.filled]) {
                self.filled = 0;
                self.admit(&header)?;
                let key = if header.is_masked { MASKING_KEY } else { 0 };
                self.rest = header.length.saturating_add(key);
            }
        }
        Ok(())
    }

    fn admit(&mut self, header: &Header) -> Result<(), FrameError> {
        if header.is_control() {
            return match header.length {
                0..=CONTROL_FRAME_MAX => Ok(()),
                announced => Err(FrameError::ControlFrameTooLarge { announced }),
            };
        }
        // A new message in the middle of another is the codec's to refuse; here it counts as more of the same.
        let announced = self.message.saturating_add(header.length);
        if announced > self.limit {
            return Err(FrameError::MessageTooLarge { announced, limit: self.limit });
        }
        self.message = if header.is_final { 0 } else { announced };
        Ok(())
    }
}

impl Header {
    /// Reads a header; `None` while its length is incomplete.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ref extended @ ..] = bytes else { return None };
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes(extended.get(..2)?.try_into().ok()?)),
            127 => u64::from_be_bytes(extended.get(..8)?.try_into().ok()?),
            short => u64::from(short),
        };
        Some(Self {
            is_final: first & 0x80 != 0,
            opcode: first & 0x0f,
            is_masked: second & 0x80 != 0,
            length,
        })
    }

    fn is_control(&self) -> bool {
        self.opcode & 0x08 != 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame without its payload.
    fn header(opcode: u8, is_final: bool, is_masked: bool, length: u64) -> Vec<u8> {
        let mask = if is_masked { 0x80 } else { 0 };
        let mut bytes = vec![opcode | if is_final { 0x80 } else { 0 }];
        match length {
            0..=125 => bytes.push(mask | length as u8),
            126..=0xffff => {
                bytes.push(mask | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        bytes
    }

    fn frame(opcode: u8, is_final: bool, is_masked: bool, length: usize) -> Vec<u8> {
        let mut bytes = header(opcode, is_final, is_masked, length as u64);
        bytes.resize(bytes.len() + length + if is_masked { 4 } else { 0 }, 0xff);
        bytes
    }

    #[test]
    fn a_frame_is_refused_at_its_header() {
        let announced = 1 << 40;
        let error = FrameScanner::new(1024).scan(&header(2, true, true, announced));
        assert_eq!(error, Err(FrameError::MessageTooLarge { announced, limit: 1024 }));
        let error = FrameScanner::new(1024).scan(&header(2, true, false, u64::MAX));
        assert_eq!(error, Err(FrameError::MessageTooLarge { announced: u64::MAX, limit: 1024 }));
    }

    #[test]
    fn fragments_are_limited_in_total_and_the_next_message_begins_at_zero() {
        let mut scanner = FrameScanner::new(10);
        for (opcode, is_final) in [(1, false), (9, true), (0, true), (1, true), (2, false)] {
            assert_eq!(scanner.scan(&frame(opcode, is_final, true, 5)), Ok(()));
        }
        let error = scanner.scan(&header(0, false, true, 6));
        assert_eq!(error, Err(FrameError::MessageTooLarge { announced: 11, limit: 10 }));
    }

    #[test]
    fn control_frames_have_a_limit_of_their_own() {
        for opcode in [8, 9, 10] {
            assert_eq!(FrameScanner::new(1).scan(&frame(opcode, true, true, 125)), Ok(()));
            let error = FrameScanner::new(1024).scan(&header(opcode, true, true, 126));
            assert_eq!(error, Err(FrameError::ControlFrameTooLarge { announced: 126 }));
        }
    }

    proptest! {
        #[test]
        fn frames_within_the_limit_pass_in_pieces_of_any_length(
            frames in prop::collection::vec((0u8..3, any::<bool>(), 0usize..=70_000), 1..8),
            pieces in prop::collection::vec(1usize..5000, 1..50),
        ) {
            let bytes: Vec<u8> =
                frames.iter().flat_map(|&(opcode, masked, length)| frame(opcode, true, masked, length)).collect();
            let mut scanner = FrameScanner::new(70_000);
            let (mut rest, mut pieces) = (&bytes[..], pieces.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(pieces.next().unwrap().min(rest.len()));
                prop_assert_eq!(scanner.scan(piece), Ok(()));
                rest = more;
            }
        }

        #[test]
        fn a_frame_beyond_the_limit_is_refused_before_its_payload(
            before in prop::collection::vec(0usize..=1000, 0..4),
            length in 1001u64..,
            is_masked: bool,
            piece in 1usize..20,
        ) {
            let mut scanner = FrameScanner::new(1000);
            for length in before {
                prop_assert_eq!(scanner.scan(&frame(2, true, is_masked, length)), Ok(()));
            }
            let header = header(2, true, is_masked, length);
            let results: Vec<_> = header.chunks(piece).map(|piece| scanner.scan(piece)).collect();
            prop_assert_eq!(*results.last().unwrap(), Err(FrameError::MessageTooLarge { announced: length, limit: 1000 }));
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut scanner = FrameScanner::new(100_000);
            for piece in pieces {
                if scanner.scan(&piece).is_err() {
                    break;
                }
            }
        }
    }
}
