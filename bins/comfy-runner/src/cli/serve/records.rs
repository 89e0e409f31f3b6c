//! The options for the records of jobs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Records of jobs.
#[derive(Debug, Args)]
pub struct Records {
    /// The folder for the records of jobs; `:memory:` keeps them until the process ends [default: comfy-runner in the
    /// platform's data folder]
    #[arg(long, env = "COMFY_RUNNER_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// What to do with jobs whose ComfyUI restarts or cannot be reached any more: let them fail, or submit them again with the
    /// same seeds, at most twice [default: retry if another ComfyUI can run them, else fail]
    #[arg(long, env = "COMFY_RUNNER_LOST_JOBS", value_enum)]
    pub lost_jobs: Option<LostJobs>,
    /// Delete the records of jobs this many days after their end; their files stay [default: never]
    #[arg(long, env = "COMFY_RUNNER_KEEP_DAYS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep_days: Option<u32>,
    /// Keep the records of only this many jobs that are over, the newest; all files stay [default: all]
    #[arg(long, env = "COMFY_RUNNER_KEEP_JOBS", value_name = "N")]
    pub keep_jobs: Option<u32>,
}

/// What to do with jobs that ComfyUI loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LostJobs {
    /// Submit them again, at most twice, with the same seeds.
    Retry,
    /// Let them fail.
    Fail,
}
