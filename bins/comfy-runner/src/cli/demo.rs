//! The options of `demo`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::listen::parse_listen;

/// `comfy-runner demo`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  comfy-runner demo\n  comfy-runner demo --once --output images")]
pub struct Demo {
    /// The loopback address and port of the API; port 0 takes a free one
    #[arg(long, env = "COMFY_RUNNER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Exit when the images are made
    #[arg(long, env = "COMFY_RUNNER_DEMO_ONCE")]
    pub once: bool,
    /// The folder for the images
    #[arg(long, short, env = "COMFY_RUNNER_OUTPUT", value_name = "DIR", default_value = "comfy-runner-demo")]
    pub output: PathBuf,
}
