//! The graphs that ComfyUI embeds in the images it saves: PNG (text chunks, and `comf` chunks of animations) and WebP
//! (Exif strings `prompt:...` and `workflow:...`).

/// The graphs embedded in a file, as the strings that it contains: JSON, if ComfyUI wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Embedded {
    /// The graph in API format.
    pub prompt: Option<String>,
    /// The graph in UI format.
    pub workflow: Option<String>,
}

/// Why no graph can be read from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddedError {
    /// The file is of another format.
    #[error("this is neither a PNG nor a WebP image; save the graph as JSON in the editor and use that file")]
    UnsupportedFormat,
    /// The file ends within a chunk.
    #[error(
        "the image is truncated: the chunk at byte {at} is longer than the rest of the file; get the file again"
    )]
    Truncated {
        /// The offset of the chunk.
        at: usize,
    },
    /// The file has no embedded graph.
    #[error(
        "the image contains no graph: ComfyUI was started without metadata, or a program that processed the image \
         removed it; save the graph as JSON in the editor and use that file"
    )]
    NoGraph,
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Reads the graphs embedded in a PNG or WebP file.
///
/// # Errors
/// See [`EmbeddedError`].
pub fn read_embedded(file: &[u8]) -> Result<Embedded, EmbeddedError> {
    let mut found = Embedded::default();
    if file.starts_with(PNG) {
        read_png(file, &mut found)?;
    } else if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
        read_webp(file, &mut found)?;
    } else {
        return Err(EmbeddedError::UnsupportedFormat);
    }
    if found == Embedded::default() { Err(EmbeddedError::NoGraph) } else { Ok(found) }
}

impl Embedded {
    /// Keeps the first string of each of the two names.
    fn keep(&mut self, name: &[u8], text: String) {
        let place = match name {
            b"prompt" => &mut self.prompt,
            b"workflow" => &mut self.workflow,
            _ => return,
        };
        place.get_or_insert(text);
    }
}

fn read_png(file: &[u8], found: &mut Embedded) -> Result<(), EmbeddedError> {
    let mut at = PNG.len();
    while at < file.len() {
        let cut = EmbeddedError::Truncated { at };
        let length = number(file, at, true).ok_or(cut)?;
        let kind = file.get(at + 4..at + 8).ok_or(cut)?;
        let end = (at + 8).checked_add(length).ok_or(cut)?;
        let data = file.get(at + 8..end).ok_or(cut)?;
        if let Some((name, rest)) = split(data, 0) {
            match kind {
                // The PNG standard says Latin-1: each byte is the code point of its character.
                b"tEXt" | b"comf" => found.keep(name, rest.iter().map(|&byte| char::from(byte)).collect()),
                // Compression flag, compression method, language, translated keyword, text. ComfyUI compresses none.
                b"iTXt" if rest.first() == Some(&0) => {
                    let text =
                        rest.get(2..).and_then(|rest| split(rest, 0)).and_then(|(_, rest)| split(rest, 0));
                    if let Some((_, text)) = text {
                        found.keep(name, String::from_utf8_lossy(text).into_owned());
                    }
                }
                _ => {}
            }
        }
        // The checksum takes four bytes.
        at = end.saturating_add(4);
    }
    Ok(())
}

fn read_webp(file: &[u8], found: &mut Embedded) -> Result<(), EmbeddedError> {
    let mut at = 12;
    while at < file.len() {
        let cut = EmbeddedError::Truncated { at };
        let length = number(file, at + 4, false).ok_or(cut)?;
        let end = (at + 8).checked_add(length).ok_or(cut)?;
        let data = file.get(at + 8..end).ok_or(cut)?;
        if file.get(at..at + 4) == Some(b"EXIF") {
            read_exif(data.strip_prefix(b"Exif\0\0").unwrap_or(data), found);
        }
        // Chunks begin at even offsets.
        at = end.saturating_add(length % 2);
    }
    Ok(())
}

/// Reads every string of the first directory. An entry that points outside the data is skipped.
fn read_exif(tiff: &[u8], found: &mut Embedded) {
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
            let text = text.strip_suffix(b"\0").unwrap_or(text);
            found.keep(name, String::from_utf8_lossy(text).into_owned());
        }
    }
}

/// Reads the four bytes at this offset as a number.
fn number(bytes: &[u8], at: usize, big: bool) -> Option<usize> {
    let four: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    let number = if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) };
    usize::try_from(number).ok()
}

/// Splits at the first byte of this value.
fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|&byte| byte == at)?;
    Some((&bytes[..place], &bytes[place + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = PNG.to_vec();
        for (kind, data) in chunks {
            file.extend((data.len() as u32).to_be_bytes());
            file.extend(*kind);
            file.extend(*data);
            file.extend([0; 4]);
        }
        file
    }

    #[test]
    fn a_png_gives_both_graphs_from_each_kind_of_chunk() {
        let file =
            png(&[(b"tEXt", b"prompt\0{\"1\":2}"), (b"iTXt", "workflow\0\0\0\0\0{\"a\":\"ä\"}".as_bytes())]);
        let found = read_embedded(&file).unwrap();
        assert_eq!(found.prompt.as_deref(), Some("{\"1\":2}"));
        assert_eq!(found.workflow.as_deref(), Some("{\"a\":\"ä\"}"));
        assert_eq!(read_embedded(&png(&[(b"comf", b"prompt\0{}")])).unwrap().prompt.as_deref(), Some("{}"));
    }

    #[test]
    fn a_webp_gives_the_graph_from_its_exif_texts() {
        let text = b"prompt:{\"a:b\":1}\0";
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x10\x01\x02\0".to_vec();
        tiff.extend((text.len() as u32).to_le_bytes());
        tiff.extend(26u32.to_le_bytes());
        tiff.extend([0; 4]);
        tiff.extend(text);
        let mut file = b"RIFF\0\0\0\0WEBPEXIF".to_vec();
        file.extend((tiff.len() as u32).to_le_bytes());
        file.extend(&tiff);
        file.extend(vec![0; tiff.len() % 2]);
        assert_eq!(read_embedded(&file).unwrap().prompt.as_deref(), Some("{\"a:b\":1}"));
    }

    #[test]
    fn other_files_cut_off_files_and_pictures_without_a_graph_are_told_apart() {
        assert_eq!(read_embedded(b"GIF89a"), Err(EmbeddedError::UnsupportedFormat));
        assert_eq!(read_embedded(&png(&[(b"tEXt", b"Author\0me")])), Err(EmbeddedError::NoGraph));
        let file = png(&[(b"tEXt", b"prompt\0{}")]);
        assert_eq!(read_embedded(&file[..20]), Err(EmbeddedError::Truncated { at: 8 }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_embedded(&bytes);
            let _ = read_embedded(&[PNG, &bytes].concat());
            let _ = read_embedded(&[b"RIFF\0\0\0\0WEBPEXIF\x40\0\0\0".as_slice(), &bytes].concat());
            read_exif(&[b"MM\0*\0\0\0\x08".as_slice(), &bytes].concat(), &mut Embedded::default());
        }
    }
}
