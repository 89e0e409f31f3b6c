//! The jobs that this process knows, and who may touch them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use comfy_runner_progress::{Progress, Status};
use comfy_runner_protocol::NodeErrors;
use comfy_runner_store::{Outcome, Store};
use indexmap::IndexMap;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::lessons::Lessons;
use crate::live::{Board, Live};
use crate::reconcile::Unreadable;
use crate::remote::Missing;
use crate::supervise::Supervision;

/// How jobs are followed and how many are remembered.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    /// After so long without a message about it, an open job is held against ComfyUI's queue and history.
    pub silence: Duration,
    /// As many jobs that are over are kept in memory; the store answers for older ones.
    pub keep_ended: usize,
    /// What becomes of a job that ComfyUI took and does not know any more.
    pub lost_jobs: LostJobs,
    /// A job of which ComfyUI gives only answers that cannot be read ends as an error when there were so many of them...
    pub unreadable_tries: u32,
    /// ...and the first one came so long ago.
    pub unreadable_for: Duration,
    /// The store forgets jobs that have been over for so long; `None` keeps them.
    pub keep_for: Option<Duration>,
    /// The store keeps so many jobs that are over, the newest; `None` keeps all.
    pub keep_recorded: Option<u32>,
}

/// What becomes of a job that ComfyUI took and does not know any more: it restarted, and dropped its queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LostJobs {
    /// It ends as an error that says so.
    #[default]
    Fail,
    /// It ends as an error that says so, and its graph is submitted again under a new id, once.
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
        }
    }
}

/// The jobs of this process. A clone is another handle on the same jobs, and may be used from any thread.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    config: JobsConfig,
    /// Times are counted from here.
    origin: Instant,
    /// What outlives this process.
    store: Arc<dyn Store>,
    /// Whether that socket is open, as far as we have heard.
    connected: AtomicBool,
    /// What the ComfyUI at its other end cannot do.
    missing: Missing,
    /// Which of the tasks that follow jobs do not run.
    supervision: Supervision,
    /// Held for moments only, never across an await.
    table: Mutex<Table>,
}

/// One job.
pub(crate) struct Job {
    /// Where it stands.
    pub progress: Progress,
    /// Whether ComfyUI has it.
    pub handover: Handover,
    /// Whether messages may have been missed since it was submitted: what came is then held against the history.
    pub gap: bool,
    /// Whether ComfyUI has closed it across such a gap: only the history knows how it ended.
    pub closed: bool,
    /// The answers about it that could not be read, since the last one that could.
    pub unreadable: Option<Unreadable>,
    /// Whether somebody asked for it to be stopped.
    pub cancel_asked: bool,
    /// When the last message about it came.
    pub heard: Duration,
    /// Whether the store has a record of it.
    pub recorded: bool,
    /// When it was taken, in milliseconds since 1970 like the times below.
    pub queued_at: i64,
    /// When it was first seen to run.
    pub started_at: Option<i64>,
    /// When it was over.
    pub finished_at: Option<i64>,
    /// One sentence for each part of the graph that ComfyUI does not run.
    pub warnings: Vec<String>,
    /// ComfyUI's own words about those parts.
    pub node_errors: NodeErrors,
    /// What those who watch it need.
    pub live: Live,
}

/// Whether ComfyUI has a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handover {
    /// Somebody is handing it over; ComfyUI may well not know it yet.
    InFlight,
    /// It was sent at this time, and nobody knows whether it arrived: queue and history must say.
    Unconfirmed(Duration),
    /// A process that is gone has written it down, and perhaps sent it; we looked at this time first.
    Recovered(Duration),
    /// ComfyUI took it.
    Accepted,
}

#[derive(Default)]
pub(crate) struct Table {
    jobs: IndexMap<String, Job>,
    ended: VecDeque<String>,
    /// Jobs of which the store does not know the latest, and which change it was.
    unwritten: IndexMap<String, u64>,
    changes: u64,
    news: Arc<Notify>,
    written: Arc<Notify>,
    board: Board,
    /// What jobs that are over taught of those to come.
    pub lessons: Lessons,
}

/// What makes a job worth writing down again when it changes.
type Stamp = (Status, bool, bool, Option<u64>);

impl Job {
    fn stamp(&self) -> Stamp {
        let status = self.progress.status();
        // Of a job that is over only the history has news.
        (status, self.is_accepted(), self.cancel_asked, status.is_over().then(|| self.progress.revision()))
    }

    pub fn is_accepted(&self) -> bool {
        self.handover == Handover::Accepted
    }

    /// What those who watch would see change.
    fn looks(&self) -> (bool, u64, u64) {
        (self.is_accepted(), self.progress.revision(), self.progress.picture_revision())
    }
}

impl Jobs {
    /// No jobs yet; [`Jobs::load`] brings those of an earlier process.
    pub fn new(config: JobsConfig, store: Arc<dyn Store>) -> Self {
        let shared = Shared {
            config,
            origin: Instant::now(),
            store,
            connected: AtomicBool::new(false),
            missing: Missing::default(),
            supervision: Supervision::default(),
            table: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The client id of the one socket on which ComfyUI tells of all our jobs. It is the store's, so that we hear of the
    /// jobs of a process before us.
    pub fn socket_id(&self) -> &str {
        self.shared.store.identity()
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    pub(crate) fn missing(&self) -> &Missing {
        &self.shared.missing
    }

    pub(crate) fn supervision(&self) -> &Supervision {
        &self.shared.supervision
    }

    pub(crate) fn config(&self) -> &JobsConfig {
        &self.shared.config
    }

    /// The time since these jobs were made: what [`Progress`] counts by.
    pub(crate) fn now(&self) -> Duration {
        self.shared.origin.elapsed()
    }

    /// Whether the socket is open. A job that is submitted without it may be over before we hear anything.
    pub(crate) fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Acquire)
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.shared.connected.store(connected, Ordering::Release);
    }

    /// The table. A panic elsewhere cannot leave it half changed in a way that matters, so poison is passed over.
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a job that is known here, and forgets the oldest of those that are over when there are too many.
    pub(crate) fn change<T>(&self, prompt_id: &str, change: impl FnOnce(&mut Job) -> T) -> Option<T> {
        self.table().change(prompt_id, self.config().keep_ended, wall_clock(), change)
    }

    /// What `look` makes of this job's progress; `None` for a job that is not known here.
    pub fn with_progress<T>(
        &self,
        prompt_id: &str,
        look: impl FnOnce(&Progress, Duration) -> T,
    ) -> Option<T> {
        let table = self.table();
        let job = table.get(prompt_id)?;
        Some(look(&job.progress, self.now()))
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_clock() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

impl Table {
    pub fn insert(&mut self, mut job: Job) {
        self.board.welcome(&job);
        self.board.note(&mut job);
        self.jobs.insert(job.progress.prompt_id().to_owned(), job);
    }

    /// Takes in a job that is over and of which the store needs no word.
    pub fn insert_ended(&mut self, job: Job, keep_ended: usize) {
        let prompt_id = job.progress.prompt_id().to_owned();
        // Two may have looked it up at once; the first one may be watched by now.
        if !self.jobs.contains_key(&prompt_id) {
            self.board.welcome(&job);
            self.jobs.insert(prompt_id.clone(), job);
            self.ended.push_back(prompt_id);
        }
        self.forget_ended(keep_ended);
    }

    pub fn remove(&mut self, prompt_id: &str) -> Option<Job> {
        self.unwritten.swap_remove(prompt_id);
        let job = self.jobs.swap_remove(prompt_id)?;
        self.board.forget(&job);
        Some(job)
    }

    pub fn get(&self, prompt_id: &str) -> Option<&Job> {
        self.jobs.get(prompt_id)
    }

    /// A job, and the board to tell of it.
    pub fn job_and_board(&mut self, prompt_id: &str) -> Option<(&mut Job, &mut Board)> {
        Some((self.jobs.get_mut(prompt_id)?, &mut self.board))
    }

    /// Numbers the events to come from this id on.
    pub fn number_events_from(&mut self, first: u64) {
        self.board.number_events_from(first);
    }

    /// Who changed last.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The jobs that are not over, and those whose end has yet to be held against the history.
    pub fn open(&mut self) -> impl Iterator<Item = &mut Job> {
        self.jobs.values_mut().filter(|job| !job.progress.status().is_over() || job.gap)
    }

    /// The jobs that run.
    pub fn running(&self) -> impl Iterator<Item = &str> {
        let running = self.jobs.values().filter(|job| job.progress.status() == Status::Running);
        running.map(|job| job.progress.prompt_id())
    }

    /// Changes a job, and sees to it that not too many are kept that are over. Says nothing of a job that is not there.
    pub fn change<T>(
        &mut self,
        prompt_id: &str,
        keep_ended: usize,
        now: i64,
        change: impl FnOnce(&mut Job) -> T,
    ) -> Option<T> {
        let job = self.jobs.get_mut(prompt_id)?;
        let (before, looked, missed) = (job.stamp(), job.looks(), job.gap);
        if before.0 == Status::Pending
            && let Some(known) = self.lessons.of(job.live.workflow_id())
        {
            // What is learnt while a job waits is of use to it.
            job.progress.expect(known);
        }
        let result = change(job);
        let after = job.stamp();
        if after.0 == Status::Running {
            job.started_at.get_or_insert(now);
        }
        if after.0.is_over() {
            job.finished_at.get_or_insert(now);
            // A thousand last previews would be most of our memory, and the results say more.
            job.progress.take_picture();
        }
        if job.looks() != looked {
            self.board.note(job);
        }
        if after == before {
            return Some(result);
        }
        if job.recorded {
            self.changes += 1;
            self.unwritten.insert(prompt_id.to_owned(), self.changes);
            self.news.notify_one();
        }
        if !before.0.is_over() && after.0.is_over() {
            if !missed {
                self.lessons.learn(job.live.workflow_id(), &job.progress);
            }
            self.ended.push_back(prompt_id.to_owned());
            self.forget_ended(keep_ended);
        }
        Some(result)
    }

    /// Forgets the oldest jobs that are over, but none of which the store does not know the end yet.
    fn forget_ended(&mut self, keep: usize) {
        while self.ended.len() > keep
            && self.ended.front().is_some_and(|oldest| !self.unwritten.contains_key(oldest))
        {
            let oldest = self.ended.pop_front().unwrap_or_default();
            self.remove(&oldest);
        }
    }

    /// Some of the jobs of which the store does not know the latest: which change it is, and what to write.
    pub fn unwritten(&self, at_most: usize) -> Vec<(u64, String, Outcome)> {
        let jobs = self.unwritten.iter().take(at_most);
        jobs.filter_map(|(id, change)| Some((*change, id.clone(), self.jobs.get(id)?.outcome()))).collect()
    }

    /// The store knows of this change. If there was none since, that is all.
    pub fn written(&mut self, prompt_id: &str, change: u64) {
        if self.unwritten.get(prompt_id) == Some(&change) {
            self.unwritten.swap_remove(prompt_id);
            self.written.notify_waiters();
        }
    }

    /// What tells when the store may know the latest of this job; `None` if it does.
    pub fn unless_written(&self, prompt_id: &str) -> Option<OwnedNotified> {
        let waits = self.unwritten.contains_key(prompt_id);
        waits.then(|| Arc::clone(&self.written).notified_owned())
    }

    /// Wakes whoever writes to the store.
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use comfy_runner_protocol::Graph;
    use comfy_runner_store::Sqlite;
    use serde_json::json;

    use super::*;

    /// A job of one node that ComfyUI has taken.
    pub fn job(prompt_id: &str) -> Job {
        let graph = Graph::from_value(json!({"1": {"class_type": "SaveImage", "inputs": {}}})).unwrap();
        Job {
            progress: Progress::new(prompt_id, &graph, None),
            handover: Handover::Accepted,
            gap: false,
            closed: false,
            unreadable: None,
            cancel_asked: false,
            heard: Duration::ZERO,
            recorded: true,
            queued_at: 0,
            started_at: None,
            finished_at: None,
            warnings: Vec::new(),
            node_errors: NodeErrors::new(),
            live: Live::new(prompt_id, "w"),
        }
    }

    /// Such jobs, and a store in memory that has not heard of them.
    pub fn jobs(prompt_ids: &[&str], keep_ended: usize) -> Jobs {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let jobs = Jobs::new(JobsConfig { keep_ended, ..JobsConfig::default() }, store);
        for prompt_id in prompt_ids {
            jobs.table().insert(job(prompt_id));
        }
        jobs
    }

    fn write_all(jobs: &Jobs) {
        let mut table = jobs.table();
        for (change, id, _) in table.unwritten(usize::MAX) {
            table.written(&id, change);
        }
    }

    pub fn status(jobs: &Jobs, prompt_id: &str) -> Option<Status> {
        jobs.with_progress(prompt_id, |progress, _| progress.status())
    }

    #[test]
    fn only_the_latest_jobs_that_are_over_are_kept_and_open_ones_always() {
        let jobs = jobs(&["open", "a", "b", "c"], 2);
        for over in ["a", "b", "c"] {
            jobs.change(over, |job| job.progress.cancelled());
            write_all(&jobs);
        }
        assert_eq!(status(&jobs, "a"), None);
        assert_eq!(status(&jobs, "c"), Some(Status::Cancelled));
        assert_eq!(status(&jobs, "open"), Some(Status::Pending));
    }

    #[test]
    fn a_job_that_ended_across_a_gap_stays_open_until_the_history_has_spoken() {
        let jobs = jobs(&["a"], 10);
        jobs.change("a", |job| {
            job.gap = true;
            job.progress.cancelled()
        });
        assert_eq!(jobs.table().open().count(), 1);
        jobs.change("a", |job| job.gap = false);
        assert_eq!(jobs.table().open().count(), 0);
    }

    #[test]
    fn no_job_is_forgotten_before_the_store_knows_its_end() {
        let jobs = jobs(&["a", "b", "c"], 1);
        for over in ["a", "b"] {
            jobs.change(over, |job| job.progress.cancelled());
        }
        assert_eq!(status(&jobs, "a"), Some(Status::Cancelled));
        write_all(&jobs);
        jobs.change("c", |job| job.progress.cancelled());
        assert_eq!((status(&jobs, "a"), status(&jobs, "b")), (None, None));
        assert_eq!(status(&jobs, "c"), Some(Status::Cancelled));
    }

    #[test]
    fn a_job_is_written_when_its_status_changes_and_again_when_it_changed_meanwhile() {
        let jobs = jobs(&["a"], 10);
        let unwritten = || jobs.table().unwritten(10);
        jobs.change("a", |job| job.heard = Duration::from_secs(1));
        assert!(unwritten().is_empty());
        jobs.change("a", |job| job.progress.started());
        let [(first, _, running)] = &unwritten()[..] else { panic!("one job") };
        assert_eq!((running.status, running.started_at.is_some()), (Status::Running, true));
        jobs.change("a", |job| job.progress.failed("it broke"));
        jobs.table().written("a", *first);
        let [(second, _, failed)] = &unwritten()[..] else { panic!("one job") };
        assert_eq!((failed.status, failed.error.as_deref()), (Status::Error, Some("it broke")));
        assert!(failed.finished_at.is_some());
        jobs.table().written("a", *second);
        assert!(unwritten().is_empty());
    }
}
