//! Places that are kept for a job until it is in the table: at a ComfyUI, or in the queue.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_scheduler::JobQueue as _;
use comfy_runner_store::Summary;

use crate::job::{Job, Needs};
use crate::jobs::Jobs;
use crate::place::{next_wait, use_models};
use crate::state::State;
use crate::submit_error::SubmitError;

/// The longest time after which a caller is asked to try again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A place that is kept at a ComfyUI for a job that is not in the table yet.
pub(crate) struct KeptPlace {
    jobs: Jobs,
    comfyui: Arc<str>,
    is_cold: bool,
    /// Whether a job of the table has it now.
    is_taken: bool,
}

impl KeptPlace {
    pub fn new(jobs: &Jobs, state: &mut State, comfyui: &Arc<str>, models: &[String]) -> Self {
        let is_cold = use_models(state, comfyui, models);
        if let Some(member) = state.pool.get_mut(comfyui) {
            member.reserved += 1;
        }
        Self { jobs: jobs.clone(), comfyui: Arc::clone(comfyui), is_cold, is_taken: false }
    }

    pub fn comfyui(&self) -> &Arc<str> {
        &self.comfyui
    }

    /// Gives the place to a job of the table.
    pub fn give_to(mut self, prompt_id: &str) {
        self.jobs.change(prompt_id, |job| {
            job.comfyui = Some(Arc::clone(&self.comfyui));
            job.needs.is_cold = Some(self.is_cold);
        });
        self.is_taken = true;
    }

    /// Gives the place to a new job of the table.
    pub fn give_to_new(mut self, mut job: Job) {
        // Read before the prompt is sent: a WebSocket that opens later may have missed its first messages.
        job.missed_messages = !self.jobs.is_connected(&self.comfyui);
        job.needs.is_cold = Some(self.is_cold);
        self.jobs.insert(job);
        self.is_taken = true;
    }
}

impl Drop for KeptPlace {
    fn drop(&mut self) {
        if let Some(member) = self.jobs.lock().pool.get_mut(&self.comfyui) {
            member.reserved = member.reserved.saturating_sub(1);
        }
        if !self.is_taken {
            self.jobs.wake_dispatcher();
        }
    }
}

/// A place in the queue of a job that is not recorded yet.
pub(crate) struct QueuePlace {
    jobs: Jobs,
    prompt_id: String,
    kept: bool,
}

impl QueuePlace {
    /// # Errors
    /// Too many jobs wait.
    pub fn take(jobs: &Jobs, summary: &Summary, needs: &Needs) -> Result<Self, SubmitError> {
        let config = jobs.config();
        let mut state = jobs.lock();
        let retry_after = || next_wait(&state).clamp(Duration::from_secs(1), LONGEST_WAIT);
        if state.queue.len() >= config.max_waiting {
            return Err(SubmitError::QueueFull { limit: config.max_waiting, retry_after: retry_after() });
        }
        if state.queue.len_of(&needs.caller) >= config.max_waiting_per_caller {
            let limit = config.max_waiting_per_caller;
            return Err(SubmitError::TooManyOfCaller { limit, retry_after: retry_after() });
        }
        let prompt_id = summary.prompt_id.clone();
        state.queue.push(needs.in_queue(&prompt_id, summary.queued_at));
        Ok(Self { jobs: jobs.clone(), prompt_id, kept: false })
    }

    /// Lets the job keep its place.
    pub fn keep(mut self) {
        self.kept = true;
        self.jobs.wake_dispatcher();
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        if !self.kept && !self.jobs.is_waiting(&self.prompt_id) {
            self.jobs.lock().queue.remove(&self.prompt_id);
        }
    }
}
