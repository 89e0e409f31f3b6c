//! The arguments of the commands that build a graph: a workflow and the values for its inputs.

use clap::Args;

use super::WorkflowFolder;

/// A workflow and the values for its inputs.
#[derive(Debug, Args)]
pub struct Request {
    /// The workflow's id: the name of its folder
    pub id: String,
    #[command(flatten)]
    pub workflows: WorkflowFolder,
    /// A value for an input. Valid JSON (30, true, {"w": 832}) is read as JSON, anything else as a string
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub param: Vec<String>,
    /// The values as a JSON object, or @ and the name of a file with that object; -p takes precedence
    #[arg(long, value_name = "JSON|@FILE", env = "COMFY_RUNNER_PARAMS")]
    pub params: Option<String>,
    /// A preset of the workflow, whose values apply where no others are given
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
}
