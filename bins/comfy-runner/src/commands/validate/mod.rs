//! `comfy-runner validate`

mod graph;
mod library;
mod server;

use std::process::ExitCode;

use comfy_runner_manifest::MANIFEST_FILE;

use crate::cli::Validate;

/// Validates a library, one workflow's folder, or a graph file.
pub fn validate(options: Validate) -> anyhow::Result<ExitCode> {
    if options.path.is_file() {
        graph::validate(&options)
    } else if options.path.join(MANIFEST_FILE).is_file() {
        library::validate_workflow(&options)
    } else {
        library::validate(&options, &options.path, |_| true)
    }
}
