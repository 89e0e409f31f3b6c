//! Sending the prompt of a job to ComfyUI.

use std::time::Duration;

use comfy_runner_api::Submitted;
use comfy_runner_client::{Client, ClientError, PromptError};
use comfy_runner_protocol::queue::ExtraData;
use comfy_runner_protocol::{NodeErrors, PromptAccepted, PromptRequest};
use comfy_runner_store::Record;
use serde_json::json;

use crate::eligible::leave_out;
use crate::files::{BringError, bring_files, forget_sent};
use crate::job::{Job, SubmissionState};
use crate::jobs::Jobs;
use crate::lookup::may_be_an_id;
use crate::partner_key::PartnerKey;
use crate::refusal::{Refusal, warnings, without_tracebacks};
use crate::remote_state::RemoteState;
use crate::submit_error::SubmitError;

/// The key of our part in a prompt's `extra_data`, which ComfyUI's history gives back.
pub(crate) const EXTRA_DATA_KEY: &str = "comfy_runner";

/// How long ComfyUI may take to say whether it has a prompt, after the answer to the prompt was lost.
pub(crate) const SECOND_LOOK: Duration = Duration::from_secs(5);

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

impl From<BringError> for NotAccepted {
    fn from(error: BringError) -> Self {
        Self::WithoutFiles(error)
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
pub(crate) fn submitted(record: &Record, warnings: &[String], node_errors: &NodeErrors) -> Submitted {
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
