//! FLAC and Ogg (Vorbis comments), MP3 (ID3 version 2). This is our own code, because the crate that
//! reads all of them also decodes properties and images, and depends on an unmaintained crate.

use std::io::{Read, Seek};

use super::parts::{Parts, latin1, number, split, utf8};
use super::{Embedded, EmbeddedError};

/// The limit of pages to read. The comments of a stream are in its second packet; a graph takes a few pages of 64 kB.
const LARGEST_PACKET: usize = 32 << 20;

pub fn read_flac<R: Read + Seek>(file: &mut Parts<'_, R>, found: &mut Embedded) -> Result<(), EmbeddedError> {
    let mut at = 4;
    while let Some(head) = file.array::<4>(at)? {
        let len = u64::from(u32::from_be_bytes([0, head[1], head[2], head[3]]));
        if head[0] & 0x7f == 4 {
            vorbis_comments(&file.bytes(at + 4, len)?, found);
        }
        // The last block of metadata is marked.
        if head[0] & 0x80 != 0 {
            break;
        }
        at += 4 + len;
    }
    Ok(())
}

pub fn read_ogg<R: Read + Seek>(file: &mut Parts<'_, R>, found: &mut Embedded) -> Result<(), EmbeddedError> {
    let mut at = 0;
    let (mut packet, mut packets) = (Vec::new(), 0);
    while let Some(head) = file.array::<27>(at)? {
        if &head[..4] != b"OggS" {
            break;
        }
        let lacing = file.bytes(at + 27, u64::from(head[26]))?;
        let mut start = at + 27 + lacing.len() as u64;
        for len in lacing {
            packet.extend(file.bytes(start, u64::from(len))?);
            start += u64::from(len);
            if packet.len() > LARGEST_PACKET {
                return Err(EmbeddedError::TooLarge { at });
            }
            // A packet ends with a piece that is not full.
            if len < 255 {
                packets += 1;
                let comments =
                    packet.strip_prefix(b"OpusTags").or_else(|| packet.strip_prefix(b"\x03vorbis"));
                if let Some(comments) = comments {
                    vorbis_comments(comments, found);
                }
                if packets == 2 {
                    return Ok(());
                }
                packet.clear();
            }
        }
        at = start;
    }
    Ok(())
}

/// Reads Vorbis comments: the name of the program, then `name=value` strings, each after its length.
fn vorbis_comments(data: &[u8], found: &mut Embedded) {
    let Some(vendor) = number(data, 0, false) else { return };
    let Some(mut at) = vendor.checked_add(8) else { return };
    let count = at.checked_sub(4).and_then(|at| number(data, at, false)).unwrap_or(0);
    for _ in 0..count {
        let Some(len) = number(data, at, false) else { return };
        let Some(end) = at.checked_add(4).and_then(|start| start.checked_add(len)) else { return };
        let Some(comment) = data.get(at + 4..end) else { return };
        if let Some((name, text)) = split(comment, b'=') {
            found.keep(&latin1(name), utf8(text));
        }
        at = end;
    }
}

pub fn read_id3<R: Read + Seek>(file: &mut Parts<'_, R>, found: &mut Embedded) -> Result<(), EmbeddedError> {
    let Some(head) = file.array::<10>(0)? else { return Ok(()) };
    let (version, flags) = (head[3], head[5]);
    if !(3..=4).contains(&version) {
        return Ok(());
    }
    let mut tag = file.bytes(10, seven_bits(&head[6..]) as u64)?;
    if flags & 0x80 != 0 {
        tag = without_stuffing(&tag);
    }
    let mut at = if flags & 0x40 != 0 { extended_header(&tag, version) } else { 0 };
    while let Some(frame) = tag.get(at..).filter(|rest| rest.len() > 10 && rest[0] != 0) {
        let len = if version == 4 { seven_bits(&frame[4..8]) } else { number(frame, 4, true).unwrap_or(0) };
        let Some(data) = len.checked_add(10).and_then(|end| frame.get(10..end)) else { break };
        match &frame[..4] {
            b"TXXX" => {
                if let Some((name, text)) = described(data) {
                    found.keep(&name, text);
                }
            }
            // Encoding, three letters for the language, description, string.
            b"COMM" if data.len() > 4 => {
                if let Some((_, text)) = described(&[&data[..1], &data[4..]].concat()) {
                    found.keep("comment", text);
                }
            }
            _ => {}
        }
        at += 10 + len;
    }
    Ok(())
}

fn extended_header(tag: &[u8], version: u8) -> usize {
    match version {
        4 => tag.get(..4).map_or(0, seven_bits),
        _ => number(tag, 0, true).unwrap_or(0).saturating_add(4),
    }
}

/// Reads a number that has seven bits in each byte.
fn seven_bits(bytes: &[u8]) -> usize {
    bytes.iter().take(4).fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f))
}

/// Removes the zeros after 0xff. They prevent players from interpreting a tag as sound.
fn without_stuffing(bytes: &[u8]) -> Vec<u8> {
    let after_ff = |at: usize| at > 0 && bytes[at - 1] == 0xff && bytes[at] == 0;
    bytes.iter().enumerate().filter(|(at, _)| !after_ff(*at)).map(|(_, byte)| *byte).collect()
}

/// Splits a frame into its description and its string, by its encoding.
fn described(data: &[u8]) -> Option<(String, String)> {
    let (encoding, data) = data.split_first()?;
    match encoding {
        0 | 3 => {
            let (name, text) = split(data, 0)?;
            let read = if *encoding == 0 { latin1 } else { utf8 };
            Some((read(name), read(text.strip_suffix(b"\0").unwrap_or(text))))
        }
        1 | 2 => {
            let end = data.chunks_exact(2).position(|pair| pair == [0, 0])? * 2;
            Some((utf16(&data[..end], *encoding == 2), utf16(&data[end + 2..], *encoding == 2)))
        }
        _ => None,
    }
}

fn utf16(bytes: &[u8], big: bool) -> String {
    let (big, bytes) = match bytes {
        [0xfe, 0xff, rest @ ..] => (true, rest),
        [0xff, 0xfe, rest @ ..] => (false, rest),
        rest => (big, rest),
    };
    let unit = |pair: &[u8]| {
        if big { u16::from_be_bytes([pair[0], pair[1]]) } else { u16::from_le_bytes([pair[0], pair[1]]) }
    };
    let units: Vec<u16> = bytes.chunks_exact(2).map(unit).collect();
    String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
}
