//! The options for the source of node schemas.

use std::path::PathBuf;

use clap::Args;

use super::Access;

/// The source of node schemas.
#[derive(Debug, Args)]
pub struct NodeSchemas {
    /// A file with the response of ComfyUI's /object_info; takes precedence over --comfyui
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE")]
    pub object_info: Option<PathBuf>,
    /// The ComfyUI whose node schemas to use
    #[arg(long, env = "COMFYUI_URL", value_name = "URL")]
    pub comfyui: Option<String>,
    #[command(flatten)]
    pub access: Access,
}
