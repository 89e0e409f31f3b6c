//! What becomes of jobs that ComfyUI took, or should have taken, and does not know.

use comfy_runner_client::{Client, ClientError};
use comfy_runner_store::{Outcome, Record, StoreError};

use crate::submit::{Admission, SubmitError, new_prompt_id};
use crate::table::{Handover, Jobs, LostJobs, wall_clock};

const LOST: &str =
    "ComfyUI no longer knows this job: it restarted and dropped its queue, or somebody cleared it";
const NEVER_ACCEPTED: &str = "ComfyUI does not know this job: it never got it, or has forgotten it";

/// How a job was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// ComfyUI had it.
    Dropped,
    /// ComfyUI has most likely never had it.
    NeverAccepted {
        /// Whether the process before us wrote it down, so that it may never have been sent at all.
        recovered: bool,
    },
}

/// What to tell of a lost job.
enum Fate {
    /// It is over, for this reason.
    Over(String),
    /// It was sent again under its own id.
    SentAgain,
}

/// Why the fate of a job cannot be decided now. It stays open, and is looked at again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unresolved {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Jobs {
    /// Ends a lost job, or submits it again, by choice.
    pub(crate) async fn lose(&self, client: &Client, prompt_id: &str, loss: Loss) -> Result<(), Unresolved> {
        let fate = match self.config().lost_jobs {
            LostJobs::Fail => Fate::Over(format!("{}; run it again", loss.reason())),
            LostJobs::Retry => self.try_again(client, prompt_id, loss).await?,
        };
        if let Fate::Over(reason) = fate {
            tracing::warn!(prompt_id, reason, "lost");
            self.change(prompt_id, |job| {
                job.progress.failed(reason);
                (job.gap, job.closed) = (false, false);
            });
        }
        Ok(())
    }

    async fn try_again(&self, client: &Client, prompt_id: &str, loss: Loss) -> Result<Fate, Unresolved> {
        let reason = loss.reason();
        let over = |what: &str| Ok(Fate::Over(format!("{reason}; {what}")));
        let Some(record) = self.store().get(prompt_id).await? else { return over("run it again") };
        match loss {
            // Nobody waits for the answer to it, and no other process can be sending it.
            Loss::NeverAccepted { recovered: true } if record.summary.automatic => {
                let in_flight = self.in_flight(prompt_id);
                match self.hand_over(client, &record, in_flight).await {
                    Ok(_) | Err(SubmitError::Unconfirmed { .. }) => Ok(Fate::SentAgain),
                    Err(SubmitError::Client(error)) if error.is_unreachable() => {
                        let now = self.now();
                        self.change(prompt_id, |job| job.handover = Handover::Recovered(now));
                        Err(error.into())
                    }
                    Err(error) => over(&error.to_string()),
                }
            }
            // Whoever asked for it has had no answer, and may well have asked again.
            Loss::NeverAccepted { .. } => over("run it again"),
            Loss::Dropped if record.summary.automatic => {
                over("it had been submitted again once before; run it again")
            }
            Loss::Dropped => match self.repeat(client, &record).await? {
                Ok(again) => over(&format!("it was submitted again as {again}")),
                Err(reason) => over(&format!("it cannot be submitted again: {reason}")),
            },
        }
    }

    /// Submits a lost job again under a new id, which it returns, or why that is in vain.
    async fn repeat(&self, client: &Client, lost: &Record) -> Result<Result<String, String>, Unresolved> {
        let again = repetition(lost);
        let in_flight = match self.admit(&again).await? {
            Admission::New(in_flight) => in_flight,
            // A process before us has come as far as this.
            Admission::Known(before) => return Ok(Ok(before.summary.prompt_id)),
        };
        let error = match self.hand_over(client, &again, in_flight).await {
            Ok(submitted) => return Ok(Ok(submitted.prompt_id)),
            Err(error) => error,
        };
        self.withdraw_after(&again, &error).await;
        match error {
            SubmitError::Unconfirmed { prompt_id, .. } => Ok(Ok(prompt_id)),
            SubmitError::Client(error) if error.is_unreachable() => Err(error.into()),
            SubmitError::Store(error) => Err(error.into()),
            error => Ok(Err(error.to_string())),
        }
    }
}

/// The same job once more. Whoever follows it by its client id goes on to follow this one.
fn repetition(lost: &Record) -> Record {
    let mut again = lost.clone();
    again.summary.retry_of = Some(std::mem::replace(&mut again.summary.prompt_id, new_prompt_id()));
    again.summary.automatic = true;
    again.summary.queued_at = wall_clock();
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
