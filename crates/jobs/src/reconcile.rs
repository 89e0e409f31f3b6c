//! Comparing jobs with ComfyUI's queue and history, after a lost connection or a silence.

use std::collections::BTreeMap;

use comfy_runner_client::{Client, ClientError};
use futures::{StreamExt as _, stream};

use crate::clients::Clients;
use crate::job::SubmissionState;
use crate::jobs::Jobs;
use crate::lost_jobs::{Loss, lose};
use crate::remote_state::{QueuePositions, RemoteState};

/// The number of jobs that are looked up at once.
const LOOKUPS_AT_ONCE: usize = 8;

/// Compares the jobs of a ComfyUI with its queue and history: those without a message for a while, those whose end only the history knows, or `all` of
/// them. A job that is just being submitted is left alone. A failure with one job does not affect the others.
///
/// # Errors
/// ComfyUI does not answer.
pub(crate) async fn reconcile(
    jobs: &Jobs,
    clients: &Clients,
    comfyui: &str,
    client: &Client,
    all: bool,
) -> Result<(), ClientError> {
    let due = due(jobs, comfyui, all);
    if due.is_empty() {
        return Ok(());
    }
    let unsupported = &*jobs.unsupported(comfyui);
    // A few jobs are looked up one by one where that is possible: the queue has the graphs of all prompts.
    let queue = match due.len() <= LOOKUPS_AT_ONCE && unsupported.has_job_state() {
        true => None,
        false => Some(QueuePositions::fetch(client).await?),
    };
    let lookups = due.iter().enumerate().map(|(position, prompt_id)| {
        let queue = queue.as_ref();
        async move {
            let state = match queue {
                Some(queue) => RemoteState::from_queue(client, queue, prompt_id).await,
                None => RemoteState::look_up(unsupported, client, prompt_id).await,
            };
            (position, prompt_id, state)
        }
    });
    let mut lookups = stream::iter(lookups).buffer_unordered(LOOKUPS_AT_ONCE);
    let mut lost = BTreeMap::new();
    let mut answered = Ok(());
    while let Some((position, prompt_id, state)) = lookups.next().await {
        match state {
            Ok(state) => {
                if let Some(loss) = settle(jobs, prompt_id, state) {
                    lost.insert(position, (prompt_id, loss));
                }
            }
            Err(error) => answered = Err(error),
        }
    }
    for (prompt_id, loss) in lost.into_values() {
        if let Err(error) = lose(jobs, clients, prompt_id, loss).await {
            tracing::warn!(prompt_id, %error, "a lost job cannot be handled now; will try again");
        }
    }
    answered
}

/// Applies what ComfyUI says of a job. See [`Job::settle`](crate::job::Job::settle).
pub(crate) fn settle(jobs: &Jobs, prompt_id: &str, state: RemoteState) -> Option<Loss> {
    let now = jobs.now();
    jobs.change(prompt_id, |job| job.settle(state, now, jobs.config())).flatten()
}

/// Returns the jobs of a ComfyUI to look up, oldest first: lost jobs are submitted again in this order.
pub(crate) fn due(jobs: &Jobs, comfyui: &str, all: bool) -> Vec<String> {
    let now = jobs.now();
    let silence = jobs.config().silence;
    let mut state = jobs.lock();
    let mut due: Vec<_> = state
        .table
        .open_on(comfyui)
        .filter(|job| !matches!(job.submission, SubmissionState::InFlight | SubmissionState::Waiting))
        .filter(|job| {
            // A job that only the history can end is looked up at once, but not over and over.
            let at_once = job.needs_history && job.unreadable.is_none();
            all || at_once || now.saturating_sub(job.last_message) >= silence
        })
        .map(|job| (job.queued_at, job.progress.prompt_id().to_owned()))
        .collect();
    for (_, prompt_id) in &due {
        if let Some(job) = state.table.get_mut(prompt_id) {
            job.last_message = now;
        }
    }
    due.sort();
    due.into_iter().map(|(_, prompt_id)| prompt_id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::tests::{COMFYUI, jobs};

    #[test]
    fn jobs_are_looked_up_oldest_first_and_those_in_flight_not_at_all() {
        let jobs = jobs(&["c", "a", "b", "d"], 10);
        for (id, queued_at) in [("a", 1), ("b", 2), ("c", 3)] {
            jobs.change(id, |job| job.queued_at = queued_at);
        }
        jobs.change("d", |job| job.submission = SubmissionState::InFlight);
        assert_eq!(due(&jobs, COMFYUI, true), ["a", "b", "c"]);
        assert!(due(&jobs, COMFYUI, false).is_empty(), "they were looked up just now");
    }

    #[test]
    fn a_job_whose_history_was_unreadable_is_looked_up_again_only_after_a_silence() {
        let jobs = jobs(&["p"], 10);
        jobs.change("p", |job| job.needs_history = true);
        assert_eq!(due(&jobs, COMFYUI, false), ["p"]);
        assert_eq!(due(&jobs, COMFYUI, false), ["p"], "at once");
        let (address, request) = ("10.0.0.7:8188".to_owned(), "GET /history/p".to_owned());
        let error = ClientError::Status { address, request, status: 500, hint: String::new() };
        settle(&jobs, "p", RemoteState::Unreadable { error, has_left: true });
        assert!(due(&jobs, COMFYUI, false).is_empty());
    }
}
