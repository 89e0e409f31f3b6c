//! The table of jobs: pure state. It does no I/O and reads no clock; each change says what others must do about it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use comfy_runner_api::Status;
use comfy_runner_store::Outcome;
use indexmap::{IndexMap, IndexSet};

use crate::change_log::ChangeLog;
use crate::durations::DurationCache;
use crate::job::Job;

/// The jobs that this process knows.
pub(crate) struct Table {
    jobs: IndexMap<String, Job>,
    /// The ended jobs, oldest first.
    ended: VecDeque<String>,
    /// The jobs whose latest state the store does not have, with the number of that change.
    unwritten: IndexMap<String, u64>,
    last_write: u64,
    /// The jobs that each ComfyUI was given and that are open, in that order.
    given: HashMap<Arc<str>, IndexSet<String>>,
    log: ChangeLog,
    /// How long nodes took in jobs that ended.
    pub durations: DurationCache,
}

/// What others must do about a change of a job.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Subscribers must be woken: the position of the change in the order of all changes.
    pub position: Option<u64>,
    /// The store does not have the job's latest state.
    pub unwritten: bool,
    /// The job has ended, so that there may be too many ended jobs.
    pub ended: bool,
    /// A ComfyUI has one job less.
    pub room: bool,
}

/// Returns the ComfyUI that has the job, or is to get it, unless all is known of its end.
fn given_to(job: &Job) -> Option<Arc<str>> {
    job.comfyui.clone().filter(|_| is_open(job))
}

/// Returns whether the job is not over, or its end must still be compared with the history.
fn is_open(job: &Job) -> bool {
    !job.is_over() || job.missed_messages
}

impl Table {
    /// Creates an empty table whose events are numbered from `next_event`.
    pub fn new(next_event: u64) -> Self {
        Self {
            jobs: IndexMap::new(),
            ended: VecDeque::new(),
            unwritten: IndexMap::new(),
            last_write: 0,
            given: HashMap::new(),
            log: ChangeLog::new(next_event),
            durations: DurationCache::default(),
        }
    }

    /// Adds a job.
    pub fn insert(&mut self, mut job: Job, now: i64) -> Change {
        self.log.register(&job);
        let position = self.log.record(&mut job, now);
        let given_to = given_to(&job);
        self.note_given(job.progress.prompt_id(), None, given_to);
        self.jobs.insert(job.progress.prompt_id().to_owned(), job);
        Change { position, ..Change::default() }
    }

    /// Adds a job that has ended and whose end the store or ComfyUI knows. An equal one that is there already stays: it may
    /// have subscribers.
    pub fn insert_ended(&mut self, job: Job) -> Change {
        let prompt_id = job.progress.prompt_id().to_owned();
        if !self.jobs.contains_key(&prompt_id) {
            self.log.register(&job);
            self.jobs.insert(prompt_id.clone(), job);
            self.ended.push_back(prompt_id);
        }
        Change { ended: true, ..Change::default() }
    }

    /// Removes a job.
    pub fn remove(&mut self, prompt_id: &str) -> Option<Job> {
        self.unwritten.swap_remove(prompt_id);
        let job = self.jobs.swap_remove(prompt_id)?;
        self.note_given(prompt_id, given_to(&job), None);
        self.log.remove(&job);
        Some(job)
    }

    /// Returns a job.
    pub fn get(&self, prompt_id: &str) -> Option<&Job> {
        self.jobs.get(prompt_id)
    }

    /// Returns a job whose messages are to be read. [`Table::change`] changes jobs.
    pub fn get_mut(&mut self, prompt_id: &str) -> Option<&mut Job> {
        self.jobs.get_mut(prompt_id)
    }

    /// Returns a job as [`Table::get_mut`] does, with an event for its end if it is over.
    pub fn get_with_end(&mut self, prompt_id: &str, now: i64) -> Option<&mut Job> {
        let job = self.jobs.get_mut(prompt_id)?;
        self.log.report_end(job, now);
        Some(job)
    }

    /// Returns the order of changes and the latest events.
    pub fn log(&self) -> &ChangeLog {
        &self.log
    }

    /// Numbers later events from this id on, unless the numbers are higher already.
    pub fn number_events_from(&mut self, first: u64) {
        self.log.number_events_from(first);
    }

    /// Returns the jobs that are not over, and those whose end must still be compared with the history.
    pub fn open(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(|job| is_open(job))
    }

    /// Returns the waiting jobs.
    pub fn pending(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().filter(|job| job.progress.status() == Status::Pending)
    }

    /// Returns the running jobs.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        let given = self.given.values().flatten();
        given
            .filter(|id| self.get(id).is_some_and(|job| job.progress.status() == Status::Running))
            .map(String::as_str)
    }

    /// Returns the jobs that a ComfyUI was given and that are not over, in that order.
    pub fn given(&self, comfyui: &str) -> impl Iterator<Item = &Job> {
        self.open_on(comfyui).filter(|job| !job.is_over())
    }

    /// Returns the [open](Table::open) jobs of a ComfyUI, in the order in which it was given them.
    pub fn open_on(&self, comfyui: &str) -> impl Iterator<Item = &Job> {
        let given = self.given.get(comfyui).into_iter().flatten();
        given.filter_map(|prompt_id| self.get(prompt_id))
    }

    fn note_given(&mut self, prompt_id: &str, before: Option<Arc<str>>, after: Option<Arc<str>>) {
        if before == after {
            return;
        }
        if let Some(before) = before
            && let Some(given) = self.given.get_mut(&before)
        {
            given.shift_remove(prompt_id);
            if given.is_empty() {
                self.given.remove(&before);
            }
        }
        if let Some(after) = after {
            self.given.entry(after).or_default().insert(prompt_id.to_owned());
        }
    }

    /// Changes a job at the time `now`, in milliseconds since the Unix epoch. Returns `None` if there is no such job.
    pub fn change<T>(
        &mut self,
        prompt_id: &str,
        now: i64,
        change: impl FnOnce(&mut Job) -> T,
    ) -> Option<(T, Change)> {
        let job = self.jobs.get_mut(prompt_id)?;
        let (before, visible, missed_messages) = (job.stamp(), job.visible(), job.missed_messages);
        let given_before = given_to(job);
        if before.status == Status::Pending
            && let Some(known) = self.durations.get(job.workflow_id())
        {
            // A waiting job uses what is learned while it waits.
            job.progress.expect(known);
        }
        let result = change(job);
        let after = job.stamp();
        if after.status == Status::Running {
            job.started_at.get_or_insert(now);
        }
        if after.status.is_over() {
            job.finished_at.get_or_insert(now);
            job.drop_previews();
        }
        let mut change = Change::default();
        if job.visible() != visible {
            change.position = self.log.record(job, now);
        }
        let given_after = given_to(job);
        if after == before {
            self.note_given(prompt_id, given_before, given_after);
            return Some((result, change));
        }
        change.room = before.occupies() && (after.status.is_over() || before.comfyui != after.comfyui);
        if job.recorded {
            self.last_write += 1;
            self.unwritten.insert(prompt_id.to_owned(), self.last_write);
            change.unwritten = true;
        }
        if !before.status.is_over() && after.status.is_over() {
            if !missed_messages {
                self.durations.learn(job.workflow_id(), &job.progress);
            }
            self.ended.push_back(prompt_id.to_owned());
            change.ended = true;
        }
        self.note_given(prompt_id, given_before, given_after);
        Some((result, change))
    }

    /// Removes the oldest ended jobs until `keep` are left, and returns their ids. A job whose end the store does not have
    /// yet stays, and so do those after it.
    pub fn forget_ended(&mut self, keep: usize) -> Vec<String> {
        let mut forgotten = Vec::new();
        while self.ended.len() > keep
            && let Some(oldest) = self.ended.front()
            && !self.unwritten.contains_key(oldest)
        {
            let oldest = self.ended.pop_front().unwrap_or_default();
            self.remove(&oldest);
            forgotten.push(oldest);
        }
        forgotten
    }

    /// Returns some of the jobs whose latest state the store does not have: the number of the change, and what to write.
    pub fn unwritten(&self, at_most: usize) -> Vec<(u64, String, Outcome)> {
        let jobs = self.unwritten.iter().take(at_most);
        jobs.filter_map(|(id, change)| Some((*change, id.clone(), self.jobs.get(id)?.outcome()))).collect()
    }

    /// Returns the number of jobs whose latest state the store does not have.
    pub fn unwritten_count(&self) -> usize {
        self.unwritten.len()
    }

    /// Notes that the store has this change of a job. Returns whether it now has the job's latest state.
    pub fn written(&mut self, prompt_id: &str, change: u64) -> bool {
        let is_latest = self.unwritten.get(prompt_id) == Some(&change);
        if is_latest {
            self.unwritten.swap_remove(prompt_id);
        }
        is_latest
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::tests::job;
    use crate::jobs::tests::COMFYUI;

    fn table(prompt_ids: &[&str]) -> Table {
        let mut table = Table::new(1);
        for prompt_id in prompt_ids {
            table.insert(job(prompt_id), 0);
        }
        table
    }

    fn change(table: &mut Table, prompt_id: &str, change: impl FnOnce(&mut Job)) -> Change {
        table.change(prompt_id, 7, change).unwrap().1
    }

    fn cancel(table: &mut Table, prompt_id: &str) -> Change {
        change(table, prompt_id, |job| {
            job.progress.cancelled();
        })
    }

    fn write_all(table: &mut Table) {
        for (change, id, _) in table.unwritten(usize::MAX) {
            assert!(table.written(&id, change));
        }
    }

    fn status(table: &Table, prompt_id: &str) -> Option<Status> {
        table.get(prompt_id).map(|job| job.progress.status())
    }

    #[test]
    fn only_the_latest_ended_jobs_are_kept_and_open_ones_always() {
        let mut table = table(&["open", "a", "b", "c"]);
        for over in ["a", "b", "c"] {
            assert!(cancel(&mut table, over).ended);
            write_all(&mut table);
        }
        assert_eq!(table.forget_ended(2), ["a"]);
        assert_eq!(status(&table, "a"), None);
        assert_eq!(status(&table, "c"), Some(Status::Cancelled));
        assert_eq!(status(&table, "open"), Some(Status::Pending));
    }

    #[test]
    fn a_job_that_ended_while_messages_were_missed_stays_open_until_the_history_is_known() {
        let mut table = table(&["a"]);
        change(&mut table, "a", |job| {
            job.missed_messages = true;
            job.progress.cancelled();
        });
        let open = |table: &Table| {
            (table.open().count(), table.open_on(COMFYUI).count(), table.given(COMFYUI).count())
        };
        assert_eq!(open(&table), (1, 1, 0), "it needs no room there");
        change(&mut table, "a", |job| job.missed_messages = false);
        assert_eq!(open(&table), (0, 0, 0));
    }

    #[test]
    fn a_comfyui_has_room_when_a_job_ends_or_is_given_to_another_one() {
        let mut table = table(&["a", "b"]);
        let ended = change(&mut table, "a", |job| {
            job.missed_messages = true;
            job.progress.cancelled();
        });
        assert!(ended.room);
        assert!(!change(&mut table, "b", |job| job.cancel_asked = true).room);
        assert!(change(&mut table, "b", |job| job.comfyui = None).room);
        assert!(!change(&mut table, "b", |job| job.comfyui = Some(COMFYUI.into())).room);
    }

    #[test]
    fn no_job_is_forgotten_before_the_store_has_its_end() {
        let mut table = table(&["a", "b", "c"]);
        for over in ["a", "b"] {
            cancel(&mut table, over);
        }
        assert!(table.forget_ended(1).is_empty());
        write_all(&mut table);
        cancel(&mut table, "c");
        assert_eq!(table.forget_ended(1), ["a", "b"]);
        assert_eq!(status(&table, "c"), Some(Status::Cancelled));
    }

    #[test]
    fn a_job_is_written_when_its_status_changes_and_again_when_it_changed_meanwhile() {
        let mut table = table(&["a"]);
        let quiet = change(&mut table, "a", |job| job.last_message = Duration::from_secs(1));
        assert_eq!(quiet, Change::default());
        assert!(table.unwritten(10).is_empty());
        let started = change(&mut table, "a", |job| {
            job.progress.started();
        });
        assert!(started.unwritten && started.position.is_some() && !started.ended);
        let [(first, _, running)] = &table.unwritten(10)[..] else { panic!("one job") };
        let first = *first;
        assert_eq!((running.status, running.started_at), (Status::Running, Some(7)));
        change(&mut table, "a", |job| {
            job.progress.failed("it broke");
        });
        assert!(!table.written("a", first));
        let [(second, _, failed)] = &table.unwritten(10)[..] else { panic!("one job") };
        let second = *second;
        assert_eq!((failed.status, failed.error.as_deref()), (Status::Error, Some("it broke")));
        assert_eq!(failed.finished_at, Some(7));
        assert!(table.written("a", second));
        assert!(table.unwritten(10).is_empty());
    }
}
