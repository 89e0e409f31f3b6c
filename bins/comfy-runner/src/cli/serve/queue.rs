//! The options for waiting jobs.

use clap::Args;
use comfy_runner_scheduler::Priority;

/// Waiting jobs.
#[derive(Debug, Args)]
pub struct Queue {
    /// The number of jobs that may wait for a ComfyUI; further ones get 429
    #[arg(long, env = "COMFY_RUNNER_MAX_QUEUE", value_name = "N", default_value_t = 10_000)]
    pub max_queue: u32,
    /// The number of jobs of one API key that may wait; further ones get 429 [default: that of --max-queue]
    #[arg(long, env = "COMFY_RUNNER_MAX_QUEUE_PER_KEY", value_name = "N")]
    pub max_queue_per_key: Option<u32>,
    /// Accept jobs while no ComfyUI can be reached
    #[arg(long, env = "COMFY_RUNNER_QUEUE_WHILE_DOWN")]
    pub queue_while_down: bool,
    /// The highest priority that callers may give to jobs, from -10 to 10. A key in the configuration file can have a limit of
    /// its own
    #[arg(
        long,
        env = "COMFY_RUNNER_MAX_PRIORITY",
        value_name = "N",
        default_value = "10",
        allow_negative_numbers = true
    )]
    pub max_priority: Priority,
    /// Seconds after which the jobs of a ComfyUI that cannot be reached are given to another one
    #[arg(long, env = "COMFY_RUNNER_FAILOVER_AFTER", value_name = "SECONDS", default_value_t = 10)]
    pub failover_after: u16,
}
