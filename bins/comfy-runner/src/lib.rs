//! The comfy-runner command: its command line and its HTTP server. The crates of the workspace do the
//! work; this crate parses requests, calls them, and writes responses.

#![forbid(unsafe_code)]
// The documentation of the command line's options is what `--help` prints.
#![allow(missing_docs)]
// All output goes through `terminal`, which escapes control characters.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod assembly;
pub mod cli;
pub mod commands;
mod config_file;
mod file_limit;
mod logging;
pub mod server;
mod terminal;
mod workflow_folder;
