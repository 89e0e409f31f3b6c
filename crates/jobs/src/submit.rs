//! Submitting a graph to ComfyUI.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::Submitted;
use comfy_runner_client::{Client, ClientError, PromptError};
use comfy_runner_protocol::queue::ExtraData;
use comfy_runner_protocol::{NodeErrors, PromptAccepted, PromptRequest};
use comfy_runner_scheduler::JobQueue as _;
use comfy_runner_store::{Created, Record, StoreError, Summary};
use futures::FutureExt as _;
use serde_json::json;

use crate::cancel::cancel;
use crate::clients::Clients;
use crate::config::LostJobs;
use crate::durations::load_durations;
use crate::eligible::{self, Eligible, leave_out};
use crate::files::{BringError, bring_files, forget_sent};
use crate::idempotency::same_answer;
use crate::job::{Job, Needs, SubmissionState};
use crate::jobs::Jobs;
use crate::lookup::may_be_an_id;
use crate::partner_key::PartnerKey;
use crate::place::{NewJob, next_wait, place_new, use_models};
use crate::pool::Member;
use crate::refusal::{Refusal, warnings, without_tracebacks};
use crate::remote_state::RemoteState;
use crate::state::State;
use crate::submission::Submission;

/// The key of our part in a prompt's `extra_data`, which ComfyUI's history gives back.
pub(crate) const EXTRA_DATA_KEY: &str = "comfy_runner";

/// How long ComfyUI may take to say whether it has a prompt, after the answer to the prompt was lost.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// The longest time after which a caller is told to try again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a job was not submitted, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// ComfyUI refuses the graph.
    #[error("{}", .0.detail)]
    Refused(Refusal),
    /// ComfyUI cannot be reached, or gives no usable answer. It does not have the job.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The prompt was sent, and its answer was lost. The job stays, and its status will say whether ComfyUI has it.
    #[error(
        "the answer to the submission was lost, so the status of \"{prompt_id}\" must show whether ComfyUI has it"
    )]
    Unconfirmed {
        /// The job's id.
        prompt_id: String,
        /// What happened.
        #[source]
        error: ClientError,
    },
    /// ComfyUI answered with an id that cannot be this job's. What it does with the prompt is unknown.
    #[error(
        "ComfyUI answered the submission with {0}, so that the job cannot be followed; look at ComfyUI's queue"
    )]
    WrongId(&'static str),
    /// The files that the job reads cannot be sent to ComfyUI from the file store. It does not have the job.
    #[error(transparent)]
    Files(BringError),
    /// There is no ComfyUI, or none has the tags that the job requires.
    #[error("{0}")]
    NoComfyUi(String),
    /// No ComfyUI has room, and too many jobs wait.
    #[error("{limit} jobs wait already, which is the limit: send it again later")]
    QueueFull {
        /// The largest number of jobs that may wait.
        limit: usize,
        /// The time until the next of them is expected to begin.
        retry_after: Duration,
    },
    /// No ComfyUI has room, and too many jobs of this caller wait.
    #[error("{limit} jobs of this API key wait already, which is the limit for one key: send it again later")]
    TooManyOfCaller {
        /// The largest number of jobs of one caller that may wait.
        limit: usize,
        /// The time until the next job is expected to begin.
        retry_after: Duration,
    },
    /// The job cannot be recorded. A prompt that was sent meanwhile was cancelled.
    #[error("the job was not submitted, as it cannot be recorded")]
    Store(#[source] StoreError),
    /// The idempotency key came with another request before.
    #[error(
        "the idempotency key belongs to another request, the one of job \"{prompt_id}\": send the same parameters and \
         files, or another key"
    )]
    KeyReused {
        /// The job of that request.
        prompt_id: String,
    },
    /// The request with this key is being worked on.
    #[error("the request with this idempotency key is being worked on: send it again in a moment")]
    KeyBusy,
}

impl From<StoreError> for SubmitError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BringError> for NotAccepted {
    fn from(error: BringError) -> Self {
        Self::WithoutFiles(error)
    }
}

impl From<BringError> for SubmitError {
    fn from(error: BringError) -> Self {
        match error {
            BringError::Client(error) => Self::Client(error),
            BringError::Store(error) => Self::Store(error),
            error => Self::Files(error),
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

/// What came of recording a job.
pub(crate) enum Recorded {
    /// It is new. If it is to be submitted now, it is guarded until ComfyUI has answered.
    New { in_flight: Option<InFlightGuard> },
    /// It was recorded before; nothing was written.
    Known(Box<Record>),
}

/// Why a prompt was not accepted.
enum NotAccepted {
    Refused(Refusal),
    /// ComfyUI does not have it.
    Failed(ClientError),
    /// Its files are not there, so it was not sent.
    WithoutFiles(BringError),
    /// ComfyUI may have it.
    Unconfirmed(ClientError),
}

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

/// A place that is kept at a ComfyUI for a job that is not in the table yet.
pub(crate) struct KeptPlace {
    jobs: Jobs,
    comfyui: Arc<str>,
    is_cold: bool,
    /// Whether a job of the table has it now.
    is_taken: bool,
}

impl KeptPlace {
    fn new(jobs: &Jobs, state: &mut State, comfyui: &Arc<str>, models: &[String]) -> Self {
        let is_cold = use_models(state, comfyui, models);
        if let Some(member) = state.pool.get_mut(comfyui) {
            member.reserved += 1;
        }
        Self { jobs: jobs.clone(), comfyui: Arc::clone(comfyui), is_cold, is_taken: false }
    }

    fn comfyui(&self) -> &Arc<str> {
        &self.comfyui
    }

    /// Gives the place to a job of the table.
    fn give_to(mut self, prompt_id: &str) {
        self.jobs.change(prompt_id, |job| {
            job.comfyui = Some(Arc::clone(&self.comfyui));
            job.needs.is_cold = Some(self.is_cold);
        });
        self.is_taken = true;
    }

    /// Gives the place to a new job of the table.
    fn give_to_new(mut self, mut job: Job) {
        // Read before the prompt is sent: a WebSocket that opens later may have missed its first messages.
        job.missed_messages = !self.jobs.is_connected(&self.comfyui);
        job.needs.is_cold = Some(self.is_cold);
        self.jobs.insert(job);
        self.is_taken = true;
    }
}

impl Drop for KeptPlace {
    fn drop(&mut self) {
        if let Some(member) = self.jobs.lock().pool.get_mut(&self.comfyui) {
            member.reserved = member.reserved.saturating_sub(1);
        }
        if !self.is_taken {
            self.jobs.wake_dispatcher();
        }
    }
}

/// A place in the queue of a job that is not recorded yet.
struct QueuePlace {
    jobs: Jobs,
    prompt_id: String,
    kept: bool,
}

impl QueuePlace {
    /// # Errors
    /// Too many jobs wait.
    fn take(jobs: &Jobs, summary: &Summary, needs: &Needs) -> Result<Self, SubmitError> {
        let config = jobs.config();
        let mut state = jobs.lock();
        let retry_after = || next_wait(&state).clamp(Duration::from_secs(1), LONGEST_WAIT);
        if state.queue.len() >= config.max_waiting {
            return Err(SubmitError::QueueFull { limit: config.max_waiting, retry_after: retry_after() });
        }
        if state.queue.len_of(&needs.caller) >= config.max_waiting_per_caller {
            let limit = config.max_waiting_per_caller;
            return Err(SubmitError::TooManyOfCaller { limit, retry_after: retry_after() });
        }
        let prompt_id = summary.prompt_id.clone();
        state.queue.push(needs.in_queue(&prompt_id, summary.queued_at));
        Ok(Self { jobs: jobs.clone(), prompt_id, kept: false })
    }

    /// Lets the job keep its place.
    fn keep(mut self) {
        self.kept = true;
        self.jobs.wake_dispatcher();
    }
}

impl Drop for QueuePlace {
    fn drop(&mut self) {
        if !self.kept && !self.jobs.is_waiting(&self.prompt_id) {
            self.jobs.lock().queue.remove(&self.prompt_id);
        }
    }
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

/// Records a job that is in the table, and that no other record can stand for.
async fn record_new(jobs: Jobs, record: Record) -> Result<(), StoreError> {
    let prompt_id = record.summary.prompt_id.clone();
    match jobs.note_recorded(jobs.store().create(record).await)? {
        Created::New => Ok(()),
        Created::Known(known) | Created::Repeated(known) => {
            Err(StoreError::Record(format!("\"{prompt_id}\" was taken for \"{}\"", known.summary.prompt_id)))
        }
    }
}

/// Adds a job that is being submitted to the ComfyUI with this place to the table.
fn insert_in_flight(jobs: &Jobs, record: &Record, needs: Needs, place: KeptPlace) -> InFlightGuard {
    place.give_to_new(Job::with_needs(record, needs, SubmissionState::InFlight, jobs.now()));
    InFlightGuard::new(jobs, &record.summary.prompt_id)
}

/// Writes the present state of a job, durably.
pub(crate) async fn write(jobs: &Jobs, prompt_id: &str) -> Result<(), StoreError> {
    let outcome = jobs.lock().table.get(prompt_id).map(Job::outcome);
    match outcome {
        Some(outcome) => jobs.store().update(vec![(prompt_id.to_owned(), outcome)]).await,
        None => Ok(()),
    }
}

/// Sends the prompt of a job that was recorded, with this key for partner nodes or that of the configuration.
pub(crate) async fn send(
    jobs: &Jobs,
    client: &Client,
    comfyui: &str,
    record: &Record,
    key: Option<&PartnerKey>,
) -> Result<Submitted, SubmitError> {
    let (summary, graph) = (&record.summary, &*record.graph);
    let key = key.or(jobs.config().partner_key.as_ref());
    let accepted = match send_prompt(jobs, client, comfyui, record, key).await {
        Ok(accepted) => accepted,
        Err(NotAccepted::Refused(refusal)) => return Err(SubmitError::Refused(refusal)),
        Err(NotAccepted::Failed(error)) => return Err(error.into()),
        Err(NotAccepted::WithoutFiles(error)) => return Err(error.into()),
        Err(NotAccepted::Unconfirmed(error)) => {
            return Err(SubmitError::Unconfirmed { prompt_id: summary.prompt_id.clone(), error });
        }
    };
    let prompt_id = accepted.prompt_id;
    if prompt_id != summary.prompt_id {
        rename(jobs, record, comfyui, &prompt_id).await?;
    }
    let node_errors = without_tracebacks(accepted.node_errors);
    let warnings = warnings(&node_errors, graph);
    jobs.change(&prompt_id, |job| {
        job.submission = SubmissionState::Accepted;
        leave_out(job, &warnings, &node_errors);
    });
    tracing::info!(
        prompt_id,
        workflow = summary.workflow_id,
        comfyui,
        nodes = graph.len(),
        warnings = warnings.len(),
        retry_of = summary.retry_of,
        "submitted"
    );
    Ok(Submitted { prompt_id, ..submitted(record, &warnings, &node_errors) })
}

/// Returns the answer about an accepted job.
fn submitted(record: &Record, warnings: &[String], node_errors: &NodeErrors) -> Submitted {
    Submitted {
        prompt_id: record.summary.prompt_id.clone(),
        client_id: record.summary.client_id.clone(),
        seeds: record.seeds.clone(),
        retry_of: record.summary.retry_of.clone(),
        warnings: warnings.to_vec(),
        node_errors: node_errors.clone(),
    }
}

async fn send_prompt(
    jobs: &Jobs,
    client: &Client,
    comfyui: &str,
    record: &Record,
    key: Option<&PartnerKey>,
) -> Result<PromptAccepted, NotAccepted> {
    let prompt_id = &record.summary.prompt_id;
    let ours = json!({"workflow_id": record.summary.workflow_id, "result_nodes": record.result_nodes});
    let mut extra_data = ExtraData::from_iter([(EXTRA_DATA_KEY.to_owned(), ours)]);
    if let Some(key) = key {
        extra_data.insert(PartnerKey::NAME.to_owned(), key.expose().into());
    }
    let error = match send_with_files(jobs, client, comfyui, record, &extra_data).await? {
        Ok(accepted) => return Ok(accepted),
        Err(PromptError::Refused(refused)) => {
            return Err(NotAccepted::Refused(Refusal::new(refused, &record.graph)));
        }
        Err(PromptError::Client(error)) => error,
    };
    if error.is_unreachable() || error.is_not_comfyui() || was_refused(&error) {
        return Err(NotAccepted::Failed(error));
    }
    // ComfyUI may have the prompt although its answer was lost: a job that runs must not be reported as refused, or the
    // caller would run it twice.
    let patience = SECOND_LOOK.min(client.config().timeouts.reply);
    let impatient = client.with_reply_timeout(patience);
    match RemoteState::look_up(&jobs.unsupported(comfyui), &impatient, prompt_id).await {
        Ok(RemoteState::Pending | RemoteState::Running | RemoteState::Ended(_)) => {
            Ok(PromptAccepted { prompt_id: prompt_id.clone(), number: 0.0, node_errors: NodeErrors::new() })
        }
        // It answered, and does not have the prompt.
        Ok(RemoteState::Unknown) if has_decided(&error) => Err(NotAccepted::Failed(error)),
        Ok(RemoteState::Unknown | RemoteState::Unreadable { .. }) | Err(_) => {
            Err(NotAccepted::Unconfirmed(error))
        }
    }
}

/// Sends the files that a job reads, and its prompt. If ComfyUI no longer has a file that was sent before, it is sent again.
async fn send_with_files(
    jobs: &Jobs,
    client: &Client,
    comfyui: &str,
    record: &Record,
    extra_data: &ExtraData,
) -> Result<Result<PromptAccepted, PromptError>, NotAccepted> {
    let mut brought = bring_files(jobs, client, comfyui, record).await?;
    loop {
        let graph = brought.graph.as_ref().unwrap_or(&record.graph);
        let mut request = PromptRequest::new(graph, jobs.socket_id(), &record.summary.prompt_id);
        request.extra_data = Some(extra_data);
        match client.prompt(&request).await {
            Err(PromptError::Refused(refused)) if brought.is_missing(&refused.node_errors) => {
                let sent_before = brought.had();
                forget_sent(jobs, comfyui);
                brought = bring_files(jobs, client, comfyui, record).await?;
                if brought.had() >= sent_before {
                    return Ok(Err(PromptError::Refused(refused)));
                }
            }
            answer => return Ok(answer),
        }
    }
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

/// Gives a job the id that ComfyUI chose: a very old ComfyUI ignores the id that it was sent.
///
/// # Errors
/// ComfyUI's id cannot be an id, or belongs to another job.
async fn rename(jobs: &Jobs, record: &Record, comfyui: &str, to: &str) -> Result<(), SubmitError> {
    let prompt_id = &record.summary.prompt_id;
    if !may_be_an_id(to) {
        return Err(SubmitError::WrongId("something that is no id"));
    }
    if jobs.lock().table.get(to).is_some() || jobs.store().get(to).await?.is_some() {
        return Err(SubmitError::WrongId("the id of another job"));
    }
    if let Err(error) = jobs.store().rename(prompt_id, to).await {
        tracing::error!(%error, prompt_id, to, "ComfyUI's own id for a job cannot be recorded");
    }
    let mut renamed = record.clone();
    to.clone_into(&mut renamed.summary.prompt_id);
    jobs.remove(prompt_id);
    // Its first messages may have come before the id was known.
    let job = Job::from_record(&renamed, SubmissionState::InFlight, jobs.now());
    jobs.insert(Job { missed_messages: true, comfyui: Some(comfyui.into()), ..job });
    Ok(())
}

/// Returns whether this answer means that no prompt was accepted: the request itself was refused, by ComfyUI or by a proxy before
/// it. A proxy may answer 408 for a ComfyUI that is slow.
fn was_refused(error: &ClientError) -> bool {
    error.status().is_some_and(|status| (400..=499).contains(&status) && status != 408)
}

/// Returns whether this answer means that ComfyUI has decided about the prompt. A proxy that gives up, or a connection that
/// breaks, says nothing of what ComfyUI still does.
fn has_decided(error: &ClientError) -> bool {
    match error {
        ClientError::Status { status, .. } => !matches!(status, 408 | 502..=504),
        ClientError::Unreadable { .. } | ClientError::TooLarge { .. } => true,
        _ => false,
    }
}
