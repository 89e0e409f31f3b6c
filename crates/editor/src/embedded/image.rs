//! PNG (text chunks, and `comf` chunks of animations), WebP and JPEG (Exif strings `prompt:...` and `workflow:...`).

use std::io::{Read, Seek};

use super::parts::{Parts, latin1, number, split, utf8};
use super::{Embedded, EmbeddedError};

pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

pub fn read_png<R: Read + Seek>(file: &mut Parts<'_, R>, found: &mut Embedded) -> Result<(), EmbeddedError> {
    let mut at = PNG.len() as u64;
    while let Some(head) = file.array::<8>(at)? {
        let (len, kind) = (number(&head, 0, true).unwrap_or(0) as u64, &head[4..]);
        if at + 8 + len > file.len() {
            return Err(EmbeddedError::Truncated { at });
        }
        if matches!(kind, b"tEXt" | b"iTXt" | b"comf") {
            text_chunk(kind, &file.bytes(at + 8, len)?, found);
        }
        // The checksum takes four bytes.
        at += len + 12;
    }
    Ok(())
}

fn text_chunk(kind: &[u8], data: &[u8], found: &mut Embedded) {
    let Some((name, rest)) = split(data, 0) else { return };
    if kind != b"iTXt" {
        // Latin-1 by the PNG standard.
        found.keep(&latin1(name), latin1(rest));
    } else if rest.first() == Some(&0) {
        // Compression flag and method, language, translated name, string. ComfyUI does not compress them.
        let text = rest.get(2..).and_then(|rest| split(rest, 0)).and_then(|(_, rest)| split(rest, 0));
        if let Some((_, text)) = text {
            found.keep(&latin1(name), utf8(text));
        }
    }
}

pub fn read_webp<R: Read + Seek>(file: &mut Parts<'_, R>, found: &mut Embedded) -> Result<(), EmbeddedError> {
    let mut at = 12;
    while let Some(head) = file.array::<8>(at)? {
        let len = number(&head, 4, false).unwrap_or(0) as u64;
        if at + 8 + len > file.len() {
            return Err(EmbeddedError::Truncated { at });
        }
        if &head[..4] == b"EXIF" {
            read_exif(&file.bytes(at + 8, len)?, found);
        }
        // Chunks begin at even positions.
        at += 8 + len + len % 2;
    }
    Ok(())
}

pub fn read_jpeg<R: Read + Seek>(file: &mut Parts<'_, R>, found: &mut Embedded) -> Result<(), EmbeddedError> {
    let mut at = 2;
    while let Some([0xff, marker, high, low]) = file.array::<4>(at)? {
        // The image itself begins, after which there is no metadata.
        if marker == 0xda {
            break;
        }
        let len = u64::from(u16::from_be_bytes([high, low])).max(2);
        if marker == 0xe1 {
            read_exif(&file.bytes(at + 4, len - 2)?, found);
        }
        at += 2 + len;
    }
    Ok(())
}

/// Reads the strings of the first directory. A string outside of the data is skipped.
pub fn read_exif(data: &[u8], found: &mut Embedded) {
    let tiff = data.strip_prefix(b"Exif\0\0").unwrap_or(data);
    let big = tiff.starts_with(b"MM");
    let Some(directory) = number(tiff, 4, big) else { return };
    let Some(count) = directory.checked_add(2).and_then(|end| tiff.get(directory..end)) else { return };
    let count = if big { [count[0], count[1]] } else { [count[1], count[0]] };
    for entry in 0..usize::from(u16::from_be_bytes(count)) {
        let Some(at) = directory.checked_add(2 + 12 * entry) else { return };
        let (Some(length), Some(offset)) = (number(tiff, at + 4, big), number(tiff, at + 8, big)) else {
            return;
        };
        let text = offset.checked_add(length).and_then(|end| tiff.get(offset..end));
        if let Some((name, text)) = text.and_then(|text| split(text, b':')) {
            found.keep(&latin1(name), utf8(text.strip_suffix(b"\0").unwrap_or(text)));
        }
    }
}
