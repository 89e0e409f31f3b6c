//! comfy-runner: parses the command line and runs the command.

use std::process::ExitCode;

use clap::Parser as _;
use comfy_runner::cli::Cli;

fn main() -> ExitCode {
    comfy_runner::commands::main(Cli::parse())
}
