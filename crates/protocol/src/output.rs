//! Files that nodes report, and what kind of media they are.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A file as ComfyUI names it: what `/view` takes to give its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutputFile {
    /// The name inside `subfolder`.
    pub filename: String,
    /// The folder below the directory that `kind` names; empty for the directory itself.
    #[serde(default)]
    pub subfolder: String,
    /// ComfyUI's directory: `output`, `input` or `temp`.
    #[serde(rename = "type", default = "output_directory")]
    pub kind: String,
}

fn output_directory() -> String {
    "output".to_owned()
}

/// What a file is, judged by its name's extension: ComfyUI's own nodes report videos under `images`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// A film, an animated GIF included.
    Video,
    /// A picture.
    Image,
    /// Sound without pictures.
    Audio,
    /// Anything else: meshes, latents, text.
    File,
}

impl Media {
    /// The media kind of a file of this name.
    pub fn of_filename(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        match extension.as_str() {
            "mp4" | "webm" | "mkv" | "mov" | "avi" | "m4v" | "mpg" | "mpeg" | "gif" => Self::Video,
            "png" | "jpg" | "jpeg" | "webp" | "bmp" | "tif" | "tiff" | "avif" | "apng" | "exr" => Self::Image,
            "wav" | "mp3" | "flac" | "ogg" | "opus" | "m4a" | "aac" => Self::Audio,
            _ => Self::File,
        }
    }

    /// The word that the contract uses as a key of `outputs`: `video`, `image`, `audio` or `file`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::File => "file",
        }
    }
}

impl OutputFile {
    /// What kind of media this is. See [`Media::of_filename`].
    pub fn media(&self) -> Media {
        Media::of_filename(&self.filename)
    }
}

/// What one node reported to the user interface: lists under keys such as `images`, `gifs`, `text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeOutput {
    /// The lists as ComfyUI sent them.
    pub items: IndexMap<String, Value>,
}

impl NodeOutput {
    /// The files among the items, whatever key they came under. What is no file (`text`, `animated`) is passed over.
    pub fn files(&self) -> impl Iterator<Item = OutputFile> {
        self.items.values().filter_map(Value::as_array).flatten().filter_map(|item| {
            item.get("filename")?;
            OutputFile::deserialize(item).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_video_reported_under_images_is_a_video() {
        let output: NodeOutput = serde_json::from_value(json!({
            "images": [{"filename": "final_00001_.MP4", "subfolder": "a/final", "type": "output"}],
            "animated": [true],
            "text": ["hello"],
            "gifs": [{"filename": "b.webm", "format": "video/webm"}, {"no": "file"}, 3],
        }))
        .unwrap();
        let files: Vec<_> = output.files().collect();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].media(), Media::Video);
        assert_eq!((files[1].subfolder.as_str(), files[1].kind.as_str()), ("", "output"));
    }

    #[test]
    fn an_unknown_extension_is_a_plain_file() {
        assert_eq!(Media::of_filename("mesh.glb"), Media::File);
        assert_eq!(Media::of_filename("no_extension"), Media::File);
        assert_eq!(Media::of_filename("a.flac"), Media::Audio);
        assert_eq!(Media::of_filename("anim.gif"), Media::Video);
    }
}
