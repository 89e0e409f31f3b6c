//! Assets: what jobs made, and what callers uploaded.

use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_api::JobDetails;
use comfy_runner_api_v2::{Asset, Code, expires_at, timestamp};
use comfy_runner_jobs::RecordError;

use super::error::V2Error;
use super::jobs::{answer, kept_for};
use super::outputs::{self, Content, Described, Made};
use crate::server::State;
use crate::server::download::stream_output;

/// `GET /api/v2/assets/{id}`
pub async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, V2Error> {
    let (details, _) = output(&state, &id).await?;
    let described = outputs::describe(&state, &details).await?;
    let described = described.into_iter().find(|described| described.id == *id);
    let Described { id, name, content_type, facts, .. } = described.ok_or_else(|| gone(&id))?;
    let kept_for = kept_for(&state.jobs);
    let asset = Asset {
        hash: facts.hash.map(outputs::written),
        size_bytes: facts.size,
        content_type,
        file_path: Some(name),
        created_new: None,
        created_at: timestamp(details.finished_at.or(details.started_at).unwrap_or(details.queued_at)),
        url: state.public_url.links(&request).asset_content(&id),
        url_expires_at: expires_at(&details, kept_for),
        expires_at: kept_for.map(|_| expires_at(&details, kept_for)),
        job_id: Some(details.prompt_id),
        id,
    };
    answer(HttpResponse::Ok(), &asset)
}

/// `GET /api/v2/assets/{id}/content`
pub async fn content(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, V2Error> {
    let (details, made) = output(&state, &id).await?;
    match made.content {
        Content::File(file) => {
            let comfyui = details.comfyui.as_deref().filter(|comfyui| state.clients.get(comfyui).is_some());
            Ok(stream_output(&state, comfyui, &file, request.method(), request.headers()).await?)
        }
        Content::Text(text) => Ok(stream_text(text, &made.name, request.headers())),
    }
}

/// Finds an output by its id.
async fn output(state: &State, id: &str) -> Result<(JobDetails, Made), V2Error> {
    let unknown = || V2Error::new(Code::NotFound, "there is no such asset");
    let prompt_id = outputs::job_of(id).ok_or_else(unknown)?;
    let details = match state.jobs.details(prompt_id).await {
        Ok(details) => details,
        Err(RecordError::Unknown(_)) => return Err(unknown()),
        Err(error) => return Err(error.into()),
    };
    let made = outputs::made(&details).find(|made| made.id == id).ok_or_else(unknown)?;
    Ok((details, made))
}

fn gone(id: &str) -> V2Error {
    V2Error::new(Code::OutputUnavailable, format!("the bytes of \"{id}\" are gone: its file was deleted"))
}

/// TEMP
fn stream_text(text: String, _name: &str, _headers: &actix_web::http::header::HeaderMap) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(text)
}
