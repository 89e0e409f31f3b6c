//! Reads a file part by part, so that only the parts that may contain a graph are in memory.

use std::io::{Read, Seek, SeekFrom};

use super::EmbeddedError;

/// The largest part that is read. Graphs have a few hundred kilobytes.
const LARGEST: u64 = 32 << 20;
/// The number of parts of a file that are examined. A video of several hours has some thousands.
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

    /// Reads the bytes of a part. Fails if the file ends before the end of the part.
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

    /// Reads up to `len` bytes, fewer at the end of the file.
    pub fn up_to(&mut self, at: u64, len: u64) -> Result<Vec<u8>, EmbeddedError> {
        self.bytes(at, len.min(self.len.saturating_sub(at)))
    }

    /// Reads bytes into an array. Returns `None` at the end of the file.
    pub fn array<const N: usize>(&mut self, at: u64) -> Result<Option<[u8; N]>, EmbeddedError> {
        if at >= self.len {
            return Ok(None);
        }
        Ok(self.bytes(at, N as u64)?.try_into().ok())
    }
}

/// Returns the four bytes at this position as a number.
pub(super) fn number(bytes: &[u8], at: usize, big: bool) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    let number = if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
    usize::try_from(number).ok()
}

/// Splits the bytes at the first byte with this value.
pub(super) fn split(bytes: &[u8], value: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|&byte| byte == value)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

pub(super) fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Decodes Latin-1: each byte is the character with that number.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
