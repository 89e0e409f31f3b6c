//! MP4 and MOV (`moov/udta/meta` with custom keys, or the comment of iTunes), Matroska and WebM (`Tags`).

use std::io::{Read, Seek};

use super::parts::{Parts, number, utf8};
use super::{Embedded, EmbeddedError};

/// The depth to which nested boxes and elements are read. Graphs are less deep.
const DEEPEST: usize = 6;

/// Reads the metadata of an MP4 or MOV file.
pub fn read_mp4<R: Read + Seek>(file: &mut Parts<'_, R>, found: &mut Embedded) -> Result<(), EmbeddedError> {
    let end = file.len();
    boxes(file, (0, end), 0, &mut Vec::new(), found)
}

fn boxes<R: Read + Seek>(
    file: &mut Parts<'_, R>,
    (mut at, end): (u64, u64),
    depth: usize,
    keys: &mut Vec<String>,
    found: &mut Embedded,
) -> Result<(), EmbeddedError> {
    while at + 8 <= end {
        let Some(head) = file.array::<8>(at)? else { break };
        let mut start = at + 8;
        let size = match number(&head, 0, true).unwrap_or(0) as u64 {
            // The box extends to the end of the file.
            0 => end - at,
            1 => {
                let Some(size) = file.array::<8>(start)? else { break };
                start += 8;
                u64::from_be_bytes(size)
            }
            size => size,
        };
        let next = at.saturating_add(size);
        if size < start - at || next > end {
            return Err(EmbeddedError::Truncated { at });
        }
        match &head[4..] {
            b"moov" | b"udta" if depth < DEEPEST => boxes(file, (start, next), depth + 1, keys, found)?,
            b"meta" if depth < DEEPEST => {
                // In MP4, a version precedes the boxes; in MOV, it does not.
                let first = file.array::<8>(start)?.unwrap_or_default();
                let start = if &first[4..] == b"hdlr" { start } else { start + 4 };
                boxes(file, (start, next), depth + 1, keys, found)?;
            }
            b"keys" => *keys = key_names(&file.bytes(start, next - start)?),
            b"ilst" => items(file, (start, next), keys, found)?,
            _ => {}
        }
        at = next;
    }
    Ok(())
}

/// Reads the names that items refer to by number, from 1.
fn key_names(data: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 8;
    while let Some(size) = number(data, at, true).filter(|size| *size >= 8) {
        let Some(name) = at.checked_add(size).and_then(|end| data.get(at + 8..end)) else { break };
        names.push(utf8(name));
        at += size;
    }
    names
}

fn items<R: Read + Seek>(
    file: &mut Parts<'_, R>,
    (mut at, end): (u64, u64),
    keys: &[String],
    found: &mut Embedded,
) -> Result<(), EmbeddedError> {
    while at + 24 <= end {
        let Some(head) = file.array::<8>(at)? else { break };
        let size = number(&head, 0, true).unwrap_or(0) as u64;
        if size < 8 || at.saturating_add(size) > end {
            return Err(EmbeddedError::Truncated { at });
        }
        let key = number(&head, 4, true).and_then(|number| keys.get(number.checked_sub(1)?));
        let name = if &head[4..] == b"\xa9cmt" { Some("comment") } else { key.map(String::as_str) };
        if let Some(name) = name.filter(|name| Embedded::is_wanted(name)) {
            // A box `data` has type and language before the string.
            let data = file.bytes(at + 8, size - 8)?;
            let length = number(&data, 0, true).unwrap_or(0);
            if let Some(text) = data.get(16..length) {
                found.keep(name, utf8(text));
            }
        }
        at += size;
    }
    Ok(())
}

const SEGMENT: u64 = 0x1853_8067;
const TAGS: u64 = 0x1254_c367;
const TAG: u64 = 0x7373;
const SIMPLE_TAG: u64 = 0x67c8;
const TAG_NAME: u64 = 0x45a3;
const TAG_STRING: u64 = 0x4487;

/// Reads the tags of a Matroska or WebM file.
pub fn read_matroska<R: Read + Seek>(
    file: &mut Parts<'_, R>,
    found: &mut Embedded,
) -> Result<(), EmbeddedError> {
    let end = file.len();
    elements(file, (0, end), 0, &mut String::new(), found)
}

fn elements<R: Read + Seek>(
    file: &mut Parts<'_, R>,
    (mut at, end): (u64, u64),
    depth: usize,
    name: &mut String,
    found: &mut Embedded,
) -> Result<(), EmbeddedError> {
    while at < end {
        let head = file.up_to(at, 12.min(end - at))?;
        let Some((id, id_len)) = variable(&head, true) else { break };
        let Some((size, size_len)) = variable(&head[id_len..], false) else { break };
        let start = at + (id_len + size_len) as u64;
        let unknown = size == (1 << (7 * size_len)) - 1;
        // In a live recording, only the next element shows where this one ends.
        let next = if unknown { end } else { start.saturating_add(size) };
        if next > end {
            return Err(EmbeddedError::Truncated { at });
        }
        match id {
            SEGMENT | TAGS | TAG | SIMPLE_TAG if depth < DEEPEST => {
                elements(file, (start, next), depth + 1, name, found)?;
            }
            TAG_NAME => *name = utf8(&file.up_to(start, (next - start).min(64))?),
            TAG_STRING if Embedded::is_wanted(name) => {
                let text = utf8(&file.bytes(start, next - start)?);
                found.keep(name, text.trim_end_matches('\0').to_owned());
            }
            _ => {}
        }
        at = next;
    }
    Ok(())
}

/// Reads a number of variable length, and returns it with its length in bytes. An id includes its length marker.
fn variable(bytes: &[u8], id: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = first.leading_zeros() as usize + 1;
    if len > 8 || bytes.len() < len {
        return None;
    }
    let first = if id { u64::from(first) } else { u64::from(first) & ((1 << (8 - len)) - 1) };
    Some((bytes[1..len].iter().fold(first, |number, byte| number << 8 | u64::from(*byte)), len))
}
