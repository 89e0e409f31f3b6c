//! The commands and options of `files`.

use clap::{Args, Subcommand};

use super::ServerAddress;

/// `comfy-runner files`
#[derive(Debug, Args)]
pub struct Files {
    #[command(flatten)]
    pub server: ServerAddress,
    /// The command.
    #[command(subcommand)]
    pub command: FilesCommand,
}

/// A command for the file store.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum FilesCommand {
    /// Delete what no upload and no job refers to any more. The server does this by itself every six hours
    #[command(after_help = "Example:\n  comfy-runner files gc --dry-run")]
    Gc {
        /// Delete nothing, and print what would be deleted
        #[arg(long)]
        dry_run: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
