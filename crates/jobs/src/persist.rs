//! Jobs in the store: open ones are loaded when the process starts, changes are written as they come, and old records are
//! deleted.

use std::time::Duration;

use comfy_runner_store::{Retention, StoreError};

use crate::durations::{flush_durations, load_durations};
use crate::job::{Job, SubmissionState};
use crate::job_times::{flush_job_times, load_job_times};
use crate::jobs::Jobs;
use crate::state::unix_millis;
use crate::warm::load_warm_models;

/// The number of records that are read or written at once.
const BATCH: usize = 100;

/// How long changes are gathered, so that they are written together and not while the caller of the first one waits for its
/// answer.
const TOGETHER: Duration = Duration::from_millis(10);

/// The pause after a write that failed: the first one, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// The number of event ids that are reserved for a process: more than it can use, and few enough that ids stay exact in
/// JSON after a million restarts.
const EVENT_IDS: u64 = 1 << 32;

/// How often old records are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// See [`Jobs::load`].
pub(crate) async fn load(jobs: &Jobs) -> Result<usize, StoreError> {
    // The clock may have been set back since the previous process.
    let now = u64::try_from(unix_millis()).unwrap_or_default();
    let first = jobs.store().reserve_event_ids(now, EVENT_IDS).await?;
    jobs.lock().table.number_events_from(first);
    load_job_times(jobs).await?;
    let draining = jobs.store().draining().await?;
    draining.iter().for_each(|comfyui| jobs.lock().pool.set_draining(comfyui, true));
    load_warm_models(jobs).await?;
    let mut loaded = 0;
    let mut after = None;
    loop {
        let records = jobs.store().open(after.as_deref(), BATCH as u32).await?;
        let Some(last) = records.last() else { return Ok(loaded) };
        after = Some(last.summary.prompt_id.clone());
        loaded += records.len();
        for record in &records {
            load_durations(jobs, &record.summary.workflow_id).await;
        }
        let now = jobs.now();
        let mut waiting = Vec::new();
        let mut state = jobs.lock();
        for record in &records {
            let outcome = &record.summary.outcome;
            if outcome.answered && outcome.comfyui.is_none() {
                waiting.push(Job::from_record(record, SubmissionState::Waiting, now));
                continue;
            }
            let submission =
                if outcome.accepted { SubmissionState::Accepted } else { SubmissionState::Recovered(now) };
            let job = Job { missed_messages: true, ..Job::from_record(record, submission, now) };
            // One of a ComfyUI that is no longer configured keeps its name, and is lost.
            let comfyui = state.pool.owner(outcome.comfyui.as_deref()).or_else(|| job.comfyui.clone());
            jobs.insert_into(&mut state, Job { comfyui, ..job });
        }
        drop(state);
        waiting.into_iter().for_each(|job| jobs.insert_waiting(job));
    }
}

/// See [`Jobs::flush`].
pub(crate) async fn flush(jobs: &Jobs) -> Result<(), StoreError> {
    while write_some(jobs).await? {}
    flush_durations(jobs).await?;
    flush_job_times(jobs).await
}

/// Writes the changes that there are now, so that the store selects jobs by the states that callers have seen. A store that cannot
/// be written can still be read.
pub(crate) async fn write_present(jobs: &Jobs) {
    let changes = jobs.lock().table.unwritten_count();
    for _ in 0..changes.div_ceil(BATCH) {
        match write_some(jobs).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::warn!(%error, "jobs are listed by states that are not the latest"),
        }
    }
}

/// Writes the present state of a job, durably. It stays among the changes that are to be written: of two writes at the same
/// time either may come last, and the next one puts an older state right.
pub(crate) async fn write(jobs: &Jobs, prompt_id: &str) -> Result<(), StoreError> {
    let outcome = jobs.lock().table.get(prompt_id).map(Job::outcome);
    match outcome {
        Some(outcome) => jobs.store().update(vec![(prompt_id.to_owned(), outcome)]).await,
        None => Ok(()),
    }
}

/// Writes some of the changes, and returns whether there were any.
async fn write_some(jobs: &Jobs) -> Result<bool, StoreError> {
    let unwritten = jobs.lock().table.unwritten(BATCH);
    if unwritten.is_empty() {
        return Ok(false);
    }
    let changes: Vec<_> = unwritten.iter().map(|(change, id, _)| (*change, id.clone())).collect();
    let outcomes = unwritten.into_iter().map(|(_, id, outcome)| (id, outcome)).collect();
    jobs.store().update(outcomes).await?;
    let mut state = jobs.lock();
    for (change, id) in changes {
        if state.table.written(&id, change) {
            jobs.written().notify_waiters();
        }
    }
    Ok(true)
}

/// Writes changes as they come. The jobs that changed are the queue, so a job that changes twice is written once.
pub(crate) async fn write_changes(jobs: &Jobs) {
    let mut pause = PAUSES.0;
    loop {
        match write_some(jobs).await {
            Ok(true) => pause = PAUSES.0,
            Ok(false) => {
                jobs.unwritten().notified().await;
                tokio::time::sleep(TOGETHER).await;
            }
            Err(error) => {
                tracing::error!(%error, "the state of jobs cannot be written; will try again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Deletes old records, now and then.
pub(crate) async fn prune(jobs: &Jobs) {
    let (keep_for, keep) = (jobs.config().keep_for, jobs.config().keep_recorded);
    if keep_for.is_none() && keep.is_none() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(PRUNE_EVERY);
    loop {
        ticks.tick().await;
        let age = keep_for.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let before = age.map(|age| unix_millis().saturating_sub(age));
        match jobs.store().prune(Retention::new(before, keep)).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "old records were deleted"),
            Err(error) => tracing::error!(%error, "old records cannot be deleted; will try again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use comfy_runner_api::Status;
    use comfy_runner_protocol::{Graph, NodeOutput};
    use comfy_runner_store::{Outcome, Record, Sqlite, Store as _, Summary};
    use serde_json::json;

    use super::*;
    use crate::config::JobsConfig;
    use crate::jobs::tests::status;
    use crate::lost_jobs::Loss;
    use crate::remote_state::RemoteState;

    fn record(prompt_id: &str, accepted: bool) -> Record {
        let graph = json!({"1": {"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Save"}}});
        let mut summary = Summary::new(prompt_id, "client", "w", 1);
        summary.outcome = Outcome::new(Status::Pending, accepted);
        Record::new(summary, Arc::new(Graph::from_value(graph).unwrap()))
    }

    #[actix_rt::test]
    async fn the_next_process_has_the_open_jobs_and_not_those_that_are_over() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        for id in ["runs", "waits", "ends"] {
            store.create(record(id, true)).await.unwrap();
        }
        store.create(record("unsure", false)).await.unwrap();
        let before = Jobs::new(JobsConfig::default(), Arc::clone(&store) as _);
        assert_eq!(before.load().await.unwrap(), 4);
        before.change("runs", |job| job.progress.started());
        before.change("ends", |job| {
            let output: NodeOutput =
                serde_json::from_value(json!({"images": [{"filename": "a.png", "type": "output"}]})).unwrap();
            let outputs = [("1".to_owned(), output)].into_iter().collect();
            let entry = comfy_runner_protocol::HistoryEntry {
                prompt: json!(null),
                outputs,
                status: None,
                meta: json!(null),
            };
            job.progress.finish(&entry);
        });
        before.flush().await.unwrap();

        let after = Jobs::new(JobsConfig::default(), store);
        assert_eq!(after.load().await.unwrap(), 3);
        assert_eq!(after.socket_id(), before.socket_id());
        assert_eq!(status(&after, "runs"), Some(Status::Running));
        assert_eq!(status(&after, "waits"), Some(Status::Pending));
        assert_eq!(status(&after, "ends"), None);
        let table = &mut after.lock().table;
        assert!(table.open().all(|job| job.missed_messages), "their messages were missed meanwhile");
        assert!(table.get("waits").unwrap().is_accepted() && !table.get("unsure").unwrap().is_accepted());
    }

    #[actix_rt::test]
    async fn jobs_are_listed_by_the_states_that_callers_have_seen() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        store.create(record("a", true)).await.unwrap();
        let jobs = Jobs::new(JobsConfig::default(), store);
        jobs.load().await.unwrap();
        jobs.change("a", |job| job.progress.failed("it failed".to_owned()));
        let listed = async |status| {
            let mut filter = comfy_runner_store::Filter::default();
            filter.statuses = vec![status];
            jobs.list(filter).await.unwrap().jobs.len()
        };
        assert_eq!((listed(Status::Error).await, listed(Status::Pending).await), (1, 0));
    }

    #[actix_rt::test]
    async fn ids_of_events_rise_from_one_process_to_the_next_although_the_clock_was_set_back() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        // A process whose clock was a century ahead.
        let ahead = u64::try_from(unix_millis()).unwrap() + 100 * 365 * 24 * 60 * 60 * 1000;
        let last = store.reserve_event_ids(ahead, 1000).await.unwrap() + 999;
        store.create(record("a", true)).await.unwrap();
        let mut before = last;
        for _ in 0..2 {
            let jobs = Jobs::new(JobsConfig::default(), Arc::clone(&store) as _);
            jobs.load().await.unwrap();
            jobs.change("a", |job| job.progress.started());
            let id = jobs.lock().table.log().last_event();
            assert!(id > before, "{id} after {before}");
            before = id;
        }
    }

    #[actix_rt::test]
    async fn a_job_that_was_to_stop_when_the_process_died_is_cancelled_and_not_lost() {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        for id in ["to stop", "unsure", "lost"] {
            store.create(record(id, id != "unsure")).await.unwrap();
        }
        let before = Jobs::new(JobsConfig::default(), Arc::clone(&store) as _);
        before.load().await.unwrap();
        for id in ["to stop", "unsure"] {
            before.change(id, |job| job.cancel_asked = true);
        }
        before.flush().await.unwrap();

        let after = Jobs::new(JobsConfig::default(), store);
        after.load().await.unwrap();
        let later = after.now() + Duration::from_secs(60);
        let settle = |id| {
            let loss = after.change(id, |job| job.settle(RemoteState::Unknown, later, after.config()));
            (status(&after, id).unwrap(), loss.flatten())
        };
        assert_eq!(settle("to stop"), (Status::Cancelled, None));
        assert_eq!(settle("unsure"), (Status::Cancelled, None));
        assert_eq!(settle("lost"), (Status::Pending, Some(Loss::Dropped)));
    }

    #[actix_rt::test]
    async fn a_job_that_is_over_looks_the_same_when_the_store_gives_it_back() {
        let store = Sqlite::in_memory().unwrap();
        store.create(record("a", true)).await.unwrap();
        let jobs = Jobs::new(JobsConfig::default(), Arc::new(store.clone()));
        jobs.load().await.unwrap();
        jobs.change("a", |job| job.progress.failed("it broke"));
        jobs.flush().await.unwrap();
        let given_back = store.get("a").await.unwrap().unwrap();
        let job = Job::from_record(&given_back, SubmissionState::Accepted, Duration::ZERO);
        assert_eq!(job.outcome(), given_back.summary.outcome);
        assert_eq!((job.progress.status(), job.progress.error()), (Status::Error, Some("it broke")));
    }

    #[actix_rt::test]
    async fn old_jobs_are_forgotten_while_jobs_are_followed() {
        let store = Sqlite::in_memory().unwrap();
        let config = JobsConfig::default().with_retention(None, Some(1));
        let jobs = Jobs::new(config, Arc::new(store.clone()));
        for id in ["old", "new", "open"] {
            store.create(record(id, true)).await.unwrap();
        }
        jobs.load().await.unwrap();
        for id in ["old", "new"] {
            jobs.change(id, |job| job.progress.failed("it broke"));
        }
        jobs.flush().await.unwrap();
        let left = async || {
            let left = store.list(Default::default()).await.unwrap().jobs;
            left.into_iter().map(|job| job.prompt_id).collect::<Vec<_>>()
        };
        tokio::select! {
            () = prune(&jobs) => panic!("it goes on for ever"),
            () = async { while left().await.len() == 3 { tokio::task::yield_now().await } } => {}
        }
        assert_eq!(left().await, ["open", "new"]);
    }
}
