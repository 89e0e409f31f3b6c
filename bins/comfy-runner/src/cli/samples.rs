//! The arguments of `samples`.

use std::path::PathBuf;

use clap::Args;

/// `comfy-runner samples`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner samples ./workflows\n  \
    comfy-runner serve --workflows ./workflows")]
pub struct Samples {
    /// The folder of workflows. The command fails when a file exists already, and does not change it
    #[arg(value_name = "DIR", env = "COMFY_RUNNER_WORKFLOWS", default_value = "workflows")]
    pub dir: PathBuf,
}
