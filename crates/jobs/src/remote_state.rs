//! What ComfyUI says of a job: looked up by itself where ComfyUI can do that, else in the queue and then in the history.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use comfy_runner_client::{Client, ClientError, JobState, Supported};
use comfy_runner_protocol::{HistoryEntry, Queue};

/// What ComfyUI says of a job.
#[derive(Debug)]
pub(crate) enum RemoteState {
    /// It waits.
    Pending,
    /// It runs.
    Running,
    /// It is over.
    Ended(Box<HistoryEntry>),
    /// ComfyUI does not know it.
    Unknown,
    /// ComfyUI answers, but the answer does not say.
    Unreadable {
        /// What is wrong with the answer.
        error: ClientError,
        /// Whether the job is known to be neither waiting nor running.
        has_left: bool,
    },
}

/// The routes that the connected ComfyUI does not have. They are found out by asking, and forgotten with the connection:
/// the next one may be to a newer version.
#[derive(Debug, Default)]
pub(crate) struct UnsupportedRoutes {
    job_state: AtomicBool,
    cancel_job: AtomicBool,
}

/// ComfyUI's queue, in which a prompt is found in constant time.
pub(crate) struct QueuePositions {
    running: HashSet<String>,
    /// The number of waiting prompts before each.
    pending: HashMap<String, usize>,
}

impl QueuePositions {
    pub fn new(queue: Queue) -> Self {
        let mut waiting = queue.queue_pending;
        waiting.sort_by(|a, b| a.number.total_cmp(&b.number));
        let pending = waiting.into_iter().enumerate().map(|(before, item)| (item.prompt_id, before));
        let running = queue.queue_running.into_iter().map(|item| item.prompt_id);
        Self { running: running.collect(), pending: pending.collect() }
    }

    /// Returns the number of prompts before this one; 0 for the running one.
    pub fn position(&self, prompt_id: &str) -> Option<usize> {
        if self.running.contains(prompt_id) {
            return Some(0);
        }
        // Even if nothing runs at this moment, the first waiting prompt is not the running one.
        Some(self.pending.get(prompt_id)? + self.running.len().max(1))
    }

    /// Fetches the queue. An error that ComfyUI answers is returned as a value, because the history may still have the job.
    ///
    /// # Errors
    /// ComfyUI does not answer.
    pub async fn fetch(client: &Client) -> Result<Result<Self, ClientError>, ClientError> {
        match client.queue().await {
            Ok(queue) => Ok(Ok(Self::new(queue))),
            Err(error) if error.is_silence() => Err(error),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl RemoteState {
    /// Looks up a prompt in a queue that was just fetched, and then in the history. In this order no prompt is missed:
    /// ComfyUI moves it from one to the other in one step.
    ///
    /// # Errors
    /// ComfyUI cannot be reached.
    pub async fn from_queue(
        client: &Client,
        queue: &Result<QueuePositions, ClientError>,
        prompt_id: &str,
    ) -> Result<Self, ClientError> {
        match queue {
            Ok(queue) if queue.running.contains(prompt_id) => return Ok(Self::Running),
            Ok(queue) if queue.pending.contains_key(prompt_id) => return Ok(Self::Pending),
            _ => {}
        }
        let history = client.history(prompt_id).await;
        match (history, queue) {
            (Ok(Some(entry)), _) => Ok(Self::Ended(Box::new(entry))),
            (Ok(None), Ok(_)) => Ok(Self::Unknown),
            (Ok(None), Err(error)) => Ok(Self::Unreadable { error: error.clone(), has_left: false }),
            (Err(error), _) if error.is_unreachable() => Err(error),
            (Err(error), queue) => Ok(Self::Unreadable { error, has_left: queue.is_ok() }),
        }
    }

    /// Looks up a single prompt, without ComfyUI's whole queue where that is possible.
    ///
    /// # Errors
    /// ComfyUI does not answer.
    pub async fn look_up(
        unsupported: &UnsupportedRoutes,
        client: &Client,
        prompt_id: &str,
    ) -> Result<Self, ClientError> {
        match job_state(unsupported, client, prompt_id).await? {
            Some(JobState::Pending) => Ok(Self::Pending),
            Some(JobState::InProgress) => Ok(Self::Running),
            Some(JobState::Unknown) => Ok(Self::Unknown),
            Some(JobState::Ended) => match client.history(prompt_id).await {
                Ok(Some(entry)) => Ok(Self::Ended(Box::new(entry))),
                // ComfyUI has just deleted it.
                Ok(None) => Ok(Self::Unknown),
                Err(error) if error.is_unreachable() => Err(error),
                Err(error) => Ok(Self::Unreadable { error, has_left: true }),
            },
            // Without an answer, or with a state that is unknown here, the queue decides.
            Some(_) | None => {
                let queue = QueuePositions::fetch(client).await?;
                Self::from_queue(client, &queue, prompt_id).await
            }
        }
    }
}

/// Returns ComfyUI's own answer about a single job, or `None` if it does not have that route, or gives no usable answer.
async fn job_state(
    unsupported: &UnsupportedRoutes,
    client: &Client,
    prompt_id: &str,
) -> Result<Option<JobState>, ClientError> {
    if !unsupported.has_job_state() {
        return Ok(None);
    }
    match client.job_state(prompt_id).await {
        Ok(Supported::Yes(state)) => return Ok(Some(state)),
        Ok(Supported::No) => unsupported.job_state.store(true, Ordering::Relaxed),
        Err(error) if error.is_unreachable() => return Err(error),
        // Also an answer that never comes: the queue shows whether ComfyUI answers at all.
        Err(error) => tracing::debug!(prompt_id, %error, "a job cannot be looked up by itself"),
    }
    Ok(None)
}

/// Asks ComfyUI to remove a job from its queue, or to interrupt it if it `runs`.
pub(crate) async fn stop_remotely(
    unsupported: &UnsupportedRoutes,
    client: &Client,
    prompt_id: &str,
    runs: bool,
) -> Result<(), ClientError> {
    if !unsupported.cancel_job.load(Ordering::Relaxed) {
        match client.cancel_job(prompt_id).await {
            Ok(Supported::Yes(())) => return Ok(()),
            Ok(Supported::No) => unsupported.cancel_job.store(true, Ordering::Relaxed),
            Err(error) if error.is_silence() => return Err(error),
            Err(error) => tracing::debug!(prompt_id, %error, "a job cannot be cancelled in one step"),
        }
    }
    match runs {
        // Versions that interrupt whatever runs were just asked whether it is this job.
        true => client.interrupt(prompt_id).await,
        // It may start before ComfyUI receives this. The next look shows it.
        false => client.delete_pending(prompt_id).await,
    }
}

impl UnsupportedRoutes {
    /// Forgets what was found out.
    pub fn reset(&self) {
        self.job_state.store(false, Ordering::Relaxed);
        self.cancel_job.store(false, Ordering::Relaxed);
    }

    /// Returns whether ComfyUI may be asked about single jobs.
    pub fn has_job_state(&self) -> bool {
        !self.job_state.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_in_the_queue_follow_the_order_in_which_comfyui_will_run_prompts() {
        let queue = br#"{"queue_running": [[5, "runs"]],
            "queue_pending": [[NaN, "whenever"], [9, "last"], [7, "next"], [-8, "at the front"]]}"#;
        let positions = QueuePositions::new(Queue::from_json(queue).unwrap());
        let places =
            ["runs", "at the front", "next", "last", "whenever", "unknown"].map(|id| positions.position(id));
        assert_eq!(places, [Some(0), Some(1), Some(2), Some(3), Some(4), None]);
    }
}
