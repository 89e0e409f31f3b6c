//! Cancelling a job.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_jobs::CancelError;
use comfy_runner_jobs::StatusError;

use super::error::V2Error;
use super::jobs::{answer, job};
use crate::server::State;
use crate::server::error::ApiError;

/// How long the answer waits for the job to stop. A job that takes longer is `canceling`.
const PATIENCE: Duration = Duration::from_millis(500);

/// `POST /api/v2/jobs/{id}/cancel`. It is 200 whatever the job's status is, and may be repeated.
pub async fn cancel(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, V2Error> {
    if !state.jobs.details(&id).await?.status.is_over() {
        stop(&state, &id).await?;
    }
    let details = state.jobs.details(&id).await?;
    let job = job(&state, &details, &state.public_url.links(&request)).await?;
    answer(HttpResponse::Ok(), &job)
}

/// Asks the job to stop, and waits a moment for it. The request goes on after that.
async fn stop(state: &State, id: &str) -> Result<(), V2Error> {
    let (jobs, clients, id) = (state.jobs.clone(), state.clients.clone(), id.to_owned());
    let stopping = actix_web::rt::spawn(async move { jobs.cancel(&clients, &id).await });
    match tokio::time::timeout(PATIENCE, stopping).await {
        Err(_) | Ok(Ok(Ok(_) | Err(CancelError::Over(_)))) => Ok(()),
        Ok(Ok(Err(CancelError::Status(StatusError::Client(error))))) => Err((&error).into()),
        Ok(Ok(Err(error))) => Err(ApiError::from(error).into()),
        Ok(Err(panicked)) => Err(ApiError::Unavailable(panicked.to_string()).into()),
    }
}
