//! The options for one ComfyUI.

use std::path::PathBuf;

use clap::Args;

/// A ComfyUI and how to reach it.
#[derive(Debug, Args)]
pub struct ComfyUi {
    /// The URL of ComfyUI: http or https, with or without a path prefix
    #[arg(
        long = "comfyui",
        env = "COMFYUI_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8188"
    )]
    pub url: String,
    #[command(flatten)]
    pub access: Access,
}

/// What else is needed to reach a ComfyUI.
#[derive(Debug, Args)]
pub struct Access {
    /// A header for every request to ComfyUI, such as `Authorization: Bearer ...`; may be repeated (in the
    /// environment: one per line)
    #[arg(
        long = "comfyui-header",
        env = "COMFYUI_HEADERS",
        value_name = "NAME: VALUE",
        value_delimiter = '\n',
        hide_env_values = true
    )]
    pub headers: Vec<String>,
    /// A PEM file of certificate authorities to trust for https, in addition to the usual ones
    #[arg(long = "comfyui-ca", env = "COMFYUI_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}
