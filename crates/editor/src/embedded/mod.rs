//! The graphs that ComfyUI embeds in the files it saves: images (PNG, WebP, JPEG), videos (MP4, MOV, WebM, Matroska) and
//! sounds (FLAC, MP3, Ogg and Opus).

mod audio;
mod image;
mod parts;
mod video;

use std::io::{Read, Seek};

use serde_json::Value;

use parts::Parts;

/// The graphs embedded in a file, as strings. If ComfyUI wrote them, they are JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Embedded {
    /// The graph in API format.
    pub prompt: Option<String>,
    /// The graph in UI format.
    pub workflow: Option<String>,
}

/// Why no graph can be read from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The file is of another format.
    #[error(
        "this is not a PNG, WebP, JPEG, MP4, WebM, FLAC, MP3 or Opus file; save the graph as JSON in the editor and use that file"
    )]
    UnsupportedFormat,
    /// The file is truncated.
    #[error(
        "the file is truncated: the part at byte {at} is longer than the rest of the file; get the file again"
    )]
    Truncated {
        /// The offset of the part.
        at: u64,
    },
    /// A part that may contain a graph is too large.
    #[error(
        "the metadata at byte {at} is larger than 32 MiB; save the graph as JSON in the editor and use that file"
    )]
    TooLarge {
        /// The offset of the part.
        at: u64,
    },
    /// The file has too many parts.
    #[error(
        "no graph was found in the first 200000 parts of the file; save the graph as JSON in the editor and use that file"
    )]
    TooManyParts,
    /// The file has no embedded graph.
    #[error(
        "the file contains no graph: ComfyUI was started without metadata, or a program that processed the file removed it; \
         save the graph as JSON in the editor and use that file"
    )]
    NoGraph,
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Reads the graphs embedded in a file. Only the parts that may contain one are read, at most 32 MiB at once.
///
/// # Errors
/// See [`EmbeddedError`].
pub fn read_embedded<R: Read + Seek>(file: &mut R) -> Result<Embedded, EmbeddedError> {
    let mut parts = Parts::new(file)?;
    let head = parts.up_to(0, 12)?;
    let mut found = Embedded::default();
    let read = if head.starts_with(image::PNG) {
        image::read_png(&mut parts, &mut found)
    } else if head.starts_with(b"RIFF") && head.ends_with(b"WEBP") {
        image::read_webp(&mut parts, &mut found)
    } else if head.starts_with(b"\xff\xd8\xff") {
        image::read_jpeg(&mut parts, &mut found)
    } else if head.get(4..8) == Some(b"ftyp") {
        video::read_mp4(&mut parts, &mut found)
    } else if head.starts_with(b"\x1a\x45\xdf\xa3") {
        video::read_matroska(&mut parts, &mut found)
    } else if head.starts_with(b"fLaC") {
        audio::read_flac(&mut parts, &mut found)
    } else if head.starts_with(b"OggS") {
        audio::read_ogg(&mut parts, &mut found)
    } else if head.starts_with(b"ID3") {
        audio::read_id3(&mut parts, &mut found)
    } else {
        return Err(EmbeddedError::UnsupportedFormat);
    };
    // A file may be truncated after its graph.
    if found == Embedded::default() {
        read?;
        return Err(EmbeddedError::NoGraph);
    }
    Ok(found)
}

impl Embedded {
    /// Returns whether a string with this name may be a graph or contain one.
    fn is_wanted(name: &str) -> bool {
        ["prompt", "workflow", "comment"].iter().any(|wanted| name.eq_ignore_ascii_case(wanted))
    }

    /// Keeps the first string of each name. Custom nodes write both graphs into the comment, as one JSON object.
    fn keep(&mut self, name: &str, text: String) {
        if name.eq_ignore_ascii_case("prompt") {
            self.prompt.get_or_insert(text);
        } else if name.eq_ignore_ascii_case("workflow") {
            self.workflow.get_or_insert(text);
        } else if name.eq_ignore_ascii_case("comment") {
            let Ok(Value::Object(both)) = serde_json::from_str(&text) else { return };
            for (name, graph) in both.into_iter().filter(|(name, _)| name == "prompt" || name == "workflow") {
                match graph {
                    Value::String(graph) => self.keep(&name, graph),
                    graph => self.keep(&name, graph.to_string()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn read(file: &[u8]) -> Result<Embedded, EmbeddedError> {
        read_embedded(&mut Cursor::new(file))
    }

    fn png(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = image::PNG.to_vec();
        for (kind, data) in chunks {
            file.extend((data.len() as u32).to_be_bytes());
            file.extend(*kind);
            file.extend(*data);
            file.extend([0; 4]);
        }
        file
    }

    /// A TIFF directory with one string.
    fn exif(text: &[u8]) -> Vec<u8> {
        let mut tiff = b"II*\0\x08\0\0\0\x01\0\x10\x01\x02\0".to_vec();
        tiff.extend((text.len() as u32).to_le_bytes());
        tiff.extend(26u32.to_le_bytes());
        tiff.extend([0; 4]);
        tiff.extend(text);
        tiff
    }

    fn mp4_box(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        [&(data.len() as u32 + 8).to_be_bytes(), kind.as_slice(), data].concat()
    }

    #[test]
    fn a_png_gives_both_graphs_from_each_kind_of_chunk() {
        let file =
            png(&[(b"tEXt", b"prompt\0{\"1\":2}"), (b"iTXt", "workflow\0\0\0\0\0{\"a\":\"ä\"}".as_bytes())]);
        let found = read(&file).unwrap();
        assert_eq!(found.prompt.as_deref(), Some("{\"1\":2}"));
        assert_eq!(found.workflow.as_deref(), Some("{\"a\":\"ä\"}"));
        assert_eq!(read(&png(&[(b"comf", b"prompt\0{}")])).unwrap().prompt.as_deref(), Some("{}"));
    }

    #[test]
    fn a_webp_and_a_jpeg_give_the_graph_from_their_exif_strings() {
        let tiff = exif(b"prompt:{\"a:b\":1}\0");
        let mut file = b"RIFF\0\0\0\0WEBPEXIF".to_vec();
        file.extend((tiff.len() as u32).to_le_bytes());
        file.extend(&tiff);
        file.extend(vec![0; tiff.len() % 2]);
        assert_eq!(read(&file).unwrap().prompt.as_deref(), Some("{\"a:b\":1}"));

        let app1 = [b"Exif\0\0".as_slice(), &tiff].concat();
        let length = (app1.len() as u16 + 2).to_be_bytes();
        let file =
            [b"\xff\xd8\xff\xe0\0\x04ab\xff\xe1".as_slice(), &length, &app1, b"\xff\xda\0\x02"].concat();
        assert_eq!(read(&file).unwrap().prompt.as_deref(), Some("{\"a:b\":1}"));
    }

    #[test]
    fn a_comment_may_hold_both_graphs() {
        let comment = br#"{"prompt": "{\"1\":2}", "workflow": {"nodes": []}, "other": 1}"#;
        let data = mp4_box(b"data", &[&[0; 8], comment.as_slice()].concat());
        let items = mp4_box(b"ilst", &mp4_box(b"\xa9cmt", &data));
        let meta = mp4_box(b"meta", &[&[0; 4], mp4_box(b"hdlr", b"").as_slice(), &items].concat());
        let file = [mp4_box(b"ftyp", b"isom"), mp4_box(b"moov", &mp4_box(b"udta", &meta))].concat();
        let found = read(&file).unwrap();
        assert_eq!(found.prompt.as_deref(), Some("{\"1\":2}"));
        assert_eq!(found.workflow.as_deref(), Some("{\"nodes\":[]}"));
    }

    #[test]
    fn id3_strings_are_read_in_each_encoding_and_version() {
        let wide: Vec<u8> = "prompt\0ä".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let bom = [b"\x01\xff\xfe".as_slice(), &wide].concat();
        for (version, text) in [(4, "\x03prompt\0ä".as_bytes()), (3, b"\0prompt\0\xe4"), (3, &bom)] {
            let frame = [b"TXXX".as_slice(), &(text.len() as u32).to_be_bytes(), &[0; 2], text].concat();
            let file = [b"ID3", [version, 0, 0, 0, 0, 0, frame.len() as u8].as_slice(), &frame].concat();
            assert_eq!(read(&file).unwrap().prompt.as_deref(), Some("ä"), "{text:?}");
        }
    }

    #[test]
    fn other_files_truncated_files_and_files_without_a_graph_are_distinguished() {
        assert!(matches!(read(b"GIF89a"), Err(EmbeddedError::UnsupportedFormat)));
        assert!(matches!(read(&png(&[(b"tEXt", b"Author\0me")])), Err(EmbeddedError::NoGraph)));
        let file = png(&[(b"tEXt", b"prompt\0{}")]);
        assert!(matches!(read(&file[..20]), Err(EmbeddedError::Truncated { at: 8 })));
        let video = [mp4_box(b"ftyp", b"isom"), mp4_box(b"mdat", &[0; 90])].concat();
        assert!(matches!(read(&video), Err(EmbeddedError::NoGraph)));
        assert!(matches!(read(&video[..50]), Err(EmbeddedError::Truncated { at: 12 })));
    }

    #[test]
    fn a_graph_before_the_place_where_a_file_is_truncated_is_found() {
        let mut file = png(&[(b"tEXt", b"prompt\0{}"), (b"IDAT", &[0; 90])]);
        file.truncate(file.len() - 50);
        assert_eq!(read(&file).unwrap().prompt.as_deref(), Some("{}"));
    }

    const HEADS: [&[u8]; 12] = [
        b"",
        image::PNG,
        b"RIFF\0\0\0\0WEBPEXIF\x40\0\0\0",
        b"\xff\xd8\xff\xe1\0\x40Exif\0\0MM\0*\0\0\0\x08",
        b"\0\0\0\x08ftyp\0\0\0\0moov\0\0\0\0udta\0\0\0\0meta\0\0\0\0",
        b"\0\0\0\x08ftyp\0\0\0\0ilst",
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\xff\x12\x54\xc3\x67",
        b"fLaC\x84\0\0\x40",
        b"OggS\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x40\xffOpusTags",
        b"ID3\x04\0\0\0\0\0\x40TXXX",
        b"ID3\x03\0\xc0\0\0\0\x40",
        b"\0\0\0\x08ftyp\0\0\0\0keys",
    ];

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), head in 0..HEADS.len()) {
            let _ = read(&[HEADS[head], &bytes].concat());
        }
    }
}
