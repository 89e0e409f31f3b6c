//! Lost jobs: ComfyUI accepted them, or should have, and does not know them. They end as errors, or are submitted again.

use std::sync::Arc;
use std::time::Instant;

use comfy_runner_api::Status;
use comfy_runner_store::{Outcome, Record, StoreError};

use crate::clients::Clients;
use crate::config::LostJobs;
use crate::create::{Recorded, create_record};
use crate::dispatch::send_back;
use crate::eligible;
use crate::job::{Job, Needs, SubmissionState};
use crate::jobs::Jobs;
use crate::pool::ConnectionState;
use crate::state::State;
use crate::submission::new_prompt_id;
use crate::submit_error::SubmitError;

const LOST: &str =
    "ComfyUI no longer knows this job: it restarted and dropped its queue, or somebody cleared it";
const NEVER_ACCEPTED: &str = "ComfyUI does not know this job: it never got it, or has forgotten it";
const GONE: &str = "the job's ComfyUI cannot be reached any more";

/// How often a job is submitted again.
const MAX_REPETITIONS: u32 = 2;

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
    /// Its ComfyUI cannot be reached, or is no longer configured.
    Gone,
}

/// What happens to a lost job.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// It ends, for this reason.
    Over(String),
    /// It is submitted again as a new job.
    Repeated,
    /// It waits in the queue, under its own id.
    Requeued,
}

/// Ends a lost job, or submits it again if the configuration says so.
///
/// # Errors
/// The store fails. The job stays open and is looked up again.
pub(crate) async fn lose(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
    loss: Loss,
) -> Result<(), StoreError> {
    find_eligible_again(jobs, clients, prompt_id).await?;
    let elsewhere = has_elsewhere(jobs, prompt_id);
    let policy = jobs.config().lost_jobs;
    let Some(decision) = jobs.change(prompt_id, |job| decide(job, loss, policy, elsewhere)) else {
        return Ok(());
    };
    let reason = match decision {
        Decision::Requeued => {
            tracing::warn!(prompt_id, "a ComfyUI does not have a job that waited; it waits again");
            send_back(jobs, prompt_id);
            return Ok(());
        }
        Decision::Over(reason) => reason,
        Decision::Repeated => {
            let again = repeat(jobs, prompt_id).await?;
            let outcome =
                again.map_or("run it again".to_owned(), |again| format!("it was submitted again as {again}"));
            format!("{}; {outcome}", loss.reason())
        }
    };
    tracing::warn!(prompt_id, reason, "lost");
    jobs.change(prompt_id, |job| {
        job.progress.failed(reason);
        job.close_history();
    });
    Ok(())
}

/// Decides what happens to a lost job. `elsewhere` says whether another ComfyUI can run it.
fn decide(job: &mut Job, loss: Loss, policy: LostJobs, elsewhere: bool) -> Decision {
    if job.is_over() {
        return Decision::Over(String::new());
    }
    let reason = loss.reason();
    match loss {
        // No caller waits for the answer to it, and no other process can be sending it.
        Loss::NeverAccepted { recovered } if job.answered => {
            job.losses += u32::from(!recovered);
            match job.losses > MAX_REPETITIONS {
                true => {
                    return Decision::Over(format!(
                        "{reason}; it was sent {} times; run it again",
                        job.losses
                    ));
                }
                false => return Decision::Requeued,
            }
        }
        // The caller had no answer, and may have sent the request again.
        Loss::NeverAccepted { .. } => return Decision::Over(format!("{reason}; run it again")),
        Loss::Dropped | Loss::Gone => {}
    }
    let repeats = match policy {
        LostJobs::Fail => false,
        LostJobs::Retry => true,
        LostJobs::RetryElsewhere => elsewhere,
    };
    if !repeats {
        return Decision::Over(format!("{reason}; run it again"));
    }
    let was_running = job.progress.status() == Status::Running;
    if let Some(comfyui) = job.comfyui.as_deref().filter(|_| was_running) {
        job.stopped.push(comfyui.to_owned());
    }
    match &job.stopped[..] {
        [first, second, ..] if was_running => {
            return Decision::Over(format!(
                "two ComfyUIs stopped while they ran this job (\"{first}\", then \"{second}\"), so it is not submitted again"
            ));
        }
        _ => {}
    }
    if job.losses >= MAX_REPETITIONS {
        return Decision::Over(format!("{reason}; it had been submitted again twice before; run it again"));
    }
    Decision::Repeated
}

/// Finds out which ComfyUIs can run a job, if that may have changed since it was given to one: others may have been added, or
/// could not be asked then.
async fn find_eligible_again(jobs: &Jobs, clients: &Clients, prompt_id: &str) -> Result<(), StoreError> {
    let as_of = {
        let state = jobs.lock();
        let as_of = state.pool.schemas();
        if state.table.get(prompt_id).is_none_or(|job| job.is_over() || job.needs.eligible_as_of >= as_of) {
            return Ok(());
        }
        as_of
    };
    let Some(record) = jobs.store().get(prompt_id).await? else { return Ok(()) };
    let (names, as_of) = match eligible::find(jobs, clients, &record, true).await {
        Ok(found) => (found.names, found.as_of),
        Err(SubmitError::Refused(_) | SubmitError::NoComfyUi(_)) => (Arc::default(), as_of),
        Err(SubmitError::Store(error)) => return Err(error),
        // It stays unknown.
        Err(_) => return Ok(()),
    };
    jobs.change(prompt_id, |job| {
        job.needs.eligible = names;
        job.needs.eligible_as_of = as_of;
    });
    Ok(())
}

/// Returns whether a ComfyUI other than the job's own can run it now.
fn has_elsewhere(jobs: &Jobs, prompt_id: &str) -> bool {
    let state = jobs.lock();
    let Some(job) = state.table.get(prompt_id) else { return false };
    state.pool.members().any(|member| {
        let name = &member.settings.name;
        let needs = &job.needs;
        // Of a job of an earlier process it is not known yet which ComfyUIs can run it.
        let is_eligible = needs.eligible_as_of == 0 || needs.eligible.contains(name);
        job.comfyui.as_ref() != Some(name)
            && member.is_usable()
            && is_eligible
            && member.settings.has_tags(&needs.tags)
    })
}

/// Gives the jobs of ComfyUIs that cannot be reached any more to others, if the configuration says so. Those that no other
/// ComfyUI can run stay where they are: their ComfyUI may come back.
pub(crate) async fn fail_over(jobs: &Jobs, clients: &Clients) {
    for (prompt_id, comfyui, is_configured) in unreachable_jobs(jobs, Instant::now()) {
        if let Err(error) = find_eligible_again(jobs, clients, &prompt_id).await {
            tracing::warn!(prompt_id, %error, "a job cannot be given to another ComfyUI now; will try again");
            continue;
        }
        if !has_elsewhere(jobs, &prompt_id) && (is_configured || may_connect(jobs)) {
            continue;
        }
        if let Some(comfyui) = comfyui
            && let Some(member) = jobs.lock().pool.get_mut(&comfyui)
        {
            member.abandoned.push(prompt_id.clone());
        }
        if let Err(error) = lose(jobs, clients, &prompt_id, Loss::Gone).await {
            tracing::warn!(prompt_id, %error, "a job cannot be given to another ComfyUI now; will try again");
        }
    }
}

/// Returns whether a ComfyUI was not asked yet.
fn may_connect(jobs: &Jobs) -> bool {
    jobs.lock().pool.members().any(|member| member.connection.state == ConnectionState::New)
}

/// Returns the jobs whose ComfyUI could not be reached for too long, or is no longer configured, oldest first, each with the
/// name of its ComfyUI and whether it is configured.
fn unreachable_jobs(jobs: &Jobs, now: Instant) -> Vec<(String, Option<Arc<str>>, bool)> {
    let config = jobs.config();
    let state = jobs.lock();
    let State { table, pool, .. } = &*state;
    let mut found: Vec<_> = table
        .open()
        .filter(|job| !job.is_over() && job.is_accepted() && !job.is_waiting() && job.recorded)
        .filter(|job| job.submission != SubmissionState::InFlight && !job.cancel_asked)
        .filter_map(|job| {
            let comfyui = job.comfyui.clone();
            let is_configured = match comfyui.as_deref().and_then(|name| pool.get(name)) {
                None => false,
                Some(member) => {
                    let connection = member.connection;
                    let is_gone = connection.state == ConnectionState::Lost
                        && now.saturating_duration_since(connection.since) >= config.failover_after;
                    if !is_gone || config.lost_jobs == LostJobs::Fail {
                        return None;
                    }
                    true
                }
            };
            Some((job.queued_at, job.progress.prompt_id().to_owned(), comfyui, is_configured))
        })
        .collect();
    found.sort_by_key(|(queued_at, ..)| *queued_at);
    found
        .into_iter()
        .map(|(_, prompt_id, comfyui, is_configured)| (prompt_id, comfyui, is_configured))
        .collect()
}

/// Has a lost job wait again as a new one. Returns its new id, or `None` if there is no record of the lost one.
async fn repeat(jobs: &Jobs, prompt_id: &str) -> Result<Option<String>, StoreError> {
    let Some(mut lost) = jobs.store().get(prompt_id).await? else { return Ok(None) };
    let mut key = None;
    if let Some(job) = jobs.lock().table.get(prompt_id) {
        lost.summary.outcome = job.outcome();
        key.clone_from(&job.partner_key);
    }
    let again = repetition(lost);
    match create_record(jobs, &again, Needs::of(&again), None, key).await? {
        Recorded::New { .. } => {
            jobs.wake_eligibility();
            Ok(Some(again.summary.prompt_id))
        }
        // A previous process has got as far as this.
        Recorded::Known(before) => Ok(Some(before.summary.prompt_id)),
    }
}

/// Returns the same job as a new one that waits. Callers that follow it by its client id then follow the new one.
fn repetition(lost: Record) -> Record {
    let mut again = lost;
    let summary = &mut again.summary;
    summary.retry_of = Some(std::mem::replace(&mut summary.prompt_id, new_prompt_id()));
    summary.automatic = true;
    let mut outcome = Outcome::default();
    outcome.answered = true;
    outcome.losses = summary.outcome.losses + 1;
    outcome.stopped = std::mem::take(&mut summary.outcome.stopped);
    summary.outcome = outcome;
    (again.idempotency_key, again.request_digest) = (None, None);
    again
}

impl Loss {
    fn reason(self) -> &'static str {
        match self {
            Self::Dropped => LOST,
            Self::NeverAccepted { .. } => NEVER_ACCEPTED,
            Self::Gone => GONE,
        }
    }
}
