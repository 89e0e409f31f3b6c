//! How jobs are followed and how many are kept.

use std::time::Duration;

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
}

/// What happens to a job that ComfyUI accepted and no longer knows, because it restarted and dropped its queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LostJobs {
    /// The job ends with an error that says so.
    #[default]
    Fail,
    /// The job ends with an error that says so, and its graph is submitted once more under a new id.
    Retry,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(5),
            keep_ended: 1000,
            lost_jobs: LostJobs::Fail,
            unreadable_tries: 5,
            unreadable_for: Duration::from_secs(60),
            keep_for: None,
            keep_recorded: None,
            partner_key: None,
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

    /// Sets [`JobsConfig::keep_for`] and [`JobsConfig::keep_recorded`].
    pub fn with_retention(mut self, keep_for: Option<Duration>, keep_recorded: Option<u32>) -> Self {
        (self.keep_for, self.keep_recorded) = (keep_for, keep_recorded);
        self
    }
}
