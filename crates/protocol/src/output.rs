//! Files that nodes report, and their kind of media.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A file as ComfyUI names it, and as `/view` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

/// The kind of a file, by the extension of its name: ComfyUI's own nodes report videos under `images`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Media {
    /// A video, or an animated GIF.
    Video,
    /// An image.
    Image,
    /// Sound without video.
    Audio,
    /// A 3D model: a mesh, a point cloud or splats.
    #[serde(rename = "3d")]
    ThreeD,
    /// Text.
    Text,
    /// Anything else, such as latents.
    File,
}

impl Media {
    /// Returns the kind of a file with this name.
    pub fn from_filename(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        match extension.as_str() {
            "mp4" | "webm" | "mkv" | "mov" | "avi" | "m4v" | "mpg" | "mpeg" | "gif" => Self::Video,
            "png" | "jpg" | "jpeg" | "webp" | "bmp" | "tif" | "tiff" | "avif" | "apng" | "exr" => Self::Image,
            "wav" | "mp3" | "flac" | "ogg" | "opus" | "m4a" | "aac" => Self::Audio,
            "glb" | "gltf" | "obj" | "fbx" | "stl" | "usdz" | "ply" | "splat" | "spz" | "ksplat" => {
                Self::ThreeD
            }
            "txt" | "md" | "json" | "csv" => Self::Text,
            _ => Self::File,
        }
    }

    /// Returns the kind as a key of `outputs`: `video`, `image`, `audio`, `3d`, `text` or `file`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Image => "image",
            Self::Audio => "audio",
            Self::ThreeD => "3d",
            Self::Text => "text",
            Self::File => "file",
        }
    }
}

impl OutputFile {
    /// Returns the kind of media. See [`Media::from_filename`].
    pub fn media(&self) -> Media {
        Media::from_filename(&self.filename)
    }

    /// Reads a file from an item of a node's list.
    fn from_item(key: &str, item: &Value) -> Option<Self> {
        if let Some(path) = item.as_str() {
            let (subfolder, filename) = path.rsplit_once('/').unwrap_or(("", path));
            let named = key == "result" && Media::from_filename(filename) == Media::ThreeD;
            return named.then(|| Self {
                filename: filename.to_owned(),
                subfolder: subfolder.to_owned(),
                kind: output_directory(),
            });
        }
        item.get("filename")?;
        Self::deserialize(item).ok()
    }
}

/// The output that one node reported to the user interface: lists under keys such as `images`, `gifs`, `text`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeOutput {
    /// The lists as ComfyUI sent them.
    pub items: IndexMap<String, Value>,
}

impl NodeOutput {
    /// Returns the files among the items of all lists. Other items (`text`, `animated`) are skipped.
    ///
    /// `Preview3D` and nodes like it report the name of a file in the output directory as a string under `result`.
    pub fn files(&self) -> impl Iterator<Item = OutputFile> {
        let lists = self.items.iter().filter_map(|(key, list)| Some((key, list.as_array()?)));
        lists.flat_map(|(key, list)| list.iter().filter_map(move |item| OutputFile::from_item(key, item)))
    }

    /// Returns the strings under `text`, as nodes such as `PreviewAny` report what they show. Some report one string
    /// without a list.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let reported = self.items.get("text");
        let items = reported.map_or(&[][..], |text| match text {
            Value::Array(list) => list.as_slice(),
            other => std::slice::from_ref(other),
        });
        items.iter().filter_map(Value::as_str)
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
    fn texts_are_the_strings_under_text() {
        let texts = |output: Value| -> Vec<String> {
            let output: NodeOutput = serde_json::from_value(output).unwrap();
            output.texts().map(str::to_owned).collect()
        };
        assert_eq!(texts(json!({"text": ["a", 3, "b"], "images": ["c"]})), ["a", "b"]);
        assert_eq!(texts(json!({"text": "alone"})), ["alone"]);
        assert!(texts(json!({"images": []})).is_empty());
    }

    #[test]
    fn a_3d_model_is_reported_as_a_file_or_by_its_name() {
        let output: NodeOutput = serde_json::from_value(json!({
            "3d": [{"filename": "mesh_00001_.glb", "subfolder": "a", "type": "output"}],
            "result": ["b/c/mesh.obj", {"fov": 35}, null, "temp/background.png"],
            "text": ["not a file.glb"],
        }))
        .unwrap();
        let files: Vec<_> = output.files().collect();
        assert_eq!(files.len(), 2);
        assert!(files.iter().all(|file| file.media() == Media::ThreeD && file.kind == "output"));
        assert_eq!((files[1].subfolder.as_str(), files[1].filename.as_str()), ("b/c", "mesh.obj"));
    }

    #[test]
    fn kinds_of_media_are_written_as_they_are_called() {
        for name in ["a.mp4", "a.png", "a.flac", "a.glb", "a.txt", "a.latent"] {
            let media = Media::from_filename(name);
            assert_eq!(serde_json::to_value(media).unwrap(), media.as_str());
        }
    }

    #[test]
    fn an_unknown_extension_is_a_plain_file() {
        assert_eq!(Media::from_filename("a.latent"), Media::File);
        assert_eq!(Media::from_filename("no_extension"), Media::File);
        assert_eq!(Media::from_filename("a.flac"), Media::Audio);
        assert_eq!(Media::from_filename("anim.gif"), Media::Video);
    }
}
