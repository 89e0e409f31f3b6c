//! What is remembered of jobs: listed, looked at, forgotten.

use comfy_runner_progress::Status;
use comfy_runner_store::{Deleted, Filter, Outcome, Page, Record, StoreError, Summary};

use crate::submit::{Idempotency, SubmitError, Submitted};
use crate::table::{Job, Jobs};

/// Why there is nothing to see, or to forget.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no record of such a job.
    #[error("there is no record of a job \"{0}\"")]
    Unknown(String),
    /// The job is not over.
    #[error("the job \"{0}\" is not over: wait for its end, or cancel it")]
    Active(String),
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Jobs {
    /// The jobs that fit, newest first, as they are now.
    pub async fn list(&self, filter: Filter) -> Result<Page, StoreError> {
        let statuses = filter.statuses.clone();
        let mut page = self.store().list(filter).await?;
        page.jobs.iter_mut().for_each(|job| self.bring_up_to_date(job));
        // One that has moved on since it was written does not fit any more.
        page.jobs.retain(|job| statuses.is_empty() || statuses.contains(&job.outcome.status));
        Ok(page)
    }

    /// All that is kept of a job, as it is now.
    pub async fn record(&self, prompt_id: &str) -> Result<Record, RecordError> {
        let record = self.store().get(prompt_id).await?;
        let mut record = record.ok_or_else(|| RecordError::Unknown(prompt_id.to_owned()))?;
        self.bring_up_to_date(&mut record.summary);
        Ok(record)
    }

    /// Forgets a job that is over. Its files stay, and so does what ComfyUI remembers of it.
    pub async fn forget(&self, prompt_id: &str) -> Result<(), RecordError> {
        if self.table().get(prompt_id).is_some_and(|job| !job.progress.status().is_over()) {
            return Err(RecordError::Active(prompt_id.to_owned()));
        }
        // Its end may not have been written yet.
        self.flush().await?;
        match self.store().delete(prompt_id).await? {
            Deleted::Done => {
                self.table().remove(prompt_id);
                Ok(())
            }
            Deleted::Active => Err(RecordError::Active(prompt_id.to_owned())),
            Deleted::Unknown => Err(RecordError::Unknown(prompt_id.to_owned())),
        }
    }

    /// Whether a request with this key came before, and to something.
    pub async fn is_known_key(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.store().by_key(key).await?.is_some_and(|known| !came_to_nothing(&known.summary.outcome)))
    }

    /// The answer to an earlier request with this key; an error if that was another request.
    pub async fn submitted_before(&self, request: &Idempotency) -> Result<Submitted, SubmitError> {
        let known = self.store().by_key(&request.key).await?.ok_or(SubmitError::KeyBusy)?;
        self.same_again(known, Some(&request.digest))
    }

    /// The answer to a request that came before, with the same idempotency key.
    pub(crate) fn same_again(&self, known: Record, digest: Option<&str>) -> Result<Submitted, SubmitError> {
        let Summary { prompt_id, client_id, retry_of, outcome, .. } = known.summary;
        if known.request_digest.as_deref() != digest {
            return Err(SubmitError::KeyReused { prompt_id });
        }
        let taken = self.table().get(&prompt_id).is_some_and(Job::is_accepted);
        if !taken && !outcome.accepted {
            return Err(SubmitError::KeyBusy);
        }
        let Outcome { warnings, node_errors, .. } = outcome;
        Ok(Submitted { prompt_id, client_id, seeds: known.seeds, retry_of, warnings, node_errors })
    }

    fn bring_up_to_date(&self, job: &mut Summary) {
        if let Some(known) = self.table().get(&job.prompt_id) {
            job.outcome = known.outcome();
        }
    }
}

/// Whether ComfyUI never got the job: then its key is free again.
fn came_to_nothing(outcome: &Outcome) -> bool {
    outcome.status == Status::Error && !outcome.accepted
}
