//! The commands and arguments of `config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `comfy-runner config`
#[derive(Debug, Args)]
pub struct Config {
    /// The command.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// A command for configuration files.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file, and the options of `serve` that result from it and the environment, without starting
    /// a server
    #[command(after_help = "Example:\n  comfy-runner config check comfy-runner.toml")]
    Check {
        /// The configuration file
        #[arg(value_name = "FILE", env = "COMFY_RUNNER_CONFIG", default_value = "comfy-runner.toml")]
        file: PathBuf,
    },
}
