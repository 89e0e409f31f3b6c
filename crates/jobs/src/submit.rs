//! Submitting a job: it goes to a ComfyUI that has room, or waits.

use std::sync::Arc;

use comfy_runner_api::Submitted;
use comfy_runner_client::ClientError;
use comfy_runner_protocol::NodeErrors;
use comfy_runner_scheduler::JobQueue as _;
use comfy_runner_store::Record;
use futures::FutureExt as _;

use crate::cancel::cancel;
use crate::clients::Clients;
use crate::config::LostJobs;
use crate::create::{InFlightGuard, Recorded, create_record, insert_in_flight, record_new, withdraw_after};
use crate::durations::load_durations;
use crate::eligible::{self, Eligible};
use crate::idempotency::same_answer;
use crate::job::Needs;
use crate::jobs::Jobs;
use crate::kept_places::{KeptPlace, QueuePlace};
use crate::partner_key::PartnerKey;
use crate::persist::write;
use crate::place::{NewJob, place_new};
use crate::pool::Member;
use crate::send::{SECOND_LOOK, send, submitted};
use crate::submission::Submission;
use crate::submit_error::SubmitError;

/// See [`Jobs::submit`].
pub(crate) async fn submit(
    jobs: &Jobs,
    clients: &Clients,
    mut submission: Submission,
) -> Result<Submitted, SubmitError> {
    let key = submission.partner_key.take();
    submit_record(jobs, clients, submission.into_record(), key).await
}

/// Gives a new job to a ComfyUI that has room for it, or has it wait.
pub(crate) async fn submit_record(
    jobs: &Jobs,
    clients: &Clients,
    record: Record,
    key: Option<PartnerKey>,
) -> Result<Submitted, SubmitError> {
    let eligible = eligible::find(jobs, clients, &record, false).await?;
    let needs = Needs::of(&record);
    let mut new =
        NewSubmission { jobs, clients, record, key, needs, eligible, in_flight: None, tried: Vec::new() };
    let submitted = new.submit().await;
    if let Err(error) = &submitted
        && new.in_flight.is_some()
    {
        withdraw_after(jobs, &new.record, error).await;
    }
    submitted
}

/// A job on its way to a ComfyUI.
struct NewSubmission<'a> {
    jobs: &'a Jobs,
    clients: &'a Clients,
    record: Record,
    key: Option<PartnerKey>,
    /// Without the ComfyUIs that can run it.
    needs: Needs,
    eligible: Eligible,
    /// Whether it is recorded.
    in_flight: Option<InFlightGuard>,
    /// The ComfyUIs that could not be reached.
    tried: Vec<(Arc<str>, ClientError)>,
}

impl NewSubmission<'_> {
    async fn submit(&mut self) -> Result<Submitted, SubmitError> {
        loop {
            match self.choose() {
                Choice::Now(place) => {
                    if let Some(submitted) = self.submit_to(place).await? {
                        return Ok(submitted);
                    }
                }
                Choice::Later => return self.wait().await,
                Choice::Unreachable => match self.ask_any().await {
                    Err(error) if !self.jobs.config().queue_while_down => return Err(error.into()),
                    _ => return self.wait().await,
                },
            }
        }
    }

    /// Chooses a ComfyUI and keeps a place there. Those that cannot be reached are tried last.
    fn choose(&self) -> Choice {
        let needs = self.needs();
        let summary = &self.record.summary;
        let waiting = needs.in_queue(&summary.prompt_id, summary.queued_at);
        let new = NewJob { waiting, workflow_id: &summary.workflow_id, needs: &needs };
        let mut state = self.jobs.lock();
        if let Some(comfyui) = place_new(&mut state, &new) {
            return Choice::Now(KeptPlace::new(self.jobs, &mut state, &comfyui, &needs.models));
        }
        let members = needs.eligible.iter().filter_map(|name| state.pool.get(name));
        if members.clone().any(|member| member.is_usable() || member.draining && member.is_connected()) {
            return Choice::Later;
        }
        let has_room = |member: &&Member| {
            !member.draining && member.room(state.table.given(&member.settings.name).count()) > 0
        };
        match members.clone().find(has_room).map(|member| Arc::clone(&member.settings.name)) {
            Some(comfyui) => {
                // It is this caller's turn.
                state.queue.push(new.waiting);
                state.queue.take(&summary.prompt_id);
                Choice::Now(KeptPlace::new(self.jobs, &mut state, &comfyui, &needs.models))
            }
            None => Choice::Unreachable,
        }
    }

    /// Returns what the job needs, without the ComfyUIs that could not be reached.
    fn needs(&self) -> Needs {
        let was_tried = |name: &Arc<str>| self.tried.iter().any(|(tried, _)| tried == name);
        let eligible = match self.tried.is_empty() {
            true => Arc::clone(&self.eligible.names),
            false => self.eligible.names.iter().filter(|name| !was_tried(name)).cloned().collect(),
        };
        Needs { eligible, eligible_as_of: self.eligible.as_of, ..self.needs.clone() }
    }

    /// Returns the error of a ComfyUI if none of those that can run the job answers.
    async fn ask_any(&self) -> Result<(), ClientError> {
        let mut failed = self.tried.last().map(|(_, error)| error.clone());
        for name in self.needs().eligible.iter() {
            let Some(client) = self.clients.get(name) else { continue };
            match client.with_reply_timeout(SECOND_LOOK.min(client.config().timeouts.reply)).ping().await {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Submits the job to a ComfyUI. Returns `None` if it cannot be reached.
    async fn submit_to(&mut self, place: KeptPlace) -> Result<Option<Submitted>, SubmitError> {
        let comfyui = Arc::clone(place.comfyui());
        let client =
            self.clients.get(&comfyui).ok_or_else(|| ClientError::NotConfigured(comfyui.to_string()))?;
        let prompt_id = self.record.summary.prompt_id.clone();
        self.record.summary.outcome.comfyui = Some(comfyui.to_string());
        let mut recording = std::future::ready(Ok(())).boxed();
        if self.in_flight.is_some() {
            place.give_to(&prompt_id);
            write(self.jobs, &prompt_id).await?;
        } else if self.must_be_recorded_first() {
            match create_record(self.jobs, &self.record, self.needs(), Some(place), None).await? {
                Recorded::New { in_flight } => self.in_flight = in_flight,
                Recorded::Known(known) => {
                    let digest = self.record.request_digest.as_deref();
                    return same_answer(self.jobs, *known, digest).map(Some);
                }
            }
        } else {
            load_durations(self.jobs, &self.record.summary.workflow_id).await;
            self.in_flight = Some(insert_in_flight(self.jobs, &self.record, self.needs(), place));
            // The record comes before what the messages of ComfyUI change in it: the store takes calls in their order.
            recording = record_new(self.jobs.clone(), self.record.clone()).boxed();
        }
        // The disk takes about as long as ComfyUI.
        let sending = send(self.jobs, &client, &comfyui, &self.record, self.key.as_ref());
        let (recorded, sent) = futures::join!(recording, sending);
        if let Err(error) = recorded {
            self.take_back(sent).await;
            return Err(error.into());
        }
        match sent {
            Ok(submitted) => {
                self.in_flight = None;
                Ok(Some(submitted))
            }
            Err(SubmitError::Client(error)) if error.is_unreachable() => {
                self.jobs.note_error(&comfyui, &error);
                self.tried.push((comfyui, error));
                Ok(None)
            }
            // Another ComfyUI can run the job if this one turns out not to have it, so the caller need not wait for that.
            Err(SubmitError::Unconfirmed { error, .. })
                if self.eligible.names.len() > 1 && self.jobs.config().lost_jobs != LostJobs::Fail =>
            {
                self.jobs.note_error(&comfyui, &error);
                self.jobs.change(&prompt_id, |job| job.answered = true);
                write(self.jobs, &prompt_id).await?;
                self.in_flight = None;
                Ok(Some(submitted(&self.record, &[], &NodeErrors::new())))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether the prompt must not be sent before the record is on the disk. The next request with the same idempotency
    /// key must find the job, and while the store fails, nothing should reach ComfyUI.
    fn must_be_recorded_first(&self) -> bool {
        let record = &self.record;
        record.idempotency_key.is_some() || record.summary.automatic || self.jobs.is_store_failing()
    }

    /// Undoes a submission that cannot be recorded: the caller is told that there is no job.
    async fn take_back(&mut self, sent: Result<Submitted, SubmitError>) {
        let prompt_id = match sent {
            Ok(submitted) => submitted.prompt_id,
            Err(SubmitError::Unconfirmed { prompt_id, .. }) => prompt_id,
            Err(error) => return withdraw_after(self.jobs, &self.record, &error).await,
        };
        self.in_flight = None;
        if let Err(error) = cancel(self.jobs, self.clients, &prompt_id).await {
            tracing::error!(%error, prompt_id, "a job that cannot be recorded cannot be cancelled");
        }
    }

    /// Has the job wait for a ComfyUI, if a ComfyUI would accept it.
    async fn wait(&mut self) -> Result<Submitted, SubmitError> {
        let (record, config) = (&mut self.record, self.jobs.config());
        match eligible::find(self.jobs, self.clients, record, true).await {
            Ok(eligible) => self.eligible = eligible,
            // What cannot be checked now is checked when a ComfyUI answers.
            Err(SubmitError::Client(_)) if config.queue_while_down => {}
            Err(error) => return Err(error),
        }
        let place = QueuePlace::take(self.jobs, &record.summary, &self.needs)?;
        let outcome = &mut record.summary.outcome;
        (outcome.comfyui, outcome.answered) = (None, true);
        outcome.warnings.clone_from(&self.eligible.warnings);
        outcome.node_errors.clone_from(&self.eligible.node_errors);
        let (prompt_id, key) = (&record.summary.prompt_id, self.key.take());
        let (eligible, eligible_as_of) = (Arc::clone(&self.eligible.names), self.eligible.as_of);
        let needs = Needs { eligible, eligible_as_of, ..self.needs.clone() };
        match self.in_flight.take() {
            None => match create_record(self.jobs, record, needs, None, key).await? {
                Recorded::New { .. } => {}
                Recorded::Known(known) => {
                    return same_answer(self.jobs, *known, record.request_digest.as_deref());
                }
            },
            Some(in_flight) => {
                self.jobs.change(prompt_id, |job| {
                    job.wait();
                    job.partner_key = key;
                });
                drop(in_flight);
                write(self.jobs, prompt_id).await?;
            }
        }
        place.keep();
        tracing::info!(prompt_id, workflow = record.summary.workflow_id, "waits for a ComfyUI");
        Ok(submitted(record, &self.eligible.warnings, &self.eligible.node_errors))
    }
}

/// Where a new job goes.
enum Choice {
    /// To this ComfyUI now.
    Now(KeptPlace),
    /// To a ComfyUI that has no room now.
    Later,
    /// No ComfyUI that can run it can be reached.
    Unreachable,
}
