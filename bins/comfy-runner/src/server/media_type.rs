//! Media types of files.

/// The types that a browser may show inline, by extension: images, videos and audio without active content, and no
/// playlists (`m3u8`, `pls`, `asx`), which contain other addresses. Everything else is an attachment.
const INLINE: &[(&str, &str)] = &[
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/x-m4v"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("png", "image/png"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
];

/// The type of attachments.
const ATTACHMENT: &str = "application/octet-stream";

/// Returns the `Content-Type` of a file with this name.
pub fn media_type(name: &str) -> &'static str {
    inline_media_type(name).unwrap_or(ATTACHMENT)
}

/// Returns the `Content-Type` of a file that a browser may show inline, or `None` for an attachment.
pub fn inline_media_type(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    INLINE.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension)).map(|&(_, media_type)| media_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_videos_and_sounds_that_are_known_to_be_safe_are_shown_in_place() {
        assert_eq!(inline_media_type("a.mp4"), Some("video/mp4"));
        assert_eq!(inline_media_type("a.WEBM"), Some("video/webm"));
        assert_eq!(inline_media_type("a.png"), Some("image/png"));
        assert_eq!(inline_media_type("a.b.jpg"), Some("image/jpeg"));
        for name in [
            "a.html",
            "a.svg",
            "a.svgz",
            "a.js",
            "a.json",
            "a.txt",
            "a.xhtml",
            "a",
            "png",
            "a.png.html",
            "a.pdf",
            "a.m3u8",
            "a.m3u",
            "a.pls",
            "a.asx",
            "a.xspf",
            "a.wpl",
            "a.mpd",
            "a.smil",
            "a.wmf",
            "a.swf",
            "a.png.",
            "",
        ] {
            assert_eq!(
                (inline_media_type(name), media_type(name)),
                (None, "application/octet-stream"),
                "{name}"
            );
        }
    }
}
