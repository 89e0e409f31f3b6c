//! Submitting a job.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use comfy_runner_api_v2::{Code, Error, LibraryWorkflow, Metadata, NewJob, References, Workflow};
use comfy_runner_jobs::{Idempotency, Submission};
use comfy_runner_protocol::Graph;
use serde_json::Value;
use uuid::Uuid;

use super::error::V2Error;
use super::jobs::{answer, job};
use super::partner_key;
use crate::assembly::submission;
use crate::server::State;
use crate::server::auth::Caller;
use crate::server::error::ApiError;
use crate::server::idempotency;
use crate::server::request_params::read_json_body;

/// The id and the name that jobs of a graph have in the place of a workflow's.
const GRAPH: (&str, &str) = ("comfy-api-v2", "Comfy API v2");

/// `POST /api/v2/jobs`
pub async fn submit(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, V2Error> {
    let key = idempotency::key(&request)?;
    let body = read_json_body(body, &state.large_bodies).await?;
    let parsed = serde_json::from_slice(&body.bytes)
        .map_err(|error| Error::bad_request(format!("the body is not JSON: {error}")))?;
    drop(body);
    let NewJob { workflow, metadata, partner_key, .. } = NewJob::from_value(parsed)?;
    let partner_key = partner_key::parse(partner_key.as_deref())?;
    let mut submission = match workflow {
        Workflow::Graph(graph) => of_graph(graph)?,
        Workflow::Library(workflow) => of_library(&state, workflow).await?,
    };
    submission.metadata = metadata.map(Metadata::into_value);
    submission.partner_key = partner_key;
    submission.caller = Caller::of(&request).name.to_string();
    submission.idempotency = key.as_deref().map(single_use);
    let submitted = state.jobs.submit(&state.clients, submission).await?;
    let details = state.jobs.details(&submitted.prompt_id).await?;
    answer(HttpResponse::Created(), &job(&state, &details, &state.public_url.links(&request)).await?)
}

/// A key of this API works once, whatever the request: each request has a digest of its own. Keys of our own API, which
/// repeat the answer, are others.
fn single_use(key: &str) -> Idempotency {
    Idempotency::new(format!("v2 {key}"), Uuid::new_v4().to_string())
}

fn of_graph(graph: Value) -> Result<Submission, V2Error> {
    check_references(&graph)?;
    let graph =
        Graph::from_value(graph).map_err(|error| Error::new(Code::InvalidWorkflow, error.to_string()))?;
    Ok(Submission::new(GRAPH.0, GRAPH.1, Arc::new(graph)))
}

/// Assembles a workflow of the library as `POST /api/run/{workflow_id}/execute` does.
async fn of_library(state: &State, workflow: LibraryWorkflow) -> Result<Submission, V2Error> {
    let LibraryWorkflow { id, params } = workflow;
    check_references(&params)?;
    let Value::Object(params) = params else {
        return Err(V2Error::new(Code::InvalidWorkflow, "`workflow.params` must be an object"));
    };
    let invalid = |error: ApiError| match error.status_code() {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => {
            V2Error::new(Code::InvalidWorkflow, error.to_string())
        }
        _ => error.into(),
    };
    let workflow = state.workflow(&id).await.map_err(invalid)?;
    let assembled = workflow.request(&params).assemble().map_err(|error| invalid(error.into()))?;
    Ok(submission(assembled, workflow.manifest(), params))
}

fn check_references(value: &Value) -> Result<(), V2Error> {
    let references = References::find(value);
    if references.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> =
        references.assets.into_iter().map(|asset| asset.id).chain(references.malformed).collect();
    let message = format!("these assets do not exist: {}", missing.join(", "));
    Err(Error::new(Code::MissingAsset, message).with_detail("missing_ids", missing).into())
}
