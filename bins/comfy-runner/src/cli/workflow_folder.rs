//! The option for the folder of workflows.

use std::path::PathBuf;

use clap::Args;

/// The folder of workflows.
#[derive(Debug, Args)]
pub struct WorkflowFolder {
    /// The folder of workflows: a folder each, with a manifest.yaml in it. The folder of one workflow works too
    #[arg(
        long = "workflows",
        env = "COMFY_RUNNER_WORKFLOWS",
        value_name = "DIR",
        default_value = "workflows"
    )]
    pub dir: PathBuf,
}
