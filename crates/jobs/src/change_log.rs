//! The order in which jobs changed, and the latest events of all jobs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use comfy_runner_api::{Event, EventKind};

use crate::job::Job;
use crate::watch::{Serialized, job_event, prompt_id_of, unreported};

/// The number of events that are kept for those who watch all jobs. A slower subscriber misses some, and still gets the
/// present status of every job.
const EVENTS_KEPT: usize = 1024;

/// The order in which jobs changed, and the latest events of all jobs.
pub(crate) struct ChangeLog {
    /// The prompt id of each job by the position of its last change. A job is in it once, however often it changed.
    changes: BTreeMap<u64, Arc<str>>,
    last_position: u64,
    events: VecDeque<Serialized<Event>>,
    next_event: u64,
    /// The prompt id of the last job with each client id: the repetition of a lost job has the same one.
    clients: HashMap<Box<str>, Box<str>>,
}

impl ChangeLog {
    /// Creates an empty log whose events are numbered from `next_event`.
    pub fn new(next_event: u64) -> Self {
        Self {
            changes: BTreeMap::new(),
            last_position: 0,
            events: VecDeque::new(),
            next_event,
            clients: HashMap::new(),
        }
    }

    /// Registers a job by its client id.
    pub fn register(&mut self, job: &Job) {
        self.clients.insert(job.client_id.clone(), job.progress.prompt_id().into());
    }

    /// Removes a job.
    pub fn remove(&mut self, job: &Job) {
        self.changes.remove(&job.change_position);
        let last = self.clients.get(&job.client_id);
        if last.is_some_and(|prompt_id| **prompt_id == *job.progress.prompt_id()) {
            self.clients.remove(&job.client_id);
        }
    }

    /// Records that a job changed, with the events of the change, and returns the change's position. A job that ComfyUI
    /// has not accepted yet is left out.
    pub fn record(&mut self, job: &mut Job, now: i64) -> Option<u64> {
        let status = job.progress.status();
        let kinds: Vec<_> = unreported(job.last_event, job.is_accepted(), status).collect();
        if kinds.is_empty() && job.last_event.is_none() {
            return None;
        }
        for kind in kinds {
            let event = self.report(kind, job, now);
            if self.events.len() == EVENTS_KEPT {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
        self.last_position += 1;
        self.changes.remove(&job.change_position);
        self.changes.insert(self.last_position, job.progress.prompt_id().into());
        job.change_position = self.last_position;
        Some(self.last_position)
    }

    /// Gives a job that is over an event that says so, if it has none: one from before this process has no events yet.
    pub fn report_end(&mut self, job: &mut Job, now: i64) {
        let reported = job.events.last().is_some_and(|event| event.kind.is_end());
        if job.is_over() && !reported {
            self.report(job.progress.status().into(), job, now);
        }
    }

    fn report(&mut self, kind: EventKind, job: &mut Job, now: i64) -> Serialized<Event> {
        let event = Serialized::new(job_event(self.next_event, kind, job, now));
        self.next_event += 1;
        job.last_event = Some(kind);
        job.events.push(event.clone());
        event
    }

    /// Returns the prompt id of the job with this client id. It does not say whether there is such a job.
    pub fn prompt_id_of(&self, client_id: &str) -> String {
        self.clients.get(client_id).map_or_else(|| prompt_id_of(client_id), |prompt_id| prompt_id.to_string())
    }

    /// Returns the position of the last change.
    pub fn last_position(&self) -> u64 {
        self.last_position
    }

    /// Returns the next job that changed after one position and up to another, and the position of its change.
    pub fn next_change(&self, after: u64, up_to: u64) -> Option<(u64, Arc<str>)> {
        let next = after.saturating_add(1);
        // A range whose end lies before its start would panic.
        let (position, prompt_id) = self.changes.range(next..=up_to.max(next)).next()?;
        (*position <= up_to).then(|| (*position, Arc::clone(prompt_id)))
    }

    /// Numbers later events from this id on, unless the numbers are higher already.
    pub fn number_events_from(&mut self, first: u64) {
        self.next_event = self.next_event.max(first);
    }

    /// Returns the id of the last event.
    pub fn last_event(&self) -> u64 {
        self.next_event.saturating_sub(1)
    }

    /// Returns the events after this one that are still kept.
    pub fn events_after(&self, id: u64) -> impl Iterator<Item = &Serialized<Event>> {
        let first = self.events.partition_point(|event| event.id <= id);
        self.events.range(first..)
    }
}
