//! Submitting a graph to ComfyUI.

use std::time::Duration;

use comfy_runner_api::Submitted;
use comfy_runner_client::{Client, ClientError, PromptError};
use comfy_runner_protocol::queue::ExtraData;
use comfy_runner_protocol::{NodeErrors, PromptAccepted, PromptRequest};
use comfy_runner_store::{Created, Record, StoreError};
use serde_json::json;

use crate::durations::load_durations;
use crate::files::{BringError, DEFAULT_COMFYUI, bring_files, forget_sent};
use crate::idempotency::same_answer;
use crate::job::{Job, SubmissionState};
use crate::jobs::Jobs;
use crate::lookup::may_be_an_id;
use crate::partner_key::PartnerKey;
use crate::refusal::{Refusal, left_out, warnings, without_tracebacks};
use crate::remote_state::RemoteState;
use crate::submission::Submission;

/// The key of our part in a prompt's `extra_data`, which ComfyUI's history gives back.
pub(crate) const EXTRA_DATA_KEY: &str = "comfy_runner";

/// How long ComfyUI may take to say whether it has a prompt, after the answer to the prompt was lost.
const SECOND_LOOK: Duration = Duration::from_secs(5);

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
    /// The job cannot be recorded. Nothing was sent to ComfyUI.
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
    /// It is new, and must be submitted now.
    New(InFlightGuard),
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
    client: &Client,
    mut submission: Submission,
) -> Result<Submitted, SubmitError> {
    let key = submission.partner_key.take();
    submit_record(jobs, client, submission.into_record(), key.as_ref()).await
}

/// Records a job and submits it.
pub(crate) async fn submit_record(
    jobs: &Jobs,
    client: &Client,
    record: Record,
    key: Option<&PartnerKey>,
) -> Result<Submitted, SubmitError> {
    match create_record(jobs, &record).await? {
        Recorded::New(in_flight) => {
            let submitted = send(jobs, client, &record, in_flight, key).await;
            if let Err(error) = &submitted {
                withdraw_after(jobs, &record, error).await;
            }
            submitted
        }
        Recorded::Known(known) => same_answer(jobs, *known, record.request_digest.as_deref()),
    }
}

/// Records a job in the store and adds it to the table. It is done even if the caller stops waiting.
pub(crate) async fn create_record(jobs: &Jobs, record: &Record) -> Result<Recorded, StoreError> {
    let (jobs, record) = (jobs.clone(), record.clone());
    let recording = actix_rt::spawn(async move {
        match jobs.store().create(record.clone()).await? {
            Created::New => {}
            Created::Known(known) | Created::Repeated(known) => return Ok(Recorded::Known(known)),
        }
        load_durations(&jobs, &record.summary.workflow_id).await;
        // Read before the prompt is sent: a WebSocket that opens later may have missed its first messages.
        let missed_messages = !jobs.is_connected();
        let job = Job::from_record(&record, SubmissionState::InFlight, jobs.now());
        jobs.insert(Job { missed_messages, ..job });
        Ok(Recorded::New(InFlightGuard { jobs, prompt_id: record.summary.prompt_id }))
    });
    recording.await.map_err(|_| StoreError::Stopped)?
}

/// Sends the prompt of a job that was recorded, with this key for partner nodes or that of the configuration.
pub(crate) async fn send(
    jobs: &Jobs,
    client: &Client,
    record: &Record,
    in_flight: InFlightGuard,
    key: Option<&PartnerKey>,
) -> Result<Submitted, SubmitError> {
    let (summary, graph) = (&record.summary, &*record.graph);
    let accepted = match send_prompt(jobs, client, record, key.or(jobs.config().partner_key.as_ref())).await {
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
        rename(jobs, record, &prompt_id).await?;
    }
    let node_errors = without_tracebacks(accepted.node_errors);
    let warnings = warnings(&node_errors, graph);
    jobs.change(&prompt_id, |job| {
        job.submission = SubmissionState::Accepted;
        job.progress.leave_out(left_out(&node_errors));
        job.warnings.clone_from(&warnings);
        job.node_errors.clone_from(&node_errors);
    });
    drop(in_flight);
    tracing::info!(
        prompt_id,
        workflow = summary.workflow_id,
        nodes = graph.len(),
        warnings = warnings.len(),
        retry_of = summary.retry_of,
        "submitted"
    );
    Ok(Submitted {
        prompt_id,
        client_id: summary.client_id.clone(),
        seeds: record.seeds.clone(),
        retry_of: summary.retry_of.clone(),
        warnings,
        node_errors,
    })
}

async fn send_prompt(
    jobs: &Jobs,
    client: &Client,
    record: &Record,
    key: Option<&PartnerKey>,
) -> Result<PromptAccepted, NotAccepted> {
    let prompt_id = &record.summary.prompt_id;
    let ours = json!({"workflow_id": record.summary.workflow_id, "result_nodes": record.result_nodes});
    let mut extra_data = ExtraData::from_iter([(EXTRA_DATA_KEY.to_owned(), ours)]);
    if let Some(key) = key {
        extra_data.insert(PartnerKey::NAME.to_owned(), key.expose().into());
    }
    let error = match send_with_files(jobs, client, record, &extra_data).await? {
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
    match RemoteState::look_up(jobs.unsupported(), &impatient, prompt_id).await {
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
    record: &Record,
    extra_data: &ExtraData,
) -> Result<Result<PromptAccepted, PromptError>, NotAccepted> {
    let mut brought = bring_files(jobs, client, DEFAULT_COMFYUI, record).await?;
    loop {
        let graph = brought.graph.as_ref().unwrap_or(&record.graph);
        let mut request = PromptRequest::new(graph, jobs.socket_id(), &record.summary.prompt_id);
        request.extra_data = Some(extra_data);
        match client.prompt(&request).await {
            Err(PromptError::Refused(refused)) if brought.is_missing(&refused.node_errors) => {
                let sent_before = brought.had();
                forget_sent(jobs, DEFAULT_COMFYUI);
                brought = bring_files(jobs, client, DEFAULT_COMFYUI, record).await?;
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
async fn rename(jobs: &Jobs, record: &Record, to: &str) -> Result<(), SubmitError> {
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
    jobs.insert(Job { missed_messages: true, ..job });
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
