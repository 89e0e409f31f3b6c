//! Finding a job by the id that a caller gives.

use comfy_runner_api::Event;

use super::serialized::Serialized;
use crate::clients::Clients;
use crate::job::Job;
use crate::jobs::Jobs;
use crate::lookup::{StatusError, recall};
use crate::state::unix_millis;

/// Makes sure that the job is in memory. One that ComfyUI still works on, for another server or for a previous process
/// that did not record it, is followed from now on: its messages go elsewhere, so the queue and the history are asked.
pub(crate) async fn find(jobs: &Jobs, clients: &Clients, prompt_id: &str) -> Result<(), StatusError> {
    if jobs.lock().table.get(prompt_id).is_some() {
        return Ok(());
    }
    let (progress, comfyui) = recall(jobs, clients, prompt_id).await?;
    if !progress.status().is_over() {
        let mut state = jobs.lock();
        if state.table.get(prompt_id).is_none() {
            let job = Job { missed_messages: true, comfyui, ..Job::from_comfyui(progress, jobs.now()) };
            jobs.insert_into(&mut state, job);
        }
    }
    Ok(())
}

/// Returns the event that ended a job, or `None` if it has not ended.
pub(crate) async fn end(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
) -> Result<Option<Serialized<Event>>, StatusError> {
    find(jobs, clients, prompt_id).await?;
    let mut state = jobs.lock();
    let Some(job) = state.table.get_with_end(prompt_id, unix_millis()) else { return Ok(None) };
    Ok(job.events.last().filter(|event| event.kind.is_end()).cloned())
}
