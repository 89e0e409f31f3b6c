//! The kind of an uploaded file: an image, a video, audio or a 3D model.
//!
//! Media are recognised by their first bytes alone. Most formats of 3D models have no such bytes: there the extension
//! counts, and the first bytes must be possible for it.

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileKind {
    pub media_type: &'static str,
    pub extension: &'static str,
}

impl FileKind {
    /// Recognises a file by its first bytes and its name. The error says what else it is; it is `None` for an empty file.
    pub fn recognise(name: &str, head: &[u8]) -> Result<Self, Option<&'static str>> {
        if head.is_empty() {
            return Err(None);
        }
        let found = infer::get(head);
        if let Some(media) = found.filter(|found| is_media(found.matcher_type())) {
            return Ok(Self { media_type: media.mime_type(), extension: media.extension() });
        }
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let model = MODELS
            .iter()
            .find(|model| (model.is_possible)(head, extension.as_deref() == Some(model.extension)));
        match (model, found) {
            (Some(model), _) => Ok(Self { media_type: model.media_type, extension: model.extension }),
            (None, Some(found)) => Err(Some(found.mime_type())),
            (None, None) => Err(Some("of no kind that is known")),
        }
    }

    /// The folder below ComfyUI's input folder where ComfyUI looks for files of this kind; empty for that folder itself.
    pub fn folder(self) -> &'static str {
        if self.is_3d() { "3d" } else { "" }
    }

    /// Whether this is a 3D model.
    pub fn is_3d(self) -> bool {
        MODELS.iter().any(|model| model.extension == self.extension)
    }

    /// Whether a file of this kind may have this extension, in lower case.
    pub fn takes(self, extension: &str) -> bool {
        if self.is_3d() {
            return extension == self.extension;
        }
        mime_guess::from_ext(extension).iter().any(|guess| {
            self.media_type.split_once('/').is_some_and(|(top, _)| guess.type_() == top)
                && guess.subtype() != "svg"
        })
    }
}

fn is_media(kind: infer::MatcherType) -> bool {
    matches!(kind, infer::MatcherType::Image | infer::MatcherType::Video | infer::MatcherType::Audio)
}

/// A format of 3D models.
struct ModelFormat {
    extension: &'static str,
    media_type: &'static str,
    /// Whether a file may begin like this; the second argument says that it has the extension.
    is_possible: fn(&[u8], bool) -> bool,
}

/// The formats that ComfyUI's `Load3D` takes.
const MODELS: [ModelFormat; 10] = [
    format("glb", "model/gltf-binary", |head, _| head.starts_with(b"glTF")),
    format("ply", "model/ply", |head, _| head.starts_with(b"ply\n") || head.starts_with(b"ply\r")),
    format("fbx", "model/fbx", |head, named| {
        head.starts_with(b"Kaydara FBX Binary") || named && head.starts_with(b"; FBX")
    }),
    format("gltf", "model/gltf+json", |head, named| {
        named && head.trim_ascii_start().starts_with(b"{") && is_text(head)
    }),
    format("obj", "model/obj", |head, named| named && is_obj(head)),
    format("stl", "model/stl", |head, named| {
        named && (head.starts_with(b"solid") && is_text(head) || head.len() >= STL_HEADER && is_unknown(head))
    }),
    format("usdz", "model/vnd.usdz+zip", |head, named| named && head.starts_with(b"PK\x03\x04")),
    // Packed Gaussian splats.
    format("spz", "model/spz", |head, named| named && head.starts_with(b"\x1f\x8b")),
    format("splat", "model/splat", |head, named| named && is_unknown(head)),
    format("ksplat", "model/ksplat", |head, named| named && is_unknown(head)),
];

const fn format(
    extension: &'static str,
    media_type: &'static str,
    is_possible: fn(&[u8], bool) -> bool,
) -> ModelFormat {
    ModelFormat { extension, media_type, is_possible }
}

/// The bytes before the triangles of a binary STL: a comment and the number of triangles.
const STL_HEADER: usize = 84;

/// Whether these bytes are neither text nor a file of another kind.
fn is_unknown(head: &[u8]) -> bool {
    !is_text(head) && infer::get(head).is_none()
}

/// Whether these bytes may begin text. A character may be cut off at their end.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

/// Whether every whole line begins with a keyword of the OBJ format.
fn is_obj(head: &[u8]) -> bool {
    const KEYWORDS: [&[u8]; 14] =
        [b"v", b"vt", b"vn", b"vp", b"f", b"l", b"p", b"o", b"g", b"s", b"usemtl", b"mtllib", b"#", b""];
    let mut lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    if lines.len() > 1 {
        lines.pop();
    }
    let keyword = |line: &[u8]| {
        let word = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default().to_vec();
        KEYWORDS.contains(&word.as_slice()) || word.starts_with(b"#")
    };
    is_text(head)
        && lines.iter().all(|line| keyword(line))
        && lines.iter().any(|line| !line.trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media_type(name: &str, head: &[u8]) -> Option<&'static str> {
        FileKind::recognise(name, head).ok().map(|kind| kind.media_type)
    }

    #[test]
    fn media_are_recognised_by_their_first_bytes() {
        let png = FileKind { media_type: "image/png", extension: "png" };
        assert_eq!(FileKind::recognise("x.obj", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Ok(png));
        assert_eq!(media_type("", b"\xff\xd8\xff\xe0.."), Some("image/jpeg"));
        assert_eq!(media_type("", b"\0\0\0\x18ftypisom\0\0\0\0isommp41"), Some("video/mp4"));
        assert_eq!(media_type("", b"ID3\x03\0\0\0"), Some("audio/mpeg"));
        assert_eq!(FileKind::recognise("", b""), Err(None));
        for text in
            [&b"<svg xmlns='x'></svg>"[..], b"<!DOCTYPE html><html>", b"#!/bin/sh\n", b"%PDF-1.7", b"hello"]
        {
            assert!(matches!(FileKind::recognise("a.png", text), Err(Some(_))), "{text:?}");
        }
    }

    #[test]
    fn models_are_recognised_by_their_first_bytes_or_by_an_extension_that_fits_them() {
        let mut stl = b"exported by a program".to_vec();
        stl.resize(STL_HEADER, 0);
        for (name, head, kind) in [
            ("fox.bin", &b"glTF\x02\0\0\0"[..], "model/gltf-binary"),
            ("fox.ply", b"ply\nformat binary_little_endian 1.0\n", "model/ply"),
            ("fox", b"Kaydara FBX Binary  \0\x1a\0", "model/fbx"),
            ("fox.gltf", b" {\"asset\": {\"version\": \"2.0\"}}", "model/gltf+json"),
            ("FOX.OBJ", b"# a fox\r\nmtllib fox.mtl\nv 0 0 1.5\nvn 0 1", "model/obj"),
            ("fox.stl", b"solid fox\nfacet normal 0 0 1\n", "model/stl"),
            ("fox.stl", &stl, "model/stl"),
            ("fox.spz", b"\x1f\x8b\x08\0", "model/spz"),
            ("fox.splat", b"\0\0\x80\x3f\0\0\0\xc0", "model/splat"),
        ] {
            let kind_of = FileKind::recognise(name, head);
            assert_eq!(kind_of.map(|kind| (kind.media_type, kind.is_3d())), Ok((kind, true)), "{name}");
        }
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(64, 0);
        for (name, head) in [
            ("page.obj", &b"<script>alert(1)</script>"[..]),
            ("page.gltf", b"<html>"),
            ("page.stl", b"<svg onload='alert(1)'>"),
            ("page.splat", b"<html><script>"),
            ("program.splat", &program),
            ("fox.txt", b"v 0 0 1\nf 1 2 3\n"),
            ("archive.zip", b"PK\x03\x04\x14\0\0\0"),
        ] {
            assert!(FileKind::recognise(name, head).is_err(), "{name}");
        }
    }
}
