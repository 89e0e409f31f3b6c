//! Records of jobs: listing, reading and deleting them.

use comfy_runner_api::{JobRecord, JobSummary, Timestamp};
use comfy_runner_store::{Deleted, Filter, Outcome, Page, Record, StoreError, Summary};

use crate::jobs::Jobs;
use crate::persist::{flush, write_present};

/// Why a record cannot be read or deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There is no record of such a job.
    #[error("there is no record of a job \"{0}\"")]
    Unknown(String),
    /// The job is not over.
    #[error("the job \"{0}\" is not over: wait for its end, or cancel it")]
    Active(String),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Some jobs, newest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
    /// The [`Filter::after`] of the next page; `None` on the last.
    pub next: Option<i64>,
}

/// See [`Jobs::list`].
pub(crate) async fn list(jobs: &Jobs, filter: Filter) -> Result<JobPage, StoreError> {
    let page = summaries(jobs, filter).await?;
    Ok(JobPage { jobs: page.jobs.into_iter().map(job_summary).collect(), next: page.next })
}

/// See [`Jobs::summaries`].
pub(crate) async fn summaries(jobs: &Jobs, filter: Filter) -> Result<Page, StoreError> {
    let statuses = filter.statuses.clone();
    write_present(jobs).await;
    let mut page = jobs.store().list(filter).await?;
    page.jobs.iter_mut().for_each(|job| bring_up_to_date(jobs, job));
    // A job that changed since it was written may no longer match.
    page.jobs.retain(|job| statuses.is_empty() || statuses.contains(&job.outcome.status));
    Ok(page)
}

/// See [`Jobs::record`].
pub(crate) async fn record(jobs: &Jobs, prompt_id: &str) -> Result<JobRecord, RecordError> {
    Ok(job_record(stored_record(jobs, prompt_id).await?))
}

/// Returns the store's record of a job, with the job's present state.
pub(crate) async fn stored_record(jobs: &Jobs, prompt_id: &str) -> Result<Record, RecordError> {
    let record = jobs.store().get(prompt_id).await?;
    let mut record = record.ok_or_else(|| RecordError::Unknown(prompt_id.to_owned()))?;
    bring_up_to_date(jobs, &mut record.summary);
    Ok(record)
}

/// See [`Jobs::forget`].
pub(crate) async fn forget(jobs: &Jobs, prompt_id: &str) -> Result<(), RecordError> {
    if jobs.lock().table.get(prompt_id).is_some_and(|job| !job.is_over()) {
        return Err(RecordError::Active(prompt_id.to_owned()));
    }
    // Its end may not have been written yet.
    flush(jobs).await?;
    match jobs.store().delete(prompt_id).await? {
        Deleted::Done => {
            jobs.remove(prompt_id);
            Ok(())
        }
        Deleted::Active => Err(RecordError::Active(prompt_id.to_owned())),
        Deleted::Unknown => Err(RecordError::Unknown(prompt_id.to_owned())),
    }
}

/// Gives a job the state that it has in memory, which the store may not have yet.
pub(crate) fn bring_up_to_date(jobs: &Jobs, job: &mut Summary) {
    if let Some(known) = jobs.lock().table.get(&job.prompt_id) {
        job.outcome = known.outcome();
    }
}

fn job_record(record: Record) -> JobRecord {
    let Record { summary, params, seeds, input_files, result_nodes, graph, .. } = record;
    JobRecord { summary: job_summary(summary), params, seeds, input_files, result_nodes, graph }
}

/// Returns a job as lists of the API show it.
pub(crate) fn job_summary(summary: Summary) -> JobSummary {
    let Summary { prompt_id, client_id, workflow_id, workflow_name, output_folder, retry_of, .. } = summary;
    let Outcome { status, comfyui, started_at, finished_at, error, warnings, node_errors, outputs, .. } =
        summary.outcome;
    JobSummary {
        prompt_id,
        client_id,
        workflow_id,
        workflow_name,
        output_folder,
        retry_of,
        automatic: summary.automatic,
        priority: summary.priority,
        comfyui,
        queued_at: timestamp(summary.queued_at),
        status,
        started_at: started_at.and_then(timestamp),
        finished_at: finished_at.and_then(timestamp),
        error,
        warnings,
        node_errors,
        outputs,
    }
}

/// Returns a time in milliseconds since the Unix epoch as records have it, or `None` if no calendar has it.
pub fn timestamp(millis: i64) -> Option<Timestamp> {
    Timestamp::from_unix_millis(millis)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use comfy_runner_api::Status;
    use comfy_runner_protocol::{Graph, OutputFile};

    use super::*;

    #[test]
    fn a_record_of_the_api_has_times_in_utc_and_no_key() {
        let file = OutputFile { filename: "a.png".into(), subfolder: "s".into(), kind: "output".into() };
        let mut summary = Summary::new("p", "c", "w", 1_774_362_652_123);
        summary.workflow_name = "W".into();
        summary.output_folder = "f".into();
        summary.automatic = true;
        summary.outcome = Outcome::new(Status::Completed, false);
        summary.outcome.started_at = Some(1_774_362_653_000);
        summary.outcome.outputs = [("1".to_owned(), vec![file])].into_iter().collect();
        let mut record = Record::new(summary, Arc::new(Graph::default()));
        record.params = [("a".to_owned(), 1.into())].into_iter().collect();
        record.seeds = [("seed".to_owned(), u64::MAX)].into_iter().collect();
        record.input_files = vec!["b.png".into()];
        record.result_nodes = vec!["1".into()];
        record.idempotency_key = Some("secret".into());
        let record = job_record(record);
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            concat!(
                r#"{"prompt_id":"p","client_id":"c","workflow_id":"w","workflow_name":"W","output_folder":"f","#,
                r#""retry_of":null,"automatic":true,"priority":0,"comfyui":null,"queued_at":"2026-03-24T14:30:52.123Z","status":"completed","#,
                r#""started_at":"2026-03-24T14:30:53.000Z","finished_at":null,"error":null,"warnings":[],"#,
                r#""outputs":{"1":[{"filename":"a.png","subfolder":"s","type":"output"}]},"params":{"a":1},"#,
                r#""seeds":{"seed":18446744073709551615},"input_files":["b.png"],"result_nodes":["1"],"graph":{}}"#
            )
        );
    }
}
