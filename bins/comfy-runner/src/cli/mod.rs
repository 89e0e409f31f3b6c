//! The command line: commands, arguments and options. One module per command; the other modules are options that several
//! commands share.

mod build;
mod comfyui;
mod config;
mod convert;
#[cfg(feature = "simulator")]
mod demo;
mod files;
mod graph_format;
mod init;
mod jobs;
mod listen;
mod node_schemas;
#[cfg(not(feature = "simulator"))]
mod not_in_this_build;
mod request;
mod run;
mod samples;
mod serve;
mod server_address;
#[cfg(feature = "simulator")]
mod simulate;
mod test;
mod validate;
mod workflow_folder;

use clap::{Parser, Subcommand, ValueEnum};

pub use build::Build;
pub use comfyui::{Access, ComfyUi};
pub use config::{Config, ConfigCommand};
pub use convert::Convert;
#[cfg(feature = "simulator")]
pub use demo::Demo;
pub use files::{Files, FilesCommand};
pub use graph_format::GraphFormat;
pub use init::Init;
pub use jobs::{Jobs, JobsCommand, JobsList};
pub use node_schemas::NodeSchemas;
#[cfg(not(feature = "simulator"))]
pub use not_in_this_build::NotInThisBuild;
pub use request::Request;
pub use run::Run;
pub use samples::Samples;
pub use serve::{ApiKeyTable, ComfyUiTable, ComfyUis, FileStorage, Limits, LostJobs, Queue, Records, Serve};
pub use server_address::ServerAddress;
#[cfg(feature = "simulator")]
pub use simulate::Simulate;
pub use test::Test;
pub use validate::Validate;
pub use workflow_folder::WorkflowFolder;

/// Turns a folder of ComfyUI workflows into a typed, tracked HTTP API.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    after_help = "Examples:\n  \
        comfy-runner demo\n  \
        comfy-runner serve --workflows ./workflows --comfyui http://127.0.0.1:8188\n  \
        comfy-runner run text-to-image --workflows ./workflows -p prompt=\"a red fox\" -o out"
)]
pub struct Cli {
    /// What is logged to stderr: a level, or tracing directives such as `info,comfy_runner_client=debug` [default: info
    /// for serve, warn for the rest]
    #[arg(long, global = true, env = "COMFY_RUNNER_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// The format of log lines
    #[arg(long, global = true, env = "COMFY_RUNNER_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A command.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it is read once")]
pub enum Command {
    /// Serve a folder of workflows as an HTTP API
    Serve(Box<Serve>),
    /// Try everything without a ComfyUI: a simulator and a server in one process, and a first image
    #[cfg(feature = "simulator")]
    Demo(Demo),
    /// Try everything without a ComfyUI (not in this build)
    #[cfg(not(feature = "simulator"))]
    Demo(NotInThisBuild),
    /// Run one workflow on a ComfyUI and save its files
    Run(Run),
    /// Print the graph of a request without running it
    Build(Build),
    /// Create a workflow folder from a saved graph, with a manifest whose inputs are detected
    Init(Init),
    /// Convert a saved graph between ComfyUI's UI format and API format
    Convert(Convert),
    /// Check every workflow of a folder
    Validate(Validate),
    /// Run the test cases of workflows, without a ComfyUI
    Test(Test),
    /// Manage the jobs of a running server
    Jobs(Jobs),
    /// Manage the file store of a running server
    Files(Files),
    /// Check a configuration file of `serve`
    Config(Config),
    /// Write the sample workflows into a folder
    Samples(Samples),
    /// Serve a ComfyUI stand-in that needs no models and no GPU
    #[cfg(feature = "simulator")]
    Simulate(Simulate),
    /// Serve a ComfyUI stand-in (not in this build)
    #[cfg(not(feature = "simulator"))]
    Simulate(NotInThisBuild),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
