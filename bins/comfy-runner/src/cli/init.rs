//! The options of `init`.

use std::path::PathBuf;

use clap::Args;

use super::{NodeSchemas, WorkflowFolder};

/// `comfy-runner init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner init portrait saved.json --workflows ./workflows --comfyui http://127.0.0.1:8188\n  \
    comfy-runner init landscape ComfyUI_00001_.png --workflows ./workflows --object-info nodes.json")]
pub struct Init {
    /// The workflow's id: the name of the folder to create
    pub id: String,
    /// A graph in either format, or an image, video or audio file with an embedded graph (PNG, WebP, JPEG, MP4, WebM,
    /// FLAC, MP3, Opus)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub workflows: WorkflowFolder,
    #[command(flatten)]
    pub schemas: NodeSchemas,
    /// Print JSON: the manifest's path, the number of its inputs, and the findings
    #[arg(long)]
    pub json: bool,
}
