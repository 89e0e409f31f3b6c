//! Several jobs from one request.

use std::sync::Arc;

use actix_web::web;
use comfy_runner_api::Submitted;
use comfy_runner_jobs::{Idempotency, Submission};
use comfy_runner_workflow::{OutputFolder, Workflow};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::State;
use super::error::ApiError;
use super::execute::JobRequest;
use crate::assembly::submission;

/// Submits a job for each of these params, or finds those of an earlier request with the same idempotency key.
///
/// Every graph is assembled before the first job is submitted. The jobs are submitted one after the other, also when the
/// caller disconnects meanwhile.
pub async fn submit(
    state: &web::Data<State>,
    workflow: &Arc<Workflow>,
    request: JobRequest,
    params: Vec<Map<String, Value>>,
) -> Result<Vec<Submitted>, ApiError> {
    let keys = keys(request.idempotency.as_ref(), params.len());
    if request.known {
        return submitted_before(state, keys).await;
    }
    let (now, first) = (OffsetDateTime::now_utc(), rand::random::<u32>());
    let mut submissions = Vec::with_capacity(params.len());
    for ((number, params), key) in (0..).zip(params).zip(keys) {
        // Random numbers might give two jobs the same folder.
        let folder = OutputFolder::new(now, first.wrapping_add(number));
        let uploads = request.form.uploads.clone();
        let assembled = workflow.request(&params).uploads(uploads).folder(folder).assemble()?;
        let mut submission = submission(assembled, workflow.manifest(), params);
        submission.idempotency = key;
        submission.partner_key = request.partner_key.clone();
        submission.caller = request.caller.name.to_string();
        submission.priority = request.priority;
        submissions.push(submission);
    }
    let state = state.clone();
    let submitting = actix_web::rt::spawn(async move { submit_all(&state, submissions).await });
    submitting
        .await
        .map_err(|error| ApiError::Unavailable(format!("the jobs cannot be submitted: {error}")))?
}

async fn submit_all(state: &State, submissions: Vec<Submission>) -> Result<Vec<Submitted>, ApiError> {
    let count = submissions.len();
    let mut jobs = Vec::with_capacity(count);
    for submission in submissions {
        match state.jobs.submit(&state.clients, submission).await {
            Ok(submitted) => jobs.push(submitted),
            Err(error) if jobs.is_empty() => return Err(error.into()),
            Err(error) => return Err(ApiError::Incomplete { error: Box::new(error.into()), jobs, count }),
        }
    }
    Ok(jobs)
}

/// Returns the key of each job. The last one has the caller's key, so that it is known only when all jobs are; the others
/// have keys that no header can contain.
fn keys(idempotency: Option<&Idempotency>, count: usize) -> Vec<Option<Idempotency>> {
    let key = |number: usize| {
        let mut idempotency = idempotency?.clone();
        if number + 1 < count {
            idempotency.key = format!("{}\n{number}", idempotency.key);
        }
        Some(idempotency)
    };
    (0..count).map(key).collect()
}

/// Returns the jobs of an earlier request, without those whose records were deleted.
async fn submitted_before(state: &State, keys: Vec<Option<Idempotency>>) -> Result<Vec<Submitted>, ApiError> {
    let keys: Vec<Idempotency> = keys.into_iter().flatten().collect();
    let mut last = None;
    // The last has the caller's key, which may belong to another request.
    if let Some(key) = keys.last() {
        last = Some(state.jobs.submitted_before(key).await?);
    }
    let mut jobs = Vec::with_capacity(keys.len());
    for key in keys.iter().take(keys.len().saturating_sub(1)) {
        if state.jobs.is_known_key(&key.key).await? {
            jobs.push(state.jobs.submitted_before(key).await?);
        }
    }
    jobs.extend(last);
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_key_is_that_of_the_last_job() {
        let idempotency = Idempotency::new("k", "d");
        let keys: Vec<_> = keys(Some(&idempotency), 3).into_iter().map(|key| key.unwrap().key).collect();
        assert_eq!(keys, ["k\n0", "k\n1", "k"]);
    }
}
