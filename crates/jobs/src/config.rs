//! How jobs are followed and how many are kept.

use std::sync::Arc;
use std::time::Duration;

use crate::eligible::GraphValidator;
use crate::partner_key::PartnerKey;

/// How jobs are followed and how many are kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobsConfig {
    /// An open job without a message for this long is compared with ComfyUI's queue and history.
    pub silence: Duration,
    /// The number of ended jobs that are kept in memory; the store has the older ones.
    pub keep_ended: usize,
    /// What happens to a job that ComfyUI accepted and no longer knows.
    pub lost_jobs: LostJobs,
    /// A job ends as an error after this number of unreadable answers about it...
    pub unreadable_tries: u32,
    /// ...if the first of them came at least this long ago.
    pub unreadable_for: Duration,
    /// The store deletes jobs that ended this long ago; `None` keeps them.
    pub keep_for: Option<Duration>,
    /// The number of ended jobs that the store keeps, the newest; `None` keeps all.
    pub keep_recorded: Option<u32>,
    /// The key for partner nodes of jobs that bring none of their own.
    pub partner_key: Option<PartnerKey>,
    /// Jobs of a ComfyUI that could not be reached for this long are given to another one.
    pub failover_after: Duration,
    /// The number of jobs that may wait for a ComfyUI; further ones are refused.
    pub max_waiting: usize,
    /// The number of jobs of one caller that may wait for a ComfyUI.
    pub max_waiting_per_caller: usize,
    /// Whether jobs are accepted while no ComfyUI can be reached.
    pub queue_while_down: bool,
    /// What predicts ComfyUI's answer to a graph. Without it, every ComfyUI counts as able to run every graph, and jobs wait
    /// unchecked.
    pub validator: Option<Arc<dyn GraphValidator>>,
}

/// What happens to a job that ComfyUI accepted and no longer knows, because it restarted and dropped its queue, or because it
/// cannot be reached any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostJobs {
    /// The job ends with an error that says so. If another ComfyUI can run it, it is submitted again as with `Retry`.
    #[default]
    RetryElsewhere,
    /// The job ends with an error that says so.
    Fail,
    /// The job ends with an error that says so, and its graph is submitted again under a new id, at most twice.
    Retry,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(5),
            keep_ended: 250,
            lost_jobs: LostJobs::default(),
            unreadable_tries: 5,
            unreadable_for: Duration::from_secs(60),
            keep_for: None,
            keep_recorded: None,
            partner_key: None,
            failover_after: Duration::from_secs(10),
            max_waiting: 10_000,
            max_waiting_per_caller: 10_000,
            queue_while_down: false,
            validator: None,
        }
    }
}

impl JobsConfig {
    /// Sets [`JobsConfig::silence`].
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Sets [`JobsConfig::keep_ended`].
    pub fn with_keep_ended(mut self, jobs: usize) -> Self {
        self.keep_ended = jobs;
        self
    }

    /// Sets [`JobsConfig::lost_jobs`].
    pub fn with_lost_jobs(mut self, lost_jobs: LostJobs) -> Self {
        self.lost_jobs = lost_jobs;
        self
    }

    /// Sets [`JobsConfig::partner_key`].
    pub fn with_partner_key(mut self, key: Option<PartnerKey>) -> Self {
        self.partner_key = key;
        self
    }

    /// Sets [`JobsConfig::failover_after`].
    pub fn with_failover_after(mut self, after: Duration) -> Self {
        self.failover_after = after;
        self
    }

    /// Sets [`JobsConfig::max_waiting`] and [`JobsConfig::max_waiting_per_caller`].
    pub fn with_max_waiting(mut self, jobs: usize, per_caller: usize) -> Self {
        (self.max_waiting, self.max_waiting_per_caller) = (jobs, per_caller);
        self
    }

    /// Sets [`JobsConfig::queue_while_down`].
    pub fn with_queue_while_down(mut self, queue: bool) -> Self {
        self.queue_while_down = queue;
        self
    }

    /// Sets [`JobsConfig::validator`].
    pub fn with_validator(mut self, validator: Arc<dyn GraphValidator>) -> Self {
        self.validator = Some(validator);
        self
    }

    /// Sets [`JobsConfig::keep_for`] and [`JobsConfig::keep_recorded`].
    pub fn with_retention(mut self, keep_for: Option<Duration>, keep_recorded: Option<u32>) -> Self {
        (self.keep_for, self.keep_recorded) = (keep_for, keep_recorded);
        self
    }
}
