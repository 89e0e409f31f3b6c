//! The comfy-runner command: its command line and its HTTP server. What they do is done by the crates of the workspace;
//! here requests are parsed, a crate is called, and the answer is written.

#![forbid(unsafe_code)]
// The documentation of the command line's options is what `--help` prints.
#![allow(missing_docs)]
// What is printed goes through `terminal`, which escapes what would steer a terminal.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod assembly;
pub mod cli;
pub mod commands;
mod file_limit;
mod logging;
pub mod server;
mod terminal;
