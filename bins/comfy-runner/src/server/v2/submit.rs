//! Submitting a job.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, web};
use comfy_runner_api_v2::{Code, Error, LibraryWorkflow, Metadata, NewJob, Workflow};
use comfy_runner_jobs::{Idempotency, Submission};
use comfy_runner_protocol::Graph;
use comfy_runner_scheduler::Priority;
use serde_json::Value;
use uuid::Uuid;

use super::error::V2Error;
use super::inputs;
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
    let NewJob { workflow, metadata, priority, partner_key, .. } = NewJob::from_value(parsed)?;
    let partner_key = partner_key::parse(partner_key.as_deref())?;
    let mut submission = match workflow {
        Workflow::Graph(graph) => of_graph(&state, graph).await?,
        Workflow::Library(workflow) => of_library(&state, workflow).await?,
    };
    submission.metadata = metadata.map(Metadata::into_value);
    submission.partner_key = partner_key;
    let caller = Caller::of(&request);
    submission.priority = priority.map_or_else(Priority::default, |number| nearest(number, &caller));
    submission.caller = caller.name.to_string();
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

/// Returns the nearest priority that the caller may use: the numbers of this API go further than ours.
fn nearest(number: i64, caller: &Caller) -> Priority {
    let bounds = (i64::from(Priority::MIN.get()), i64::from(caller.max_priority.get()));
    Priority::try_from(number.clamp(bounds.0, bounds.1)).unwrap_or_default()
}

async fn of_graph(state: &State, mut graph: Value) -> Result<Submission, V2Error> {
    let mut input_files = inputs::resolve(state, &mut graph).await?;
    input_files.extend(inputs::resolve_names(state, &mut graph).await?);
    let graph =
        Graph::from_value(graph).map_err(|error| Error::new(Code::InvalidWorkflow, error.to_string()))?;
    let mut submission = Submission::new(GRAPH.0, GRAPH.1, Arc::new(graph));
    submission.input_files = input_files;
    Ok(submission)
}

/// Assembles a workflow of the library as `POST /api/run/{workflow_id}/execute` does.
async fn of_library(state: &State, workflow: LibraryWorkflow) -> Result<Submission, V2Error> {
    let LibraryWorkflow { id, mut params } = workflow;
    let input_files = inputs::resolve(state, &mut params).await?;
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
    let mut submission = submission(assembled, workflow.manifest(), params);
    for name in input_files {
        if !submission.input_files.contains(&name) {
            submission.input_files.push(name);
        }
    }
    Ok(submission)
}
