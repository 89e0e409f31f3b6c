//! Recording a new job and adding it to the table, and undoing that.

use comfy_runner_store::{Created, Record, StoreError};

use crate::durations::load_durations;
use crate::job::{Job, Needs, SubmissionState};
use crate::jobs::Jobs;
use crate::kept_places::KeptPlace;
use crate::partner_key::PartnerKey;
use crate::submit_error::SubmitError;

/// What came of recording a job.
pub(crate) enum Recorded {
    /// It is new. If it is to be submitted now, it is guarded until ComfyUI has answered.
    New { in_flight: Option<InFlightGuard> },
    /// It was recorded before; nothing was written.
    Known(Box<Record>),
}

/// Records a job in the store and adds it to the table: as one that is being submitted to the ComfyUI with this place, or as
/// one that waits, with its key for partner nodes. It is done even if the caller stops waiting.
pub(crate) async fn create_record(
    jobs: &Jobs,
    record: &Record,
    needs: Needs,
    place: Option<KeptPlace>,
    key: Option<PartnerKey>,
) -> Result<Recorded, StoreError> {
    let (jobs, record) = (jobs.clone(), record.clone());
    let recording = actix_rt::spawn(async move {
        match jobs.note_recorded(jobs.store().create(record.clone()).await)? {
            Created::New => {}
            Created::Known(known) | Created::Repeated(known) => return Ok(Recorded::Known(known)),
        }
        load_durations(&jobs, &record.summary.workflow_id).await;
        if let Some(place) = place {
            return Ok(Recorded::New { in_flight: Some(insert_in_flight(&jobs, &record, needs, place)) });
        }
        let mut job = Job::with_needs(&record, needs, SubmissionState::Waiting, jobs.now());
        job.partner_key = key;
        jobs.insert_waiting(job);
        Ok(Recorded::New { in_flight: None })
    });
    recording.await.map_err(|_| StoreError::Stopped)?
}

/// Records a job that is in the table, and that cannot have a record yet.
pub(crate) async fn record_new(jobs: Jobs, record: Record) -> Result<(), StoreError> {
    let prompt_id = record.summary.prompt_id.clone();
    match jobs.note_recorded(jobs.store().create(record).await)? {
        Created::New => Ok(()),
        Created::Known(known) | Created::Repeated(known) => {
            Err(StoreError::Record(format!("\"{prompt_id}\" was taken for \"{}\"", known.summary.prompt_id)))
        }
    }
}

/// Adds a job that is being submitted to the ComfyUI with this place to the table.
pub(crate) fn insert_in_flight(
    jobs: &Jobs,
    record: &Record,
    needs: Needs,
    place: KeptPlace,
) -> InFlightGuard {
    place.give_to_new(Job::with_needs(record, needs, SubmissionState::InFlight, jobs.now()));
    InFlightGuard::new(jobs, &record.summary.prompt_id)
}

/// Withdraws a job that ComfyUI does not have, as this error says. A job that cannot be withdrawn ends as an error.
pub(crate) async fn withdraw_after(jobs: &Jobs, record: &Record, error: &SubmitError) {
    let never_arrived = matches!(
        error,
        SubmitError::Refused(_) | SubmitError::Client(_) | SubmitError::WrongId(_) | SubmitError::Files(_)
    );
    if !never_arrived {
        return;
    }
    let prompt_id = &record.summary.prompt_id;
    match jobs.store().withdraw(prompt_id).await {
        Ok(_) => jobs.remove(prompt_id),
        Err(failure) => {
            tracing::error!(error = %failure, prompt_id, "a job that ComfyUI has not accepted cannot be withdrawn");
            jobs.change(prompt_id, |job| {
                job.missed_messages = false;
                job.progress.failed(error.to_string())
            });
        }
    }
}

/// Guards a prompt that is being submitted. If it is dropped before ComfyUI has answered, because the caller stopped
/// waiting, the queue and the history must decide whether ComfyUI accepted the prompt.
pub(crate) struct InFlightGuard {
    jobs: Jobs,
    prompt_id: String,
}

impl InFlightGuard {
    /// Marks a job that is in memory as being submitted.
    pub fn new(jobs: &Jobs, prompt_id: &str) -> Self {
        jobs.change(prompt_id, |job| job.submission = SubmissionState::InFlight);
        Self { jobs: jobs.clone(), prompt_id: prompt_id.to_owned() }
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let now = self.jobs.now();
        self.jobs.change(&self.prompt_id, |job| {
            if job.submission == SubmissionState::InFlight {
                job.submission = SubmissionState::Unconfirmed(now);
                job.missed_messages = true;
                job.last_message = now;
            }
        });
    }
}
