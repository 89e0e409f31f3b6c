//! Changes of jobs in memory. Each is published to those who watch the job, and wakes the tasks that it concerns.

use comfy_runner_scheduler::JobQueue as _;

use crate::job::Job;
use crate::jobs::Jobs;
use crate::place;
use crate::state::{State, unix_millis};
use crate::table::Change;

impl Jobs {
    /// Returns whether a job waits in our queue.
    pub(crate) fn is_waiting(&self, prompt_id: &str) -> bool {
        self.lock().table.get(prompt_id).is_some_and(Job::is_waiting)
    }

    /// Adds a job that waits, and publishes it.
    pub(crate) fn insert_waiting(&self, job: Job) {
        let mut state = self.lock();
        let prompt_id = job.progress.prompt_id().to_owned();
        self.insert_into(&mut state, job);
        self.enqueue(&mut state, &prompt_id);
        drop(state);
        self.wake_dispatcher();
    }

    /// Puts a job that waits into the queue. The caller must wake the dispatcher.
    pub(crate) fn enqueue(&self, state: &mut State, prompt_id: &str) {
        let Some(job) = state.table.get(prompt_id).filter(|job| job.is_waiting()) else { return };
        let as_of = job.needs.eligible_as_of;
        let waiting = job.needs.in_queue(prompt_id, job.queued_at);
        state.queue.push(waiting);
        if as_of < state.pool.schemas() {
            state.eligible_as_of = state.eligible_as_of.min(as_of);
            self.wake_eligibility();
        }
    }

    /// Changes a job and publishes the change. Returns `None` if the job is not in memory.
    pub(crate) fn change<T>(&self, prompt_id: &str, change: impl FnOnce(&mut Job) -> T) -> Option<T> {
        let mut state = self.lock();
        let (result, change) = state.table.change(prompt_id, unix_millis(), change)?;
        if change.ended {
            place::learn(&mut state, prompt_id);
            state.queue.remove(prompt_id);
        }
        self.publish(&mut state, prompt_id, &change);
        Some(result)
    }

    /// Adds a job and publishes it.
    pub(crate) fn insert(&self, job: Job) {
        self.insert_into(&mut self.lock(), job);
    }

    /// Adds a job to the locked state and publishes it.
    pub(crate) fn insert_into(&self, state: &mut State, job: Job) {
        let prompt_id = job.progress.prompt_id().to_owned();
        let change = state.table.insert(job, unix_millis());
        self.publish(state, &prompt_id, &change);
    }

    /// Adds a job that is over, so that the next request for it need not look it up.
    pub(crate) fn insert_ended(&self, job: Job) {
        let mut state = self.lock();
        let prompt_id = job.progress.prompt_id().to_owned();
        let change = state.table.insert_ended(job);
        self.publish(&mut state, &prompt_id, &change);
    }

    /// Removes a job.
    pub(crate) fn remove(&self, prompt_id: &str) {
        let mut state = self.lock();
        state.table.remove(prompt_id);
        state.queue.remove(prompt_id);
        state.feed.remove(prompt_id);
        drop(state);
        self.wake_dispatcher();
    }

    fn publish(&self, state: &mut State, prompt_id: &str, change: &Change) {
        if let Some(position) = change.position
            && let Some(job) = state.table.get_mut(prompt_id)
        {
            state.feed.publish(job, position);
        }
        if change.unwritten {
            self.unwritten().notify_one();
        }
        if change.room {
            self.wake_dispatcher();
        }
        if change.ended {
            for forgotten in state.table.forget_ended(self.config().keep_ended) {
                state.feed.remove(&forgotten);
            }
        }
    }
}
