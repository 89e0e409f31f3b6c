//! Giving waiting jobs to ComfyUIs, as those get room.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_client::Client;
use comfy_runner_scheduler::JobQueue as _;

use crate::clients::Clients;
use crate::create::InFlightGuard;
use crate::eligible;
use crate::job::SubmissionState;
use crate::jobs::Jobs;
use crate::persist::write;
use crate::place::{next_jobs, use_models};
use crate::send::send;
use crate::submit_error::SubmitError;

/// How long a ComfyUI that did not answer gets no jobs of the queue.
const PAUSE: Duration = Duration::from_secs(1);

/// Gives waiting jobs to ComfyUIs, for ever.
pub(crate) async fn dispatch(jobs: &Jobs, clients: &Clients) {
    loop {
        for (comfyui, prompt_ids) in take(jobs) {
            let Some(client) = clients.get(&comfyui) else {
                prompt_ids.iter().for_each(|prompt_id| send_back(jobs, prompt_id));
                continue;
            };
            let sending = Sending::new(jobs, &comfyui);
            // Beside this loop, so that a ComfyUI which is slow to answer does not delay the others.
            actix_rt::spawn(async move {
                for prompt_id in prompt_ids {
                    give(&sending.jobs, &client, &sending.comfyui, &prompt_id).await;
                }
            });
        }
        jobs.dispatcher_woken().await;
    }
}

/// Takes the jobs from the queue that can be given to ComfyUIs now, in their order.
fn take(jobs: &Jobs) -> Vec<(Arc<str>, Vec<String>)> {
    let placed = next_jobs(&jobs.lock());
    let mut taken: Vec<(Arc<str>, Vec<String>)> = Vec::new();
    for (prompt_id, comfyui) in placed {
        let is_cold = {
            let mut state = jobs.lock();
            let Some(models) = state.table.get(&prompt_id).map(|job| Arc::clone(&job.needs.models)) else {
                continue;
            };
            if state.queue.take(&prompt_id).is_none() {
                continue;
            }
            use_models(&mut state, &comfyui, &models)
        };
        jobs.change(&prompt_id, |job| {
            job.submission = SubmissionState::InFlight;
            job.comfyui = Some(Arc::clone(&comfyui));
            job.needs.is_cold = Some(is_cold);
        });
        match taken.iter_mut().find(|(name, _)| *name == comfyui) {
            Some((_, prompt_ids)) => prompt_ids.push(prompt_id),
            None => taken.push((comfyui, vec![prompt_id])),
        }
    }
    taken
}

/// Marks a ComfyUI as being sent jobs: the order of the queue would be lost if others were sent beside them.
struct Sending {
    jobs: Jobs,
    comfyui: Arc<str>,
}

impl Sending {
    fn new(jobs: &Jobs, comfyui: &Arc<str>) -> Self {
        jobs.set_sending(comfyui, true);
        Self { jobs: jobs.clone(), comfyui: Arc::clone(comfyui) }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.jobs.set_sending(&self.comfyui, false);
    }
}

/// Gives a job to a ComfyUI. A job that cannot be given to it goes back to the queue, or ends if no ComfyUI is left that can
/// run it.
async fn give(jobs: &Jobs, client: &Client, comfyui: &str, prompt_id: &str) {
    let in_flight = InFlightGuard::new(jobs, prompt_id);
    // Recorded first: after a crash, the job must be looked for where it may be.
    let (record, written) = futures::join!(jobs.store().get(prompt_id), write(jobs, prompt_id));
    let record = match record {
        Ok(Some(record)) => record,
        // It was deleted.
        Ok(None) => return jobs.remove(prompt_id),
        Err(error) => {
            tracing::error!(%error, prompt_id, "a waiting job cannot be read; will try again");
            jobs.pause(comfyui, PAUSE);
            return send_back(jobs, prompt_id);
        }
    };
    let (key, is_cancelled) = {
        let state = jobs.lock();
        let job = state.table.get(prompt_id);
        (job.and_then(|job| job.partner_key.clone()), job.is_none_or(|job| job.cancel_asked || job.is_over()))
    };
    if is_cancelled {
        jobs.change(prompt_id, |job| job.progress.cancelled());
        return;
    }
    if let Err(error) = written {
        tracing::error!(%error, prompt_id, "a job is not given to a ComfyUI, as that cannot be recorded; will try again");
        jobs.pause(comfyui, PAUSE);
        return send_back(jobs, prompt_id);
    }
    let missed_messages = !jobs.is_connected(comfyui);
    jobs.change(prompt_id, |job| job.missed_messages = missed_messages);
    let error = match send(jobs, client, comfyui, &record, key.as_ref()).await {
        Ok(_) => return,
        Err(error) => error,
    };
    match error {
        // The queue and the history of the ComfyUI will show whether it has the job.
        SubmitError::Unconfirmed { error, .. } => {
            jobs.note_error(comfyui, &error);
            drop(in_flight);
        }
        SubmitError::Client(error) if error.is_unreachable() => {
            jobs.note_error(comfyui, &error);
            jobs.pause(comfyui, PAUSE);
            send_back(jobs, prompt_id);
        }
        SubmitError::Store(error) => {
            tracing::error!(%error, prompt_id, "a job cannot be recorded; will try again");
            jobs.pause(comfyui, PAUSE);
            send_back(jobs, prompt_id);
        }
        error => give_up(jobs, comfyui, prompt_id, &error),
    }
}

/// Puts a job back into the queue.
pub(crate) fn send_back(jobs: &Jobs, prompt_id: &str) {
    jobs.change(prompt_id, crate::job::Job::wait);
    jobs.enqueue(&mut jobs.lock(), prompt_id);
    jobs.wake_dispatcher();
}

/// Sends a job that this ComfyUI does not take to another one, or ends it.
fn give_up(jobs: &Jobs, comfyui: &str, prompt_id: &str, error: &SubmitError) {
    let others = jobs.change(prompt_id, |job| {
        let others = job.needs.eligible.iter().filter(|name| ***name != *comfyui);
        job.needs.eligible = others.cloned().collect();
        !job.needs.eligible.is_empty()
    });
    tracing::warn!(prompt_id, comfyui, %error, "a ComfyUI does not take a job that waited");
    match others {
        Some(true) => send_back(jobs, prompt_id),
        _ => {
            jobs.change(prompt_id, |job| {
                job.progress.failed(error.to_string());
                job.close_history();
            });
        }
    }
}

/// Finds out which ComfyUIs can run the waiting jobs, whenever a ComfyUI may have got other node types or models. A job that
/// none can run any more ends.
pub(crate) async fn find_eligible(jobs: &Jobs, clients: &Clients) {
    loop {
        let (unknown, as_of) = unknown(jobs);
        let is_done = unknown.is_empty();
        for prompt_id in unknown {
            let record = match jobs.store().get(&prompt_id).await {
                Ok(Some(record)) => record,
                Ok(None) => {
                    jobs.remove(&prompt_id);
                    continue;
                }
                Err(error) => {
                    tracing::error!(%error, prompt_id, "a waiting job cannot be read; will try again");
                    jobs.schemas_changed().await;
                    break;
                }
            };
            let found = eligible::find(jobs, clients, &record, false).await;
            jobs.change(&prompt_id, |job| match found {
                Ok(found) => {
                    job.needs.eligible_as_of = found.as_of;
                    job.needs.eligible = elsewhere_first(found.names, &job.stopped);
                }
                Err(SubmitError::Refused(refusal)) if job.is_waiting() => {
                    job.progress.failed(refusal.detail);
                    job.close_history();
                }
                Err(error) => {
                    // Until the settings or the schemas change.
                    job.needs.eligible_as_of = as_of;
                    tracing::warn!(prompt_id = job.progress.prompt_id(), %error, "a job waits for a ComfyUI that can run it");
                }
            });
            jobs.wake_dispatcher();
        }
        if is_done {
            jobs.schemas_changed().await;
        }
    }
}

/// Returns the waiting jobs for which the ComfyUIs that can run them now are unknown, the next one first, and the state of all
/// schemas.
fn unknown(jobs: &Jobs) -> (Vec<String>, u64) {
    let mut state = jobs.lock();
    let as_of = state.pool.schemas();
    if state.eligible_as_of >= as_of {
        return (Vec::new(), as_of);
    }
    let waiting = state.queue.in_order().filter_map(|waiting| state.table.get(&waiting.id));
    let unknown = waiting.filter(|job| job.is_waiting() && job.needs.eligible_as_of < as_of);
    let unknown: Vec<_> = unknown.map(|job| job.progress.prompt_id().to_owned()).collect();
    if unknown.is_empty() {
        state.eligible_as_of = as_of;
    }
    (unknown, as_of)
}

/// Returns the ComfyUIs that did not stop while they ran the job; all of them if every one did.
fn elsewhere_first(names: Arc<[Arc<str>]>, stopped: &[String]) -> Arc<[Arc<str>]> {
    let has_stopped = |name: &&Arc<str>| stopped.iter().any(|stopped| **stopped == ***name);
    match stopped.is_empty() || names.iter().all(|name| has_stopped(&name)) {
        true => names,
        false => names.iter().filter(|name| !has_stopped(name)).cloned().collect(),
    }
}
