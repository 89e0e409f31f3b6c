//! Handing a graph to ComfyUI.

use std::time::Duration;

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::Progress;
use comfy_runner_protocol::queue::ExtraData;
use comfy_runner_protocol::{Graph, NodeErrors, NodeId, PromptAccepted, PromptRequest};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::json;

use crate::reconcile::Standing;
use crate::refusal::{Refusal, warnings, without_tracebacks};
use crate::table::{Job, Jobs};

/// The key of our part in a prompt's `extra_data`, which ComfyUI's history gives back.
pub(crate) const EXTRA_DATA_KEY: &str = "comfy_runner";

/// How long ComfyUI may take to say whether it has a prompt, after it has already failed to say that it took it.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// What is to run.
#[derive(Debug)]
pub struct Submission<'a> {
    /// The workflow that the graph was made from.
    pub workflow_id: &'a str,
    /// The graph.
    pub graph: &'a Graph,
    /// The nodes whose files are the result; none leaves the choice to us.
    pub result_nodes: &'a [NodeId],
    /// The seeds that the graph was made with, for the reply.
    pub seeds: &'a IndexMap<String, u64>,
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
    /// One sentence for each part of the graph that ComfyUI will not run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// ComfyUI's own words about those parts.
    #[serde(skip_serializing_if = "NodeErrors::is_empty")]
    pub node_errors: NodeErrors,
}

/// Why ComfyUI has no such job.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// ComfyUI refuses the graph.
    #[error("{}", .0.detail)]
    Refused(Refusal),
    /// ComfyUI cannot be reached, or does not answer as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A submission that is under way. Whoever waits for it may leave in the middle; then nobody knows whether ComfyUI took
/// the prompt, and its queue and history must say.
struct Undecided<'a> {
    jobs: &'a Jobs,
    prompt_id: &'a str,
}

impl Drop for Undecided<'_> {
    fn drop(&mut self) {
        let now = self.jobs.now();
        self.jobs.change(self.prompt_id, |job| {
            if !job.accepted {
                job.accepted = true;
                job.gap = true;
                job.heard = now;
            }
        });
    }
}

impl Jobs {
    /// Hands a graph to ComfyUI. The job is known before ComfyUI hears of it, so that no event comes too early.
    pub async fn submit(
        &self,
        client: &Client,
        submission: Submission<'_>,
    ) -> Result<Submitted, SubmitError> {
        let prompt_id = uuid::Uuid::new_v4().to_string();
        let client_id = uuid::Uuid::new_v4().simple().to_string();
        let graph = submission.graph;
        let progress =
            Progress::new(&prompt_id, graph, None).with_result_nodes(submission.result_nodes.to_vec());
        // Read before the prompt is sent: a socket that opens later may have missed its first messages.
        let gap = !self.is_connected();
        self.table().insert(Job { progress, accepted: false, gap, closed: false, heard: self.now() });
        let _undecided = Undecided { jobs: self, prompt_id: &prompt_id };
        let accepted = match self.prompt(client, &prompt_id, &submission).await {
            Ok(accepted) => accepted,
            Err(error) => {
                self.table().remove(&prompt_id);
                return Err(error);
            }
        };
        self.accepted(&prompt_id, &accepted, graph);
        let node_errors = without_tracebacks(accepted.node_errors);
        let warnings = warnings(&node_errors, graph);
        tracing::info!(
            prompt_id = accepted.prompt_id,
            workflow = submission.workflow_id,
            nodes = graph.len(),
            warnings = warnings.len(),
            "submitted"
        );
        let seeds = submission.seeds.clone();
        Ok(Submitted { prompt_id: accepted.prompt_id, client_id, seeds, warnings, node_errors })
    }

    async fn prompt(
        &self,
        client: &Client,
        prompt_id: &str,
        submission: &Submission<'_>,
    ) -> Result<PromptAccepted, SubmitError> {
        let ours = json!({"workflow_id": submission.workflow_id, "result_nodes": submission.result_nodes});
        let extra_data = ExtraData::from_iter([(EXTRA_DATA_KEY.to_owned(), ours)]);
        let request = PromptRequest {
            prompt: submission.graph,
            client_id: self.socket_id(),
            prompt_id,
            extra_data: Some(&extra_data),
        };
        match client.prompt(&request).await {
            Ok(accepted) => Ok(accepted),
            Err(comfy_runner_client::SubmitError::Refused(refused)) => {
                Err(SubmitError::Refused(Refusal::new(refused, submission.graph)))
            }
            Err(comfy_runner_client::SubmitError::Client(error)) if error.is_unreachable() => {
                Err(error.into())
            }
            Err(comfy_runner_client::SubmitError::Client(error)) => {
                // The prompt may have arrived although the reply did not: a job that runs must not be reported as
                // refused, or somebody pays for it twice.
                let patience = SECOND_LOOK.min(client.config().timeouts.reply);
                match self.is_known(&client.with_reply_timeout(patience), prompt_id).await {
                    Ok(true) => Ok(PromptAccepted {
                        prompt_id: prompt_id.to_owned(),
                        number: 0.0,
                        node_errors: NodeErrors::new(),
                    }),
                    Ok(false) | Err(_) => Err(error.into()),
                }
            }
        }
    }

    async fn is_known(&self, client: &Client, prompt_id: &str) -> Result<bool, ClientError> {
        let queue = client.queue().await?;
        Ok(!matches!(Standing::look_up(client, &queue, prompt_id).await?, Standing::Unknown))
    }

    /// ComfyUI took the prompt. One that is too old to take an id of ours has given it its own.
    fn accepted(&self, prompt_id: &str, accepted: &PromptAccepted, graph: &Graph) {
        let mut table = self.table();
        let Some(mut job) = table.remove(prompt_id) else { return };
        job.accepted = true;
        if accepted.prompt_id != prompt_id {
            let results = job.progress.result_nodes().to_vec();
            job.progress = Progress::new(&accepted.prompt_id, graph, None).with_result_nodes(results);
            // Its first events may have come before we knew the id.
            job.gap = true;
        }
        table.insert(job);
    }
}
