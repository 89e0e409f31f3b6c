//! Building graphs without running them.

use actix_web::{HttpRequest, HttpResponse, Responder, web};
use comfy_runner_api::{BuildQuery, GraphFormat};
use comfy_runner_manifest::params_of_jobs;

use super::State;
use super::error::ApiError;
use super::form::{Files, Form};
use super::partner_key;

/// `POST /api/run/{workflow_id}/build`
pub async fn build(
    state: web::Data<State>,
    id: web::Path<String>,
    query: web::Query<BuildQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<impl Responder, ApiError> {
    let format = read_format(query.format.as_deref())?;
    let workflow = state.workflow(&id).await?;
    let mut form = Form::read(&request, body, workflow.manifest(), &state, Files::Upload).await?;
    partner_key::take(&request, &mut form.params)?;
    // With a count of jobs, the graph of the first.
    if let Some(params) =
        params_of_jobs(workflow.manifest(), &form.params)?.and_then(|jobs| jobs.into_iter().next())
    {
        form.params = params;
    }
    let assembled = workflow.request(&form.params).uploads(form.uploads).assemble()?;
    Ok(match format {
        GraphFormat::Workflow => {
            HttpResponse::Ok().json(state.to_ui_format(&workflow, &assembled).await?.graph)
        }
        _ => HttpResponse::Ok().json(assembled.graph),
    })
}

fn read_format(word: Option<&str>) -> Result<GraphFormat, ApiError> {
    let Some(word) = word else { return Ok(GraphFormat::default()) };
    word.parse().map_err(|_| ApiError::BadRequest(format!("`format` is `api` or `workflow`, not \"{word}\"")))
}
