//! Wakes subscribers when jobs change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::Event;
use tokio::sync::watch;

use super::serialized::Serialized;
use super::snapshot::JobSnapshot;
use crate::job::Job;

/// Wakes subscribers when jobs change. It holds no messages: a subscriber that wakes looks at the job.
#[derive(Default)]
pub(crate) struct ChangeFeed {
    /// The position of the last change.
    changed: watch::Sender<u64>,
    /// By prompt id, the jobs that have subscribers.
    jobs: HashMap<Box<str>, JobSenders>,
}

struct JobSenders {
    changed: watch::Sender<()>,
    end: watch::Sender<Option<Arc<End>>>,
}

/// What a subscriber of one job listens to. It receives the end even if the job is forgotten meanwhile.
pub(crate) struct JobReceivers {
    /// The job changed.
    pub changed: watch::Receiver<()>,
    /// The job is over.
    pub end: watch::Receiver<Option<Arc<End>>>,
}

/// The last messages about a job.
#[derive(Debug)]
pub(crate) struct End {
    pub snapshot: Arc<JobSnapshot>,
    pub events: Vec<Serialized<Event>>,
}

impl ChangeFeed {
    /// Subscribes to all jobs: the receiver holds the position of the last change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Subscribes to one job.
    pub fn subscribe_to(&mut self, prompt_id: &str) -> JobReceivers {
        let senders = self
            .jobs
            .entry(prompt_id.into())
            .or_insert_with(|| JobSenders { changed: watch::Sender::new(()), end: watch::Sender::new(None) });
        JobReceivers { changed: senders.changed.subscribe(), end: senders.end.subscribe() }
    }

    /// Wakes the subscribers of a job that changed.
    pub fn publish(&mut self, job: &mut Job, position: u64) {
        let prompt_id = job.progress.prompt_id();
        if self.jobs.get(prompt_id).is_some_and(|senders| senders.end.is_closed()) {
            self.jobs.remove(prompt_id);
        }
        if let Some(senders) = self.jobs.get(prompt_id) {
            if job.is_over() {
                senders.end.send_replace(Some(Arc::new(End::new(job, Duration::ZERO))));
            }
            senders.changed.send_replace(());
        }
        self.changed.send_replace(position);
    }

    /// Ends the subscriptions to a job that is no longer in memory.
    pub fn remove(&mut self, prompt_id: &str) {
        self.jobs.remove(prompt_id);
    }

    /// Returns whether a job has subscribers, as far as is known.
    #[cfg(test)]
    pub fn has_subscribers(&self, prompt_id: &str) -> bool {
        self.jobs.contains_key(prompt_id)
    }
}

impl End {
    /// Collects the last messages about a job that is over.
    pub fn new(job: &mut Job, now: Duration) -> Self {
        Self { snapshot: Arc::clone(job.snapshot(now)), events: job.events.clone() }
    }
}
