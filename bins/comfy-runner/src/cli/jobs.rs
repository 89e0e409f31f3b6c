//! The commands and options of `jobs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::ServerAddress;

/// `comfy-runner jobs`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    comfy-runner jobs list --status running,pending\n  \
    comfy-runner jobs watch 0f8fad5b-d9cb-469f-a165-70867728950e\n  \
    comfy-runner jobs list --all --json | jq '.jobs[] | select(.status == \"error\")'")]
pub struct Jobs {
    #[command(flatten)]
    pub server: ServerAddress,
    /// The command.
    #[command(subcommand)]
    pub command: JobsCommand,
}

/// A command for jobs.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Print the jobs, newest first
    List(JobsList),
    /// Print the record of a job
    Show {
        /// The job's id, or its first characters
        prompt_id: String,
        /// Print the record as JSON
        #[arg(long)]
        json: bool,
    },
    /// Cancel pending or running jobs
    Cancel {
        /// The jobs' ids, or their first characters
        #[arg(required = true)]
        prompt_ids: Vec<String>,
        /// Print the responses as JSON, one per line
        #[arg(long)]
        json: bool,
    },
    /// Save the files that a job made
    Download {
        /// The job's id, or its first characters
        prompt_id: String,
        /// The folder for the files
        #[arg(long, short, env = "COMFY_RUNNER_OUTPUT", value_name = "DIR", default_value = ".")]
        output: PathBuf,
    },
    /// Delete the records of jobs that are over; their files stay without --files
    Delete {
        /// The jobs' ids, or their first characters
        #[arg(required = true)]
        prompt_ids: Vec<String>,
        /// Delete the jobs' output files too. The server must know ComfyUI's output folder
        #[arg(long)]
        files: bool,
    },
    /// Run a job again with the same values and seeds, and print the new id
    Retry {
        /// The job's id, or its first characters
        prompt_id: String,
        /// Follow the new job to its end
        #[arg(long)]
        watch: bool,
        /// Print the response as JSON
        #[arg(long)]
        json: bool,
    },
    /// Follow a job to its end, or print the events of all jobs until stopped
    Watch {
        /// The job's id, or its first characters; without it, all jobs
        prompt_id: Option<String>,
        /// Print messages as JSON, one per line
        #[arg(long)]
        json: bool,
    },
}

/// `comfy-runner jobs list`
#[derive(Debug, Args)]
pub struct JobsList {
    /// Only jobs with these statuses: pending, running, completed, error, cancelled (comma-separated)
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// Only jobs of this workflow
    #[arg(long, value_name = "ID")]
    pub workflow: Option<String>,
    /// Only jobs queued at this time or later: 2026-03-24T14:30:52Z, or a day in UTC
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only jobs queued before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// The maximum number of jobs
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// List every job
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
