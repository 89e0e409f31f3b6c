//! Requests with an `Idempotency-Key`: the same key and the same request are one job.

use comfy_runner_api::{Status, Submitted};
use comfy_runner_store::{Outcome, Record, StoreError, Summary};

use crate::job::Job;
use crate::jobs::Jobs;
use crate::records::bring_up_to_date;
use crate::submit_error::SubmitError;

/// What identifies a repeated request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Idempotency {
    /// The caller's key.
    pub key: String,
    /// A digest of the request that came with the key.
    pub digest: String,
}

impl Idempotency {
    /// Creates the identification of a request from its key and digest.
    pub fn new(key: impl Into<String>, digest: impl Into<String>) -> Self {
        Self { key: key.into(), digest: digest.into() }
    }
}

/// See [`Jobs::is_known_key`].
pub(crate) async fn is_known_key(jobs: &Jobs, key: &str) -> Result<bool, StoreError> {
    Ok(jobs.store().by_key(key).await?.is_some_and(|known| !was_never_accepted(&known.summary.outcome)))
}

/// See [`Jobs::submitted_before`].
pub(crate) async fn submitted_before(jobs: &Jobs, request: &Idempotency) -> Result<Submitted, SubmitError> {
    let known = jobs.store().by_key(&request.key).await?.ok_or(SubmitError::KeyBusy)?;
    same_answer(jobs, known, Some(&request.digest))
}

/// Returns the answer to the earlier request with the same key.
pub(crate) fn same_answer(
    jobs: &Jobs,
    mut known: Record,
    digest: Option<&str>,
) -> Result<Submitted, SubmitError> {
    // What ComfyUI answered may not have been written yet.
    bring_up_to_date(jobs, &mut known.summary);
    let Summary { prompt_id, client_id, retry_of, outcome, .. } = known.summary;
    if known.request_digest.as_deref() != digest {
        return Err(SubmitError::KeyReused { prompt_id });
    }
    let accepted = jobs.lock().table.get(&prompt_id).is_some_and(Job::is_accepted);
    if !accepted && !outcome.accepted {
        return Err(SubmitError::KeyBusy);
    }
    let Outcome { warnings, node_errors, .. } = outcome;
    Ok(Submitted { prompt_id, client_id, seeds: known.seeds, retry_of, warnings, node_errors })
}

/// Returns whether the job failed without ComfyUI having accepted it: its key is free again.
fn was_never_accepted(outcome: &Outcome) -> bool {
    outcome.status == Status::Error && !outcome.accepted
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use comfy_runner_protocol::Graph;
    use serde_json::json;

    use super::*;
    use crate::jobs::tests::jobs;

    #[actix_rt::test]
    async fn a_repeated_request_has_the_same_warnings_although_they_are_not_written_yet() {
        let jobs = jobs(&["a"], 10);
        let graph = Graph::from_value(json!({"1": {"class_type": "SaveImage", "inputs": {}}})).unwrap();
        let mut record = Record::new(Summary::new("a", "client", "w", 1), Arc::new(graph));
        record.idempotency_key = Some("key".to_owned());
        record.request_digest = Some("digest".to_owned());
        jobs.store().create(record).await.unwrap();
        jobs.change("a", |job| job.warnings = vec!["node 2 was left out".to_owned()]);
        let repeated = submitted_before(&jobs, &Idempotency::new("key", "digest")).await.unwrap();
        assert_eq!(repeated.warnings, ["node 2 was left out"]);
    }
}
