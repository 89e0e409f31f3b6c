//! Looking up a recorded job with more detail than its status has.

use std::cmp::Ordering;

use comfy_runner_api::{JobDetails, NodeRef, ProgressDetails, Status};
use comfy_runner_scheduler::JobQueue as _;
use comfy_runner_store::StoreError;

use crate::job::{Job, SubmissionState};
use crate::jobs::Jobs;
use crate::lookup::may_be_an_id;
use crate::records::RecordError;
use crate::state::State;

/// See [`Jobs::details`].
pub(crate) async fn details(jobs: &Jobs, prompt_id: &str) -> Result<JobDetails, RecordError> {
    if let Some(known) = in_memory(jobs, prompt_id) {
        return known.ok_or_else(|| RecordError::Unknown(prompt_id.to_owned()));
    }
    let record = recorded(jobs, prompt_id).await?;
    let job = record.ok_or_else(|| RecordError::Unknown(prompt_id.to_owned()))?;
    // It may have been added since the first look.
    if let Some(Some(known)) = in_memory(jobs, prompt_id) {
        return Ok(known);
    }
    let details = job_details(&job, None);
    if job.is_over() {
        jobs.insert_ended(job);
    }
    Ok(details)
}

/// Returns the job of a record.
async fn recorded(jobs: &Jobs, prompt_id: &str) -> Result<Option<Job>, StoreError> {
    if !may_be_an_id(prompt_id) {
        return Ok(None);
    }
    let record = jobs.store().get(prompt_id).await?;
    Ok(record.map(|record| Job::from_record(&record, SubmissionState::Accepted, jobs.now())))
}

/// Returns the details of a job that is in memory, or `Some(None)` if that job has no record.
fn in_memory(jobs: &Jobs, prompt_id: &str) -> Option<Option<JobDetails>> {
    let state = jobs.lock();
    let job = state.table.get(prompt_id)?;
    let waits = job.progress.status() == Status::Pending;
    Some(job.recorded.then(|| job_details(job, waits.then(|| queue_position(&state, job)))))
}

/// Returns the place of a waiting job: those that wait at ComfyUIs go before those of our queue, in the order in which they
/// were submitted.
fn queue_position(state: &State, job: &Job) -> usize {
    let at_comfyuis = state.table.pending().filter(|job| !job.is_waiting());
    if let Some(before) = state.queue.position(job.progress.prompt_id()) {
        return 1 + at_comfyuis.count() + before;
    }
    let before = |other: &Job| {
        let order = other.queued_at.cmp(&job.queued_at);
        order.then_with(|| other.progress.prompt_id().cmp(job.progress.prompt_id())) == Ordering::Less
    };
    1 + at_comfyuis.filter(|other| before(other)).count()
}

fn job_details(job: &Job, queue_position: Option<usize>) -> JobDetails {
    let progress = &job.progress;
    let (nodes_done, nodes_total) = progress.nodes();
    let (step, total_steps) = progress.steps();
    let current_node = progress
        .current_node()
        .map(|(id, class_type)| NodeRef { id: id.to_owned(), class_type: Some(class_type.to_owned()) });
    let failed_node = progress
        .failed_node()
        .map(|id| NodeRef { id: id.to_owned(), class_type: progress.class_type(id).map(str::to_owned) });
    JobDetails {
        prompt_id: progress.prompt_id().to_owned(),
        status: progress.status(),
        cancel_asked: job.cancel_asked,
        comfyui: job.comfyui.as_deref().map(str::to_owned),
        queued_at: job.queued_at,
        started_at: job.started_at,
        finished_at: job.finished_at,
        queue_position,
        progress: ProgressDetails {
            percent: progress.percent(),
            nodes_done,
            nodes_total,
            current_node,
            step,
            total_steps,
        },
        used_cache: progress.used_cache(),
        error: progress.error().map(str::to_owned),
        failed_node,
        outputs: progress.reported(),
        warnings: job.warnings.clone(),
        metadata: job.metadata.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use comfy_runner_protocol::{Graph, NodeOutput};
    use comfy_runner_store::{Record, Summary};
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;
    use crate::job::tests::job;
    use crate::jobs::tests::jobs;

    fn details_of(jobs: &Jobs, prompt_id: &str) -> JobDetails {
        details(jobs, prompt_id).now_or_never().expect("it is in memory").unwrap()
    }

    #[test]
    fn waiting_jobs_have_places_in_the_order_of_their_submission() {
        let jobs = jobs(&[], 10);
        for (prompt_id, queued_at) in [("third", 3), ("first", 1), ("second", 2), ("zero", 0)] {
            jobs.insert(Job { queued_at, ..job(prompt_id) });
        }
        jobs.change("zero", |job| job.progress.started());
        let place = |prompt_id| details_of(&jobs, prompt_id).queue_position;
        assert_eq!(["first", "second", "third"].map(place), [Some(1), Some(2), Some(3)]);
        assert_eq!(place("zero"), None, "it runs");
    }

    #[tokio::test]
    async fn a_job_that_is_no_longer_in_memory_is_read_from_its_record() {
        let jobs = jobs(&[], 10);
        let graph = json!({"1": {"class_type": "Shows", "inputs": {}}});
        let mut summary = Summary::new("p", "c", "w", 5);
        summary.metadata = Some(json!({"team": "a"}));
        summary.outcome.status = Status::Error;
        summary.outcome.error = Some("it broke".to_owned());
        summary.outcome.failed_node = Some("1".to_owned());
        summary.outcome.texts = [("1".to_owned(), vec!["hello".to_owned()])].into_iter().collect();
        (summary.outcome.started_at, summary.outcome.finished_at) = (Some(6), Some(7));
        let record = Record::new(summary, Arc::new(Graph::from_value(graph).unwrap()));
        jobs.store().create(record).await.unwrap();
        for _ in 0..2 {
            let details = details(&jobs, "p").await.unwrap();
            assert_eq!((details.status, details.error.as_deref()), (Status::Error, Some("it broke")));
            let failed = NodeRef { id: "1".to_owned(), class_type: Some("Shows".to_owned()) };
            assert_eq!(details.failed_node, Some(failed));
            assert_eq!(details.outputs[0].texts, ["hello"]);
            assert_eq!(details.metadata.as_deref(), Some(&json!({"team": "a"})));
            assert_eq!((details.started_at, details.finished_at), (Some(6), Some(7)));
        }
        assert!(matches!(details(&jobs, "q").await, Err(RecordError::Unknown(_))));
    }

    #[test]
    fn texts_and_files_come_with_the_node_that_reported_them() {
        let jobs = jobs(&[], 10);
        jobs.insert(Job { recorded: true, ..job("p") });
        let output = json!({"text": ["t"], "images": [{"filename": "a.png", "type": "output"}]});
        let output: NodeOutput = serde_json::from_value(output).unwrap();
        jobs.change("p", |job| {
            let message =
                json!({"type": "executed", "data": {"node": "1", "output": output, "prompt_id": "p"}});
            let message = comfy_runner_protocol::Message::parse(&message.to_string()).unwrap();
            job.progress.apply(&message, std::time::Duration::ZERO)
        });
        let [node] = &details_of(&jobs, "p").outputs[..] else { panic!("one node") };
        assert_eq!((node.node_id.as_str(), node.texts.len(), node.files.len()), ("1", 1, 1));
        assert_eq!(node.files[0].filename, "a.png");
    }
}
