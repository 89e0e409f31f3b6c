//! The options for the file store.

use clap::{Args, ValueHint};
use comfy_runner_files::Location;

/// The file store.
#[derive(Debug, Args)]
pub struct FileStorage {
    /// Store uploaded files here, and send them to ComfyUI when a job needs them: a folder, or s3://BUCKET/PREFIX, gs:// or
    /// az://, with credentials from the environment [default: uploads go straight to ComfyUI; other files are stored in
    /// `files` in the state folder]
    #[arg(long, env = "COMFY_RUNNER_FILES", value_name = "DIR|URL", value_hint = ValueHint::AnyPath)]
    pub files: Option<Location>,
    /// Copy the outputs of jobs into the file store, so that they can be downloaded when ComfyUI no longer has them
    #[arg(long, env = "COMFY_RUNNER_KEEP_OUTPUTS")]
    pub keep_outputs: bool,
    /// Redirect callers who download a stored file to a URL of its storage that works for an hour; S3 and Google Cloud
    /// Storage have such URLs
    #[arg(long, env = "COMFY_RUNNER_REDIRECT_DOWNLOADS")]
    pub redirect_downloads: bool,
}
