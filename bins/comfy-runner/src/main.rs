//! comfy-runner: parses the command line and runs the command.

use std::process::ExitCode;

fn main() -> ExitCode {
    comfy_runner::commands::main(std::env::args_os())
}
