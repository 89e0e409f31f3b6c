//! How long nodes took in earlier jobs, by workflow: read from the store with a workflow's first job, and written back
//! when more is known.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use comfy_runner_progress::{Durations, Progress};
use comfy_runner_store::StoreError;
use tokio::time::MissedTickBehavior;

use crate::job_times::flush_job_times;
use crate::jobs::Jobs;

/// How often what was learned is written.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// What is known of the workflows that had jobs since this process started.
#[derive(Default)]
pub(crate) struct DurationCache {
    known: HashMap<String, Arc<Durations>>,
    /// The workflows whose latest durations the store does not have.
    unwritten: HashSet<String>,
}

impl DurationCache {
    /// Returns what is known of a workflow.
    pub fn get(&self, workflow_id: &str) -> Option<Arc<Durations>> {
        self.known.get(workflow_id).cloned()
    }

    /// Learns from a job that has just ended. A workflow that could not be read from the store is left alone: a single
    /// job must not replace everything that was learned before.
    pub fn learn(&mut self, workflow_id: &str, progress: &Progress) {
        if let Some(known) = self.known.get_mut(workflow_id)
            && Arc::make_mut(known).learn_from(progress)
        {
            self.unwritten.insert(workflow_id.to_owned());
        }
    }

    /// Returns a workflow whose latest durations the store does not have, and these durations.
    fn unwritten(&self) -> Option<(String, Arc<Durations>)> {
        let workflow_id = self.unwritten.iter().next()?;
        Some((workflow_id.clone(), self.get(workflow_id)?))
    }

    /// Notes that the store has this. If more was learned since, the workflow stays unwritten.
    fn written(&mut self, workflow_id: &str, durations: &Arc<Durations>) {
        if self.known.get(workflow_id).is_some_and(|known| Arc::ptr_eq(known, durations)) {
            self.unwritten.remove(workflow_id);
        }
    }
}

/// Loads what is known of a workflow, once. If the store fails, its jobs run all the same with worse estimates.
pub(crate) async fn load_durations(jobs: &Jobs, workflow_id: &str) {
    if jobs.lock().table.durations.known.contains_key(workflow_id) {
        return;
    }
    match jobs.store().durations(workflow_id).await {
        Ok(durations) => {
            let known = &mut jobs.lock().table.durations.known;
            known.entry(workflow_id.to_owned()).or_insert_with(|| Arc::new(durations));
        }
        Err(error) => {
            tracing::warn!(%error, workflow = workflow_id, "how long its nodes take cannot be read");
        }
    }
}

/// Writes everything that was learned and that the store does not have yet.
pub(crate) async fn flush_durations(jobs: &Jobs) -> Result<(), StoreError> {
    loop {
        let unwritten = jobs.lock().table.durations.unwritten();
        let Some((workflow_id, durations)) = unwritten else { return Ok(()) };
        jobs.store().remember_durations(&workflow_id, Durations::clone(&durations)).await?;
        jobs.lock().table.durations.written(&workflow_id, &durations);
    }
}

/// Writes what was learned every few seconds: only the record of an ended job must be written at once.
pub(crate) async fn write_durations(jobs: &Jobs) {
    let mut ticks = tokio::time::interval(WRITE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = flush_durations(jobs).await {
            tracing::warn!(%error, "how long nodes take cannot be written; will try again");
        }
        if let Err(error) = flush_job_times(jobs).await {
            tracing::warn!(%error, "how long jobs take cannot be written; will try again");
        }
    }
}

#[cfg(test)]
mod tests {
    use comfy_runner_api::{JobStatus, RunningStatus};
    use comfy_runner_client::SocketEvent;
    use comfy_runner_protocol::Message;
    use comfy_runner_store::Sqlite;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::JobsConfig;
    use crate::follow::apply_event;
    use crate::job::tests::job;
    use crate::jobs::tests::{COMFYUI, jobs};

    fn receive(jobs: &Jobs, kind: &str, mut data: Value, prompt_id: &str) {
        data["prompt_id"] = prompt_id.into();
        let text = json!({"type": kind, "data": data}).to_string();
        apply_event(jobs, COMFYUI, SocketEvent::Message(Message::parse(&text).unwrap()));
    }

    /// Has the one node of a job run, and the job complete.
    fn complete(jobs: &Jobs, prompt_id: &str) {
        receive(jobs, "executing", json!({"node": "1"}), prompt_id);
        receive(jobs, "execution_success", json!({}), prompt_id);
    }

    /// Returns a part of the status of a job that has just started.
    fn start<T>(jobs: &Jobs, prompt_id: &str, look: impl FnOnce(&RunningStatus) -> T) -> T {
        receive(jobs, "execution_start", json!({}), prompt_id);
        let looked = jobs.with_progress(prompt_id, |progress, now| match progress.snapshot(now) {
            JobStatus::Running(running) => look(&running),
            other => panic!("it does not run: {other:?}"),
        });
        looked.unwrap()
    }

    async fn learned(jobs: &Jobs) -> usize {
        jobs.flush().await.unwrap();
        jobs.store().durations("w").await.unwrap().iter().count()
    }

    #[actix_rt::test]
    async fn a_job_teaches_those_that_wait_already_and_those_of_the_next_process() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let process = |ids: &[&str]| {
            let jobs = Jobs::new(JobsConfig::default(), Arc::clone(&store) as _);
            ids.iter().for_each(|id| jobs.insert(job(id)));
            jobs
        };
        let first = process(&["a", "waits"]);
        load_durations(&first, "w").await;
        complete(&first, "a");
        assert!(start(&first, "waits", |running| running.eta_seconds.is_some()));
        assert_eq!(learned(&first).await, 1);

        let next = process(&["b"]);
        load_durations(&next, "w").await;
        assert!(start(&next, "b", |running| running.eta_seconds.is_some()));
    }

    #[actix_rt::test]
    async fn a_job_some_of_whose_messages_were_missed_teaches_nothing() {
        let jobs = jobs(&["cut", "looked up"], 10);
        load_durations(&jobs, "w").await;
        apply_event(&jobs, COMFYUI, SocketEvent::Disconnected { reason: "cut".into() });
        apply_event(&jobs, COMFYUI, SocketEvent::Connected);
        let history =
            json!({"outputs": {}, "status": {"status_str": "success", "completed": true, "messages": []}});
        let history: comfy_runner_protocol::HistoryEntry = serde_json::from_value(history).unwrap();
        for prompt_id in ["cut", "looked up"] {
            receive(&jobs, "executing", json!({"node": "1"}), prompt_id);
        }
        jobs.change("cut", |job| job.progress.finish(&history));
        // Its end was late by more than a look at the history.
        jobs.change("looked up", |job| job.missed_messages = false);
        jobs.change("looked up", |job| job.progress.finish(&history));
        assert_eq!(learned(&jobs).await, 0);
    }

    #[actix_rt::test]
    async fn what_could_not_be_read_is_not_written_over() {
        let jobs = jobs(&["a"], 10);
        complete(&jobs, "a");
        assert_eq!(learned(&jobs).await, 0);
        assert!(jobs.lock().table.durations.get("w").is_none());
    }
}
