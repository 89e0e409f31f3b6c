//! The binary frames of ComfyUI's WebSocket.
//!
//! A frame begins with a big-endian u32, the kind of its content: 1 is a preview image, 3 a string about a node, 4 a
//! preview image with metadata.

use serde::{Deserialize, Serialize};

use crate::graph::NodeId;
use crate::json;

/// A binary frame.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BinaryFrame<'a> {
    /// A preview image of a running node.
    Preview(Preview<'a>),
    /// A kind that is unknown or not shown.
    Unknown(u32),
}

/// A preview image of a running node.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview<'a> {
    /// The format of `image`.
    pub format: ImageFormat,
    /// The encoded image.
    pub image: &'a [u8],
    /// The node that sent it; only for clients that announced `supports_preview_metadata`. Without it, the preview belongs
    /// to the running node.
    pub metadata: Option<PreviewMetadata>,
}

/// The encoding of a preview.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageFormat {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
}

/// The metadata in a frame of kind 4.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewMetadata {
    /// The node that sent the preview.
    pub node_id: NodeId,
    /// The prompt of the node.
    pub prompt_id: String,
    /// The node of the submitted graph that represents it.
    #[serde(default)]
    pub display_node_id: Option<NodeId>,
    /// The node that expanded into it.
    #[serde(default)]
    pub parent_node_id: Option<NodeId>,
    /// The node that executes it.
    #[serde(default)]
    pub real_node_id: Option<NodeId>,
    /// `image/jpeg` or `image/png`.
    pub image_type: String,
}

/// An error in a binary frame. Callers should skip the frame and keep the connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is truncated.
    #[error("the binary frame is truncated after {0} bytes")]
    Short(usize),
    /// The preview is neither JPEG nor PNG.
    #[error("the format of the preview is \"{0}\", but only JPEG and PNG are supported")]
    Format(String),
    /// The metadata is invalid.
    #[error("the metadata of the preview is invalid: {0}")]
    Metadata(serde_json::Error),
}

const PREVIEW: u32 = 1;
const PREVIEW_WITH_METADATA: u32 = 4;

impl<'a> BinaryFrame<'a> {
    /// Parses a binary frame without copying the image.
    pub fn parse(frame: &'a [u8]) -> Result<Self, FrameError> {
        let short = || FrameError::Short(frame.len());
        let (kind, rest) = split_u32(frame).ok_or_else(short)?;
        match kind {
            PREVIEW => {
                let (format, image) = split_u32(rest).ok_or_else(short)?;
                let format = ImageFormat::from_number(format)?;
                Ok(Self::Preview(Preview { format, image, metadata: None }))
            }
            PREVIEW_WITH_METADATA => {
                let (length, rest) = split_u32(rest).ok_or_else(short)?;
                let (metadata, image) = rest.split_at_checked(length as usize).ok_or_else(short)?;
                let metadata: PreviewMetadata = json::from_slice(metadata).map_err(FrameError::Metadata)?;
                let format = ImageFormat::from_media_type(&metadata.image_type)?;
                Ok(Self::Preview(Preview { format, image, metadata: Some(metadata) }))
            }
            other => Ok(Self::Unknown(other)),
        }
    }
}

impl Preview<'_> {
    /// Writes the frame that [`BinaryFrame::parse`] reads: kind 4 with metadata, else kind 1.
    pub fn to_frame(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut frame = Vec::with_capacity(self.image.len() + 256);
        match &self.metadata {
            None => {
                frame.extend(PREVIEW.to_be_bytes());
                frame.extend(self.format.number().to_be_bytes());
            }
            Some(metadata) => {
                let metadata = serde_json::to_vec(metadata)?;
                frame.extend(PREVIEW_WITH_METADATA.to_be_bytes());
                frame.extend((metadata.len() as u32).to_be_bytes());
                frame.extend(metadata);
            }
        }
        frame.extend(self.image);
        Ok(frame)
    }
}

impl ImageFormat {
    /// Returns the media type for a `Content-Type` header.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Jpeg => 1,
            Self::Png => 2,
        }
    }

    fn from_number(number: u32) -> Result<Self, FrameError> {
        match number {
            1 => Ok(Self::Jpeg),
            2 => Ok(Self::Png),
            other => Err(FrameError::Format(other.to_string())),
        }
    }

    fn from_media_type(media_type: &str) -> Result<Self, FrameError> {
        match media_type {
            "image/jpeg" => Ok(Self::Jpeg),
            "image/png" => Ok(Self::Png),
            other => Err(FrameError::Format(other.to_owned())),
        }
    }
}

fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_kinds_of_preview_survive_writing_and_reading() {
        let metadata = PreviewMetadata {
            node_id: "3".into(),
            prompt_id: "p".into(),
            display_node_id: Some("3".into()),
            parent_node_id: None,
            real_node_id: Some("3".into()),
            image_type: "image/png".into(),
        };
        for preview in [
            Preview { format: ImageFormat::Jpeg, image: b"\xff\xd8", metadata: None },
            Preview { format: ImageFormat::Png, image: b"\x89PNG", metadata: Some(metadata) },
        ] {
            let frame = preview.to_frame().unwrap();
            assert_eq!(BinaryFrame::parse(&frame).unwrap(), BinaryFrame::Preview(preview));
        }
    }

    #[test]
    fn a_frame_that_ends_too_soon_is_refused() {
        for frame in [&b""[..], b"\0\0\0", b"\0\0\0\x01\0\0", b"\0\0\0\x04\0\0\0\xff{}"] {
            assert!(matches!(BinaryFrame::parse(frame), Err(FrameError::Short(_))), "{frame:?}");
        }
        assert!(matches!(BinaryFrame::parse(b"\0\0\0\x09junk"), Ok(BinaryFrame::Unknown(9))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(frame: Vec<u8>) {
            let _ = BinaryFrame::parse(&frame);
        }
    }
}
