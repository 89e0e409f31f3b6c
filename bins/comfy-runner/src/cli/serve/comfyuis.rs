//! The ComfyUIs of a server.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Access;

/// The ComfyUIs of a server and how to reach them.
#[derive(Debug, Args)]
pub struct ComfyUis {
    /// A ComfyUI: its URL (http or https, with or without a path prefix), or its name and URL; may be repeated, or separated
    /// by commas
    #[arg(
        long = "comfyui",
        env = "COMFYUI_URL",
        value_name = "[NAME=]URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8188"
    )]
    pub urls: Vec<String>,
    #[command(flatten)]
    pub access: Access,
    /// The number of jobs that a ComfyUI gets at once; the others wait in a queue of this server
    #[arg(long = "comfyui-depth", env = "COMFYUI_DEPTH", value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub depth: u16,
    /// The number of models that a ComfyUI keeps in memory: jobs whose models are there are given to it first
    #[arg(long = "comfyui-models", env = "COMFYUI_MODELS", value_name = "N", default_value_t = 1)]
    pub models: u16,
    /// The ComfyUIs of the configuration file.
    #[arg(skip)]
    pub of_file: Vec<ComfyUiTable>,
}

/// A ComfyUI in the configuration file: `[[comfyui]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ComfyUiTable {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Headers for every request to it: `Name: value`.
    pub headers: Vec<String>,
    /// A PEM file of certificate authorities.
    pub ca: Option<PathBuf>,
    /// Its tags.
    pub tags: Vec<String>,
    /// The number of jobs that it gets at once.
    pub depth: Option<u16>,
    /// The number of models that it keeps in memory.
    pub models: Option<u16>,
}
