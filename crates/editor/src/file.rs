//! A saved file: JSON of either format, or an image, video or sound with embedded graphs.

use std::io::{Read, Seek, SeekFrom};

use comfy_runner_protocol::Graph;

use crate::embedded::{Embedded, EmbeddedError, read_embedded};
use crate::graph::UiGraph;
use crate::saved::{Saved, SavedError};

/// The largest JSON file that is read. The largest official template has 1 MB.
const LARGEST_JSON: u64 = 32 << 20;

/// The graphs of a file: at least one. If there are both, they are from the same run, and nodes have the same ids.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SavedFile {
    /// The graph in API format.
    pub prompt: Option<Graph>,
    /// The graph in UI format.
    pub workflow: Option<Box<UiGraph>>,
    /// A warning that one of two embedded graphs could not be read.
    pub warning: Option<String>,
}

/// Why no graph can be read from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedFileError {
    /// The file is neither JSON nor of a format that ComfyUI embeds graphs in.
    #[error(
        "this is neither JSON nor a PNG, WebP, JPEG, MP4, WebM, FLAC, MP3 or Opus file; give a graph that ComfyUI saved"
    )]
    UnsupportedFormat,
    /// The file is not media, and too large to be a graph.
    #[error("the file is larger than 32 MiB, the limit for a graph as JSON")]
    TooLarge,
    /// The JSON is not a graph.
    #[error(transparent)]
    Json(SavedError),
    /// The embedded JSON is not a graph.
    #[error("the embedded `{key}` is not a graph: {error}")]
    EmbeddedGraph {
        /// `prompt` or `workflow`.
        key: &'static str,
        /// The error, which the message includes.
        error: SavedError,
    },
    /// The file has no embedded graph, or cannot be read.
    #[error(transparent)]
    Embedded(EmbeddedError),
}

/// Reads the graphs of a file. Of a media file, only the parts that may contain a graph are read.
///
/// # Errors
/// See [`SavedFileError`].
pub fn read_saved<R: Read + Seek>(file: &mut R) -> Result<SavedFile, SavedFileError> {
    match read_embedded(file) {
        Ok(embedded) => SavedFile::from_embedded(embedded),
        Err(EmbeddedError::UnsupportedFormat) => read_json(file),
        Err(error) => Err(SavedFileError::Embedded(error)),
    }
}

fn read_json<R: Read + Seek>(file: &mut R) -> Result<SavedFile, SavedFileError> {
    let failed = |error: std::io::Error| SavedFileError::Embedded(error.into());
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_JSON + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_JSON {
        return Err(SavedFileError::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|_| SavedFileError::UnsupportedFormat)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(Saved::from_json(text).map_err(SavedFileError::Json)?.into())
}

impl From<Saved> for SavedFile {
    fn from(saved: Saved) -> Self {
        match saved {
            Saved::Api(graph) => Self { prompt: Some(graph), ..Self::default() },
            Saved::Ui(graph) => Self { workflow: Some(graph), ..Self::default() },
        }
    }
}

impl SavedFile {
    /// Reads both graphs. ComfyUI writes NaN into the prompts of some files, which is not JSON: the other graph is then used.
    fn from_embedded(embedded: Embedded) -> Result<Self, SavedFileError> {
        let mut file = Self::default();
        let mut refused = None;
        for (key, text) in [("prompt", embedded.prompt), ("workflow", embedded.workflow)] {
            match text.map(|text| Saved::from_json(&text)) {
                Some(Ok(Saved::Api(graph))) => file.prompt = Some(graph),
                Some(Ok(Saved::Ui(graph))) => file.workflow = Some(graph),
                Some(Err(error)) => refused = refused.or(Some((key, error))),
                None => {}
            }
        }
        let Some((key, error)) = refused else { return Ok(file) };
        if file == Self::default() {
            return Err(SavedFileError::EmbeddedGraph { key, error });
        }
        file.warning =
            Some(format!("the embedded `{key}` cannot be read ({error}); the other graph is used"));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(file: &[u8]) -> Result<SavedFile, SavedFileError> {
        read_saved(&mut Cursor::new(file))
    }

    #[test]
    fn a_graph_that_is_no_json_gives_way_to_the_other() {
        let embedded = |prompt: &str, workflow: &str| {
            SavedFile::from_embedded(Embedded {
                prompt: Some(prompt.into()),
                workflow: Some(workflow.into()),
            })
        };
        let file =
            embedded(r#"{"1": {"class_type": "A", "inputs": {"x": NaN}}}"#, r#"{"nodes": []}"#).unwrap();
        assert!(file.prompt.is_none() && file.workflow.is_some());
        assert!(file.warning.unwrap().contains("`prompt` cannot be read"));
        assert!(matches!(embedded("NaN", "[]"), Err(SavedFileError::EmbeddedGraph { key: "prompt", .. })));
    }

    #[test]
    fn json_of_either_format_and_other_files_are_distinguished() {
        assert!(
            read(b"\xef\xbb\xbf{\"1\": {\"class_type\": \"A\", \"inputs\": {}}}").unwrap().prompt.is_some()
        );
        assert!(read(b"{\"nodes\": []}").unwrap().workflow.is_some());
        assert!(matches!(read(b"hello"), Err(SavedFileError::Json(_))));
        assert!(matches!(read(b"GIF89a\xff"), Err(SavedFileError::UnsupportedFormat)));
        assert!(matches!(read(b"\x89PNG\r\n\x1a\n"), Err(SavedFileError::Embedded(EmbeddedError::NoGraph))));
        assert!(matches!(read(&vec![b' '; LARGEST_JSON as usize + 1]), Err(SavedFileError::TooLarge)));
    }
}
