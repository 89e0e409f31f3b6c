//! A file that is read part by part: however large it is, only what may hold a graph is ever in memory.

use std::io::{Read, Seek, SeekFrom};

use super::EmbeddedError;

/// The largest part that is read. Graphs have some hundred kilobytes.
const LARGEST: u64 = 32 << 20;
/// How many parts of a file are looked at. A video of hours has some thousands.
const MOST: u32 = 200_000;

/// Random access to a file of known length.
pub(super) struct Parts<'r, R> {
    reader: &'r mut R,
    len: u64,
    left: u32,
}

impl<'r, R: Read + Seek> Parts<'r, R> {
    pub fn new(reader: &'r mut R) -> Result<Self, EmbeddedError> {
        let len = reader.seek(SeekFrom::End(0))?;
        Ok(Self { reader, len, left: MOST })
    }

    /// The length of the file.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The bytes of a part, which must all be there.
    pub fn bytes(&mut self, at: u64, len: u64) -> Result<Vec<u8>, EmbeddedError> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(EmbeddedError::Truncated { at });
        }
        if len > LARGEST {
            return Err(EmbeddedError::TooLarge { at });
        }
        self.left = self.left.checked_sub(1).ok_or(EmbeddedError::TooManyParts)?;
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| EmbeddedError::TooLarge { at })?];
        self.reader.seek(SeekFrom::Start(at))?;
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// As many bytes from here as there are, at most `len`.
    pub fn up_to(&mut self, at: u64, len: u64) -> Result<Vec<u8>, EmbeddedError> {
        self.bytes(at, len.min(self.len.saturating_sub(at)))
    }

    /// A few bytes as an array; none at the end of the file.
    pub fn array<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>, EmbeddedError> {
        if at >= self.len {
            return Ok(None);
        }
        Ok(self.bytes(at, N as u64)?.try_into().ok())
    }
}

/// The four bytes at this place as a number.
pub(super) fn number(bytes: &[u8], at: usize, big: bool) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    let number = if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
    usize::try_from(number).ok()
}

/// What is before and after the first byte of this value.
pub(super) fn split(bytes: &[u8], value: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|&byte| byte == value)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

pub(super) fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each byte as the character of that number.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
