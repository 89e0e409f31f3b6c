//! Retrying a job at a caller's request: a new job with `retry_of`.

use std::sync::Arc;

use comfy_runner_api::Submitted;
use comfy_runner_protocol::Graph;
use comfy_runner_store::{Outcome, Record, StoreError};
use serde_json::Value;

use crate::clients::Clients;
use crate::jobs::Jobs;
use crate::partner_key::PartnerKey;
use crate::records::{RecordError, stored_record};
use crate::state::unix_millis;
use crate::submission::new_prompt_id;
use crate::submit::submit_record;
use crate::submit_error::SubmitError;
use crate::watch::client_id_of;

/// Why a job is not retried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetryError {
    /// It cannot be found, or is not over.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It cannot be submitted.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl From<StoreError> for RetryError {
    fn from(error: StoreError) -> Self {
        Self::Submit(error.into())
    }
}

/// See [`Jobs::retry`].
pub(crate) async fn retry(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
    output_folder: &str,
    key: Option<PartnerKey>,
) -> Result<Submitted, RetryError> {
    let record = stored_record(jobs, prompt_id).await?;
    if !record.summary.outcome.status.is_over() {
        return Err(RecordError::Active(prompt_id.to_owned()).into());
    }
    Ok(submit_record(jobs, clients, again(record, output_folder), key).await?)
}

/// The same request as a new job.
fn again(mut record: Record, output_folder: &str) -> Record {
    let graph = Arc::unwrap_or_clone(record.graph);
    record.graph = Arc::new(into_folder(graph, &record.summary.output_folder, output_folder));
    let summary = &mut record.summary;
    summary.retry_of = Some(std::mem::replace(&mut summary.prompt_id, new_prompt_id()));
    summary.automatic = false;
    summary.client_id = client_id_of(&summary.prompt_id);
    output_folder.clone_into(&mut summary.output_folder);
    summary.queued_at = unix_millis();
    // Its ComfyUI is chosen anew.
    summary.outcome = Outcome::default();
    (record.idempotency_key, record.request_digest) = (None, None);
    record
}

/// Replaces one folder by another in every path that begins with it.
fn into_folder(mut graph: Graph, from: &str, to: &str) -> Graph {
    if from.is_empty() {
        return graph;
    }
    for value in graph.nodes.values_mut().flat_map(|node| node.inputs.values_mut()) {
        if let Value::String(text) = value
            && let Some(rest) = text.strip_prefix(from)
            && rest.starts_with('/')
        {
            *value = format!("{to}{rest}").into();
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_paths_below_the_old_folder_move_to_the_new_one() {
        let save =
            |prefix: &str| json!({"class_type": "SaveImage", "inputs": {"filename_prefix": prefix, "n": 1}});
        let graph = |first: &str, second: &str| {
            Graph::from_value(json!({"1": save(first), "2": save(second)})).unwrap()
        };
        assert_eq!(
            into_folder(graph("old/final/final", "older/x"), "old", "new"),
            graph("new/final/final", "older/x")
        );
        assert_eq!(into_folder(graph("/x", "y"), "", "new"), graph("/x", "y"));
    }
}
