//! The files and texts that a job made.

use comfy_runner_api::Timestamp;
use serde::{Deserialize, Serialize};

/// The kind of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2OutputType"))]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// An image, also an animated one.
    Image,
    /// A video.
    Video,
    /// Sound without video.
    Audio,
    /// Text.
    Text,
    /// Anything else, such as a 3D model.
    File,
    /// A latent.
    Latent,
}

impl OutputType {
    /// Returns the kind of a file with this name and media type. The contract has no kind for 3D models: they are files.
    pub fn new(name: &str, content_type: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        match (content_type.split('/').next().unwrap_or_default(), extension.as_str()) {
            (_, "latent") => Self::Latent,
            ("image", _) | (_, "exr") => Self::Image,
            ("video", _) => Self::Video,
            ("audio", _) => Self::Audio,
            ("text", _) | (_, "txt" | "md" | "json" | "csv") => Self::Text,
            _ => Self::File,
        }
    }
}

/// A file or a text that a job made. It is an asset: the routes of assets take its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "V2Output"))]
pub struct Output {
    /// The node that made it.
    pub node_id: String,
    /// The name of the file without its folder.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: OutputType,
    /// Its media type.
    pub content_type: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its id as an asset.
    pub id: String,
    /// `blake3:` and the hash of its bytes in hexadecimal digits; None while the bytes are still being read.
    pub hash: Option<String>,
    /// The absolute URL of its bytes.
    pub url: String,
    /// Until when the URL can be used.
    pub url_expires_at: Timestamp,
    /// The job that made it.
    pub job_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_follows_from_the_media_type_and_latents_from_the_name() {
        for (name, content_type, kind) in [
            ("a.png", "image/png", OutputType::Image),
            ("a.webp", "image/webp", OutputType::Image),
            ("a.gif", "image/gif", OutputType::Image),
            ("a.webm", "video/webm", OutputType::Video),
            ("a.mp4", "video/mp4", OutputType::Video),
            ("a.flac", "audio/flac", OutputType::Audio),
            ("a.txt", "text/plain", OutputType::Text),
            ("a.JSON", "application/octet-stream", OutputType::Text),
            ("a.latent", "application/octet-stream", OutputType::Latent),
            ("a.glb", "application/octet-stream", OutputType::File),
            ("a", "application/octet-stream", OutputType::File),
        ] {
            assert_eq!(OutputType::new(name, content_type), kind, "{name}");
        }
    }
}
