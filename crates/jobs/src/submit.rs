//! Handing a graph to ComfyUI.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_client::{Client, ClientError};
use comfy_runner_protocol::queue::ExtraData;
use comfy_runner_protocol::{Graph, NodeErrors, NodeId, PromptAccepted, PromptRequest};
use comfy_runner_store::{Created, Outcome, Record, StoreError, Summary};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::live::client_id_of;
use crate::refusal::{Refusal, left_out, warnings, without_tracebacks};
use crate::remote::RemoteState;
use crate::status::may_be_an_id;
use crate::table::{Handover, Job, Jobs, wall_clock};

/// The key of our part in a prompt's `extra_data`, which ComfyUI's history gives back.
pub(crate) const EXTRA_DATA_KEY: &str = "comfy_runner";

/// How long ComfyUI may take to say whether it has a prompt, after it has already failed to say that it took it.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// What is to run, and what is to be remembered of it.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The workflow that the graph was made from.
    pub workflow_id: String,
    /// What people call it.
    pub workflow_name: String,
    /// The parameters as the caller gave them.
    pub params: Map<String, Value>,
    /// The seeds that the graph was made with.
    pub seeds: IndexMap<String, u64>,
    /// The graph.
    pub graph: Arc<Graph>,
    /// The nodes whose files are the result; none leaves the choice to us.
    pub result_nodes: Vec<NodeId>,
    /// The job's folder below ComfyUI's output folder.
    pub output_folder: String,
    /// The files that the graph reads, as ComfyUI's input folder names them.
    pub input_files: Vec<String>,
    /// The job that this one repeats.
    pub retry_of: Option<String>,
    /// What makes a repeated request known.
    pub idempotency: Option<Idempotency>,
}

/// What makes a repeated request known.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// A digest of what came with the key.
    pub digest: String,
}

/// A job that ComfyUI took: serialised, the contract's reply to `execute`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Submitted {
    /// The job's id.
    pub prompt_id: String,
    /// What a caller shows to our WebSocket to follow this job.
    pub client_id: String,
    /// What each seed input was resolved to.
    pub seeds: IndexMap<String, u64>,
    /// The job that this one repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// One sentence for each part of the graph that ComfyUI will not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// ComfyUI's own words about those parts.
    #[serde(skip_serializing_if = "NodeErrors::is_empty")]
    pub node_errors: NodeErrors,
}

/// Why there is no such job, or why nobody knows whether there is.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// ComfyUI refuses the graph.
    #[error("{}", .0.detail)]
    Refused(Refusal),
    /// ComfyUI cannot be reached, or does not answer as it should. It has not got the job.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The prompt was sent, and nobody knows whether it arrived. The job stays, and its status will say.
    #[error("{error}; it may have taken the job all the same: the status of \"{prompt_id}\" will tell")]
    Unconfirmed {
        /// The job's id.
        prompt_id: String,
        /// What happened.
        error: ClientError,
    },
    /// ComfyUI answered with an id that cannot be this job's. What it does with the prompt is not known.
    #[error(
        "ComfyUI answered the submission with {0}, so that the job cannot be followed; look at ComfyUI's queue"
    )]
    WrongId(&'static str),
    /// The job cannot be written down. Nothing was sent to ComfyUI.
    #[error("the job was not submitted, as it cannot be recorded: {0}")]
    Store(#[from] StoreError),
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

/// A job that is being handed over. Whoever waits for it may leave in the middle; then nobody knows whether ComfyUI took
/// the prompt, and its queue and history must say.
pub(crate) struct InFlightGuard {
    jobs: Jobs,
    prompt_id: String,
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let now = self.jobs.now();
        self.jobs.change(&self.prompt_id, |job| {
            if job.handover == Handover::InFlight {
                job.handover = Handover::Unconfirmed(now);
                job.gap = true;
                job.heard = now;
            }
        });
    }
}

/// What came of writing a job down.
pub(crate) enum Admission {
    /// It is to be handed over now.
    New(InFlightGuard),
    /// It is the one that was written down before; nothing was written.
    Known(Box<Record>),
}

/// What came of sending a prompt, where it was not taken.
enum NotAccepted {
    Refused(Refusal),
    /// ComfyUI has not got it.
    Failed(ClientError),
    /// Nobody knows.
    Unconfirmed(ClientError),
}

impl Jobs {
    /// Hands a graph to ComfyUI. The job is recorded, and known here, before ComfyUI hears of it: no crash loses it, and
    /// no event comes too early.
    pub async fn submit(&self, client: &Client, submission: Submission) -> Result<Submitted, SubmitError> {
        self.submit_record(client, submission.into_record()).await
    }

    pub(crate) async fn submit_record(
        &self,
        client: &Client,
        record: Record,
    ) -> Result<Submitted, SubmitError> {
        match self.admit(&record).await? {
            Admission::New(in_flight) => {
                let submitted = self.hand_over(client, &record, in_flight).await;
                if let Err(error) = &submitted {
                    self.withdraw_after(&record, error).await;
                }
                submitted
            }
            Admission::Known(known) => self.same_again(*known, record.request_digest.as_deref()),
        }
    }

    /// Writes a job down, in the store and here. Whoever waits for it may leave in the middle; it is done all the same.
    pub(crate) async fn admit(&self, record: &Record) -> Result<Admission, StoreError> {
        let (jobs, record) = (self.clone(), record.clone());
        let admitting = actix_rt::spawn(async move {
            match jobs.store().create(record.clone()).await? {
                Created::New => {}
                Created::Known(known) | Created::Repeated(known) => return Ok(Admission::Known(known)),
            }
            jobs.recall_durations(&record.summary.workflow_id).await;
            // Read before the prompt is sent: a socket that opens later may have missed its first messages.
            let gap = !jobs.is_connected();
            jobs.table().insert(Job { gap, ..Job::of(&record, Handover::InFlight, jobs.now()) });
            Ok(Admission::New(InFlightGuard { jobs, prompt_id: record.summary.prompt_id }))
        });
        admitting.await.map_err(|_| StoreError::Stopped)?
    }

    /// Marks a job as one that is being handed over.
    pub(crate) fn in_flight(&self, prompt_id: &str) -> InFlightGuard {
        self.change(prompt_id, |job| job.handover = Handover::InFlight);
        InFlightGuard { jobs: self.clone(), prompt_id: prompt_id.to_owned() }
    }

    /// Sends the prompt of a job that was admitted.
    pub(crate) async fn hand_over(
        &self,
        client: &Client,
        record: &Record,
        in_flight: InFlightGuard,
    ) -> Result<Submitted, SubmitError> {
        let (summary, graph) = (&record.summary, &*record.graph);
        let accepted = match self.prompt(client, record).await {
            Ok(accepted) => accepted,
            Err(NotAccepted::Refused(refusal)) => return Err(SubmitError::Refused(refusal)),
            Err(NotAccepted::Failed(error)) => return Err(error.into()),
            Err(NotAccepted::Unconfirmed(error)) => {
                return Err(SubmitError::Unconfirmed { prompt_id: summary.prompt_id.clone(), error });
            }
        };
        let prompt_id = accepted.prompt_id;
        if prompt_id != summary.prompt_id {
            self.rename(record, &prompt_id).await?;
        }
        let node_errors = without_tracebacks(accepted.node_errors);
        let warnings = warnings(&node_errors, graph);
        self.change(&prompt_id, |job| {
            job.handover = Handover::Accepted;
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

    async fn prompt(&self, client: &Client, record: &Record) -> Result<PromptAccepted, NotAccepted> {
        let prompt_id = &record.summary.prompt_id;
        let ours = json!({"workflow_id": record.summary.workflow_id, "result_nodes": record.result_nodes});
        let extra_data = ExtraData::from_iter([(EXTRA_DATA_KEY.to_owned(), ours)]);
        let request = PromptRequest {
            prompt: &record.graph,
            client_id: self.socket_id(),
            prompt_id,
            extra_data: Some(&extra_data),
        };
        let error = match client.prompt(&request).await {
            Ok(accepted) => return Ok(accepted),
            Err(comfy_runner_client::SubmitError::Refused(refused)) => {
                return Err(NotAccepted::Refused(Refusal::new(refused, &record.graph)));
            }
            Err(comfy_runner_client::SubmitError::Client(error)) => error,
        };
        if error.is_unreachable() {
            return Err(NotAccepted::Failed(error));
        }
        // The prompt may have arrived although the reply did not: a job that runs must not be reported as refused, or
        // somebody pays for it twice.
        let patience = SECOND_LOOK.min(client.config().timeouts.reply);
        match self.look_up(&client.with_reply_timeout(patience), prompt_id).await {
            Ok(RemoteState::Pending | RemoteState::Running | RemoteState::Ended(_)) => Ok(PromptAccepted {
                prompt_id: prompt_id.clone(),
                number: 0.0,
                node_errors: NodeErrors::new(),
            }),
            // It answered, and does not have it.
            Ok(RemoteState::Unknown) if has_decided(&error) => Err(NotAccepted::Failed(error)),
            Ok(RemoteState::Unknown | RemoteState::Unreadable { .. }) | Err(_) => {
                Err(NotAccepted::Unconfirmed(error))
            }
        }
    }

    /// Takes a job back that ComfyUI has not got, as this error says. What cannot be taken back has failed.
    pub(crate) async fn withdraw_after(&self, record: &Record, error: &SubmitError) {
        if !matches!(error, SubmitError::Refused(_) | SubmitError::Client(_) | SubmitError::WrongId(_)) {
            return;
        }
        let prompt_id = &record.summary.prompt_id;
        match self.store().withdraw(prompt_id).await {
            Ok(_) => {
                self.table().remove(prompt_id);
            }
            Err(failure) => {
                tracing::error!(error = %failure, prompt_id, "a job that ComfyUI has not taken cannot be taken back");
                self.change(prompt_id, |job| {
                    job.gap = false;
                    job.progress.failed(error.to_string())
                });
            }
        }
    }

    /// A ComfyUI that is too old to take an id of ours has given the prompt its own.
    ///
    /// # Errors
    /// It is no id, or another job's.
    async fn rename(&self, record: &Record, to: &str) -> Result<(), SubmitError> {
        let prompt_id = &record.summary.prompt_id;
        if !may_be_an_id(to) {
            return Err(SubmitError::WrongId("something that is no id"));
        }
        if self.table().get(to).is_some() || self.store().get(to).await?.is_some() {
            return Err(SubmitError::WrongId("the id of another job"));
        }
        if let Err(error) = self.store().rename(prompt_id, to).await {
            tracing::error!(%error, prompt_id, to, "ComfyUI's own id for a job cannot be recorded");
        }
        let mut renamed = record.clone();
        to.clone_into(&mut renamed.summary.prompt_id);
        let mut table = self.table();
        table.remove(prompt_id);
        // Its first events may have come before we knew the id.
        table.insert(Job { gap: true, ..Job::of(&renamed, Handover::InFlight, self.now()) });
        Ok(())
    }
}

/// Whether this answer means that ComfyUI is done with the prompt. A proxy that gives up, or a line that breaks, says
/// nothing of what it will still do.
fn has_decided(error: &ClientError) -> bool {
    match error {
        ClientError::Status { status, .. } => !matches!(status, 408 | 502..=504),
        ClientError::Unreadable { .. } | ClientError::TooLarge { .. } => true,
        _ => false,
    }
}

impl Submission {
    fn into_record(self) -> Record {
        let (idempotency_key, request_digest) =
            self.idempotency.map(|Idempotency { key, digest }| (key, digest)).unzip();
        let prompt_id = new_prompt_id();
        Record {
            summary: Summary {
                client_id: client_id_of(&prompt_id),
                prompt_id,
                workflow_id: self.workflow_id,
                workflow_name: self.workflow_name,
                output_folder: self.output_folder,
                retry_of: self.retry_of,
                automatic: false,
                queued_at: wall_clock(),
                outcome: Outcome::default(),
            },
            params: self.params,
            seeds: self.seeds,
            input_files: self.input_files,
            result_nodes: self.result_nodes,
            graph: self.graph,
            idempotency_key,
            request_digest,
        }
    }
}

pub(crate) fn new_prompt_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
