//! The options of `run`.

use std::path::PathBuf;

use clap::Args;
use comfy_runner_jobs::PartnerKey;

use super::{ComfyUi, Request};

/// `comfy-runner run`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner run text-to-image --workflows ./workflows -p prompt=\"a red fox\" -p steps=30\n  \
    comfy-runner run image-to-image --workflows ./workflows --image photo.png -p strength=0.6 -o out\n  \
    comfy-runner run text-to-image --workflows ./workflows --params @params.json")]
pub struct Run {
    #[command(flatten)]
    pub request: Request,
    #[command(flatten)]
    pub comfyui: ComfyUi,
    /// The key for partner (API) nodes, sent to ComfyUI with the job. Others on this machine
    /// can see a command line: the environment is the better place
    #[arg(long, env = "COMFY_RUNNER_COMFY_API_KEY", value_name = "KEY", value_parser = PartnerKey::new, hide_env_values = true)]
    pub comfy_api_key: Option<PartnerKey>,
    /// A file for an image, video, audio or mask input: the input's id and the file, or only the file for the first
    /// such input
    #[arg(long = "image", value_name = "[ID=]FILE")]
    pub images: Vec<String>,
    /// The folder for the files that the workflow makes
    #[arg(long, short, env = "COMFY_RUNNER_OUTPUT", value_name = "DIR", default_value = ".")]
    pub output: PathBuf,
}
