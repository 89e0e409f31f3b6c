//! `comfy-runner validate`

mod graph;
mod library;
mod server;

use std::process::ExitCode;

use crate::cli::Validate;

/// Validates a library, one workflow's folder, or a graph file.
pub fn validate(options: Validate) -> anyhow::Result<ExitCode> {
    if options.path.is_file() { graph::validate(&options) } else { library::validate(&options) }
}
