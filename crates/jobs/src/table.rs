//! The jobs that this process knows, and who may touch them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use comfy_runner_progress::Progress;
use indexmap::IndexMap;

/// How jobs are followed and how many are remembered.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    /// After so long without a message about it, an open job is held against ComfyUI's queue and history.
    pub silence: Duration,
    /// As many jobs that are over are kept in memory; ComfyUI's history answers for older ones.
    pub keep_ended: usize,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self { silence: Duration::from_secs(5), keep_ended: 1000 }
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
    /// The client id of our one socket, under which all prompts are submitted.
    socket_id: String,
    /// Whether that socket is open, as far as we have heard.
    connected: AtomicBool,
    /// Held for moments only, never across an await.
    table: Mutex<Table>,
}

/// One job.
pub(crate) struct Job {
    /// Where it stands.
    pub progress: Progress,
    /// Whether ComfyUI has said that it took the prompt. Until then it may well not know it.
    pub accepted: bool,
    /// Whether messages may have been missed since it was submitted: what came is then held against the history.
    pub gap: bool,
    /// Whether ComfyUI has closed it across such a gap: only the history knows how it ended.
    pub closed: bool,
    /// When the last message about it came.
    pub heard: Duration,
}

#[derive(Default)]
pub(crate) struct Table {
    jobs: IndexMap<String, Job>,
    ended: VecDeque<String>,
}

impl Jobs {
    /// No jobs yet.
    pub fn new(config: JobsConfig) -> Self {
        let shared = Shared {
            config,
            origin: Instant::now(),
            socket_id: uuid::Uuid::new_v4().simple().to_string(),
            connected: AtomicBool::new(false),
            table: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The client id of the one socket on which ComfyUI tells of all our jobs.
    pub fn socket_id(&self) -> &str {
        &self.shared.socket_id
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
        self.table().change(prompt_id, self.config().keep_ended, change)
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

impl Table {
    pub fn insert(&mut self, job: Job) {
        self.jobs.insert(job.progress.prompt_id().to_owned(), job);
    }

    pub fn remove(&mut self, prompt_id: &str) -> Option<Job> {
        self.jobs.swap_remove(prompt_id)
    }

    pub fn get(&self, prompt_id: &str) -> Option<&Job> {
        self.jobs.get(prompt_id)
    }

    pub fn get_mut(&mut self, prompt_id: &str) -> Option<&mut Job> {
        self.jobs.get_mut(prompt_id)
    }

    /// The jobs that are not over, and those whose end has yet to be held against the history.
    pub fn open(&mut self) -> impl Iterator<Item = &mut Job> {
        self.jobs.values_mut().filter(|job| !job.progress.status().is_over() || job.gap)
    }

    /// Changes a job, and sees to it that not too many are kept that are over. Says nothing of a job that is not there.
    pub fn change<T>(
        &mut self,
        prompt_id: &str,
        keep_ended: usize,
        change: impl FnOnce(&mut Job) -> T,
    ) -> Option<T> {
        let job = self.jobs.get_mut(prompt_id)?;
        let was_over = job.progress.status().is_over();
        let result = change(job);
        if !was_over && job.progress.status().is_over() {
            // A thousand last previews would be most of our memory, and the results say more.
            job.progress.take_picture();
            self.ended.push_back(prompt_id.to_owned());
            while self.ended.len() > keep_ended {
                let oldest = self.ended.pop_front().unwrap_or_default();
                self.jobs.swap_remove(&oldest);
            }
        }
        Some(result)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use comfy_runner_progress::Status;
    use comfy_runner_protocol::Graph;
    use serde_json::json;

    use super::*;

    /// Jobs of one node each, all of which ComfyUI has accepted.
    pub fn jobs(prompt_ids: &[&str], keep_ended: usize) -> Jobs {
        let jobs = Jobs::new(JobsConfig { keep_ended, ..JobsConfig::default() });
        let graph = Graph::from_value(json!({"1": {"class_type": "SaveImage", "inputs": {}}})).unwrap();
        for prompt_id in prompt_ids {
            let progress = Progress::new(prompt_id, &graph, None);
            jobs.table().insert(Job {
                progress,
                accepted: true,
                gap: false,
                closed: false,
                heard: Duration::ZERO,
            });
        }
        jobs
    }

    pub fn status(jobs: &Jobs, prompt_id: &str) -> Option<Status> {
        jobs.with_progress(prompt_id, |progress, _| progress.status())
    }

    #[test]
    fn only_the_latest_jobs_that_are_over_are_kept_and_open_ones_always() {
        let jobs = jobs(&["open", "a", "b", "c"], 2);
        for over in ["a", "b", "c"] {
            jobs.change(over, |job| job.progress.cancelled());
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
}
