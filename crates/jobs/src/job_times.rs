//! How long jobs took, for the placement of further ones: read from the store at the start, and written back when more is
//! known.

use std::collections::HashSet;
use std::sync::Arc;

use comfy_runner_scheduler::JobTimes;
use comfy_runner_store::StoreError;

use crate::jobs::Jobs;

/// What the store does not have yet of [`State::times`](crate::state::State::times).
#[derive(Debug, Default)]
pub(crate) struct UnwrittenTimes {
    workflows: HashSet<String>,
    models: HashSet<Vec<String>>,
    comfyuis: HashSet<Arc<str>>,
}

impl UnwrittenTimes {
    /// Notes that more is known of a workflow, the loading of models and a ComfyUI.
    pub fn note(&mut self, workflow_id: &str, models: &[String], comfyui: &Arc<str>) {
        if !self.workflows.contains(workflow_id) {
            self.workflows.insert(workflow_id.to_owned());
        }
        if !self.models.contains(models) {
            self.models.insert(models.to_vec());
        }
        if !self.comfyuis.contains(comfyui) {
            self.comfyuis.insert(Arc::clone(comfyui));
        }
    }

    fn is_empty(&self) -> bool {
        self.workflows.is_empty() && self.comfyuis.is_empty()
    }

    /// Returns these parts of what is known.
    fn of(&self, times: &JobTimes) -> JobTimes {
        let mut part = JobTimes::default();
        for (workflow_id, known) in times.workflows().filter(|(id, _)| self.workflows.contains(*id)) {
            part.set_workflow(workflow_id.to_owned(), known);
        }
        for (models, load) in times.loads().filter(|(models, _)| self.models.contains(*models)) {
            part.set_load(models.to_vec(), load);
        }
        for (comfyui, slowness) in times.slowness().filter(|(name, _)| self.comfyuis.contains(*name)) {
            part.set_slowness(comfyui.to_owned(), slowness);
        }
        part
    }
}

/// Loads what earlier processes learned.
pub(crate) async fn load_job_times(jobs: &Jobs) -> Result<(), StoreError> {
    let times = jobs.store().job_times().await?;
    jobs.lock().times = times;
    Ok(())
}

/// Writes everything that was learned and that the store does not have yet.
pub(crate) async fn flush_job_times(jobs: &Jobs) -> Result<(), StoreError> {
    let (unwritten, times) = {
        let mut state = jobs.lock();
        let unwritten = std::mem::take(&mut state.unwritten_times);
        let times = unwritten.of(&state.times);
        (unwritten, times)
    };
    if unwritten.is_empty() {
        return Ok(());
    }
    let written = jobs.store().remember_job_times(times).await;
    if written.is_err() {
        let UnwrittenTimes { workflows, models, comfyuis } = unwritten;
        let again = &mut jobs.lock().unwritten_times;
        again.workflows.extend(workflows);
        again.models.extend(models);
        again.comfyuis.extend(comfyuis);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use comfy_runner_client::SocketEvent;
    use comfy_runner_protocol::Message;
    use comfy_runner_scheduler::Estimate;
    use comfy_runner_store::Sqlite;
    use serde_json::json;

    use super::*;
    use crate::config::JobsConfig;
    use crate::follow::apply_event;
    use crate::job::tests::job;
    use crate::jobs::tests::{COMFYUI, empty};

    /// Has a job complete that took this long.
    fn complete(jobs: &Jobs, prompt_id: &str, is_cold: bool, took_ms: i64) {
        jobs.insert(job(prompt_id));
        jobs.change(prompt_id, |job| {
            job.needs.is_cold = Some(is_cold);
            (job.started_at, job.finished_at) = (Some(0), Some(took_ms));
        });
        for kind in ["execution_start", "execution_success"] {
            let text = json!({"type": kind, "data": {"prompt_id": prompt_id}}).to_string();
            apply_event(jobs, COMFYUI, SocketEvent::Message(Message::parse(&text).unwrap()));
        }
    }

    /// Returns how long a job takes here.
    fn expected(jobs: &Jobs) -> Option<Estimate> {
        let times = &jobs.lock().times;
        Some(times.usual("w", &[])?.times(times.slowness_of(COMFYUI)))
    }

    #[actix_rt::test]
    async fn what_loading_and_running_take_is_known_to_the_next_process() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let first = empty(JobsConfig::default(), Arc::clone(&store) as _);
        first.load().await.unwrap();
        complete(&first, "cold", true, 30_000);
        complete(&first, "warm", false, 10_000);
        let known = expected(&first).unwrap();
        assert!(known.load > Duration::from_secs(10), "{known:?}");
        first.flush().await.unwrap();
        assert!(first.lock().unwritten_times.is_empty());

        let next = empty(JobsConfig::default(), Arc::clone(&store) as _);
        next.load().await.unwrap();
        assert_eq!(expected(&next), Some(known));
    }

    #[actix_rt::test]
    async fn what_cannot_be_written_is_written_later() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let jobs = empty(JobsConfig::default(), Arc::clone(&store) as _);
        complete(&jobs, "a", false, 1000);
        comfy_runner_store::Store::close(&*store).await.unwrap();
        assert!(flush_job_times(&jobs).await.is_err());
        assert!(!jobs.lock().unwritten_times.is_empty());
    }
}
