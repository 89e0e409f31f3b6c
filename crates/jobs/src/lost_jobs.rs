//! Lost jobs: ComfyUI accepted them, or should have, and does not know them. They end as errors, or are submitted again.

use comfy_runner_client::{Client, ClientError};
use comfy_runner_store::{Outcome, Record, StoreError};

use crate::config::LostJobs;
use crate::job::SubmissionState;
use crate::jobs::{Jobs, unix_millis};
use crate::submission::new_prompt_id;
use crate::submit::{InFlightGuard, Recorded, SubmitError, create_record, send, withdraw_after};

const LOST: &str =
    "ComfyUI no longer knows this job: it restarted and dropped its queue, or somebody cleared it";
const NEVER_ACCEPTED: &str = "ComfyUI does not know this job: it never got it, or has forgotten it";

/// How a job was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// ComfyUI had it.
    Dropped,
    /// ComfyUI most likely never had it.
    NeverAccepted {
        /// Whether a previous process recorded it, so that it may never have been sent.
        recovered: bool,
    },
}

/// What happens to a lost job.
enum Fate {
    /// It ends, for this reason.
    Over(String),
    /// It was sent again under its own id.
    SentAgain,
}

/// Why a lost job cannot be handled now. It stays open, and is looked up again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Ends a lost job, or submits it again if the configuration says so.
pub(crate) async fn lose(
    jobs: &Jobs,
    client: &Client,
    prompt_id: &str,
    loss: Loss,
) -> Result<(), Unresolved> {
    let fate = match jobs.config().lost_jobs {
        LostJobs::Fail => Fate::Over(format!("{}; run it again", loss.reason())),
        LostJobs::Retry => resubmit(jobs, client, prompt_id, loss).await?,
    };
    if let Fate::Over(reason) = fate {
        tracing::warn!(prompt_id, reason, "lost");
        jobs.change(prompt_id, |job| {
            job.progress.failed(reason);
            job.close_history();
        });
    }
    Ok(())
}

async fn resubmit(jobs: &Jobs, client: &Client, prompt_id: &str, loss: Loss) -> Result<Fate, Unresolved> {
    let reason = loss.reason();
    let over = |what: &str| Ok(Fate::Over(format!("{reason}; {what}")));
    let Some(record) = jobs.store().get(prompt_id).await? else { return over("run it again") };
    match loss {
        // No caller waits for the answer to it, and no other process can be sending it.
        Loss::NeverAccepted { recovered: true } if record.summary.automatic => {
            let in_flight = InFlightGuard::new(jobs, prompt_id);
            match send(jobs, client, &record, in_flight, None).await {
                Ok(_) | Err(SubmitError::Unconfirmed { .. }) => Ok(Fate::SentAgain),
                Err(SubmitError::Client(error)) if error.is_unreachable() => {
                    let now = jobs.now();
                    jobs.change(prompt_id, |job| job.submission = SubmissionState::Recovered(now));
                    Err(error.into())
                }
                Err(error) => over(&error.to_string()),
            }
        }
        // The caller had no answer, and may have sent the request again.
        Loss::NeverAccepted { .. } => over("run it again"),
        Loss::Dropped if record.summary.automatic => {
            over("it had been submitted again once before; run it again")
        }
        Loss::Dropped => match repeat(jobs, client, &record).await? {
            Ok(again) => over(&format!("it was submitted again as {again}")),
            Err(reason) => over(&format!("it cannot be submitted again: {reason}")),
        },
    }
}

/// Submits a lost job again. Returns its new id, or why it cannot be submitted.
async fn repeat(jobs: &Jobs, client: &Client, lost: &Record) -> Result<Result<String, String>, Unresolved> {
    let again = repetition(lost);
    let in_flight = match create_record(jobs, &again).await? {
        Recorded::New(in_flight) => in_flight,
        // A previous process has got as far as this.
        Recorded::Known(before) => return Ok(Ok(before.summary.prompt_id)),
    };
    let error = match send(jobs, client, &again, in_flight, None).await {
        Ok(submitted) => return Ok(Ok(submitted.prompt_id)),
        Err(error) => error,
    };
    withdraw_after(jobs, &again, &error).await;
    match error {
        SubmitError::Unconfirmed { prompt_id, .. } => Ok(Ok(prompt_id)),
        SubmitError::Client(error) if error.is_unreachable() => Err(error.into()),
        SubmitError::Store(error) => Err(error.into()),
        error => Ok(Err(error.to_string())),
    }
}

/// Returns the same job as a new one. Callers that follow it by its client id then follow the new one.
fn repetition(lost: &Record) -> Record {
    let mut again = lost.clone();
    again.summary.retry_of = Some(std::mem::replace(&mut again.summary.prompt_id, new_prompt_id()));
    again.summary.automatic = true;
    again.summary.queued_at = unix_millis();
    again.summary.outcome = Outcome::default();
    (again.idempotency_key, again.request_digest) = (None, None);
    again
}

impl Loss {
    fn reason(self) -> &'static str {
        match self {
            Self::Dropped => LOST,
            Self::NeverAccepted { .. } => NEVER_ACCEPTED,
        }
    }
}
