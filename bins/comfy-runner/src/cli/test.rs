//! The options of `test`.

use std::path::PathBuf;

use clap::Args;

/// `comfy-runner test`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner test ./workflows\n  \
    comfy-runner test ./workflows --update\n  \
    comfy-runner test ./workflows --junit report.xml\n\n\
    A case is a file WORKFLOW/tests/NAME.yaml with `params` and what the graph must be; see docs/testing.md.")]
pub struct Test {
    /// The folder of workflows, or the folder of one
    #[arg(value_name = "DIR", env = "COMFY_RUNNER_WORKFLOWS", default_value = "workflows")]
    pub dir: PathBuf,
    /// Rewrite golden graphs that differ
    #[arg(long)]
    pub update: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the results as a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// A file with node schemas, for workflows in UI format: the response of ComfyUI's /object_info
    #[arg(long, env = "COMFY_RUNNER_OBJECT_INFO", value_name = "FILE")]
    pub object_info: Option<PathBuf>,
}
