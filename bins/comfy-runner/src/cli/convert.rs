//! The options of `convert`.

use std::path::PathBuf;

use clap::Args;

use super::{GraphFormat, NodeSchemas};

/// `comfy-runner convert`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner convert saved.json --to api --comfyui http://127.0.0.1:8188 > graph.json\n  \
    comfy-runner convert graph.json --to workflow --object-info nodes.json -o ui-graph.json\n  \
    comfy-runner convert ComfyUI_00001_.png --to api")]
pub struct Convert {
    /// A graph in either format, or an image, video or audio file with an embedded graph (PNG, WebP, JPEG, MP4, WebM,
    /// FLAC, MP3, Opus)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The format to convert to; a graph that is in this format already is only reformatted
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: GraphFormat,
    #[command(flatten)]
    pub schemas: NodeSchemas,
    /// The file to write; an existing one is replaced when the new one is complete [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print JSON: the graph (or the file that it is in) and the findings
    #[arg(long)]
    pub json: bool,
}
