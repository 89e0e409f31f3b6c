//! The options of `validate`.

use std::path::PathBuf;

use clap::Args;

/// `comfy-runner validate`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner validate ./workflows\n  \
    comfy-runner validate ./workflows --comfyui http://127.0.0.1:8188\n  \
    comfy-runner validate ./workflows/text-to-image\n  \
    comfy-runner validate graph.json --comfyui http://127.0.0.1:8188 --json\n  \
    curl -s 127.0.0.1:8188/object_info > nodes.json && comfy-runner validate ./workflows --object-info nodes.json")]
pub struct Validate {
    /// The folder of workflows, one workflow's folder, or a graph file (API or UI format, or an image that ComfyUI saved)
    #[arg(value_name = "PATH", env = "COMFY_RUNNER_WORKFLOWS", default_value = "workflows")]
    pub path: PathBuf,
    /// Print JSON: for a graph, what ComfyUI's POST /prompt would answer; for workflows, a list of findings
    #[arg(long)]
    pub json: bool,
    /// A file with the node schemas to check against: the response of ComfyUI's /object_info
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE", conflicts_with = "comfyui")]
    pub object_info: Option<PathBuf>,
    /// The ComfyUI whose node schemas, models and nodes to check against
    // No COMFYUI_URL here: checking offline must not depend on what is set for `serve`.
    #[arg(long, env = "COMFY_RUNNER_VALIDATE_COMFYUI", value_name = "URL")]
    pub comfyui: Option<String>,
}
