//! Assets: what callers uploaded, and what jobs made.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_api::JobDetails;
use comfy_runner_api_v2::{Asset, Code, Error, FromHash, Links, expires_at, timestamp};
use comfy_runner_files::ContentHash;
use comfy_runner_jobs::{AssetError, RecordError};
use comfy_runner_store::AssetRecord;

use super::asset_form::{AssetForm, check_expires_in, check_file_path};
use super::error::V2Error;
use super::jobs::{answer, kept_for};
use super::outputs::{self, Content, Described, Made};
use crate::server::State;
use crate::server::download::stream_output;
use crate::server::request_params::read_json_body;
use crate::server::stored_file;

/// How long the URL of an asset that does not expire is reported to work.
const URL_FOR: Duration = Duration::from_secs(24 * 3600);
/// The prefix of hashes in bodies and paths.
const BLAKE3: &str = "blake3:";

/// An asset, by its id.
pub enum Found {
    /// An upload.
    Upload(AssetRecord),
    /// An output of a job.
    Output(Box<JobDetails>, Made),
}

/// `POST /api/v2/assets`
pub async fn upload(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, V2Error> {
    let (asset, is_new) = AssetForm::store(&state, &request, body).await?;
    let response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    answer(response, &of_upload(asset, Some(is_new), &state.public_url.links(&request)))
}

/// `POST /api/v2/assets/from-hash`
pub async fn from_hash(
    state: web::Data<State>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, V2Error> {
    let body = read_json_body(body, &state.large_bodies).await?;
    let wanted: FromHash = serde_json::from_slice(&body.bytes)
        .map_err(|error| Error::bad_request(format!("the body is an object with `hash`: {error}")))?;
    let hash = wanted.hash.ok_or_else(|| V2Error::new(Code::InvalidRequest, "`hash` is missing"))?;
    if let Some(file_path) = &wanted.file_path {
        check_file_path(file_path)?;
    }
    check_expires_in(wanted.expires_in)?;
    let unknown = || V2Error::new(Code::BlobNotFound, "no bytes with this hash are known: upload the file");
    let hash = read_hash(&hash).ok_or_else(unknown)?;
    let asset = state.jobs.asset_from_hash(&hash, wanted.file_path, wanted.expires_in).await?;
    let (asset, is_new) = asset.ok_or_else(unknown)?;
    let response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    answer(response, &of_upload(asset, Some(false), &state.public_url.links(&request)))
}

/// `HEAD /api/v2/assets/by-hash/{hash}`
pub async fn by_hash(state: web::Data<State>, hash: web::Path<String>) -> Result<HttpResponse, V2Error> {
    let known = match read_hash(&hash) {
        Some(hash) => state.jobs.asset_with_hash(&hash).await?,
        None => None,
    };
    match known {
        Some(_) => Ok(HttpResponse::Ok().finish()),
        None => Err(V2Error::new(Code::BlobNotFound, "no bytes with this hash are known")),
    }
}

/// `GET /api/v2/assets/{id}`
pub async fn show(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, V2Error> {
    let links = state.public_url.links(&request);
    let asset = match find(&state, &id).await? {
        Found::Upload(asset) => of_upload(asset, None, &links),
        Found::Output(details, made) => of_output(&state, &details, &made.id, &links).await?,
    };
    answer(HttpResponse::Ok(), &asset)
}

/// `GET /api/v2/assets/{id}/content`
pub async fn content(
    state: web::Data<State>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, V2Error> {
    let (method, headers) = (request.method(), request.headers());
    match find(&state, &id).await? {
        Found::Upload(asset) => {
            let response = stored_file::asset(&state, &asset, method, headers).await?;
            response.ok_or_else(|| gone(&id))
        }
        Found::Output(details, Made { content: Content::File(file), .. }) => {
            let comfyui = details.comfyui.as_deref().filter(|comfyui| state.clients.get(comfyui).is_some());
            Ok(stream_output(&state, comfyui, &file, method, headers).await?)
        }
        Found::Output(_, Made { content: Content::Text(text), name, .. }) => {
            Ok(stored_file::text(text, &name, headers))
        }
    }
}

/// `DELETE /api/v2/assets/{id}`
pub async fn delete(state: web::Data<State>, id: web::Path<String>) -> Result<HttpResponse, V2Error> {
    match find(&state, &id).await? {
        Found::Upload(asset) if state.jobs.delete_asset(&asset.id).await? => {
            Ok(HttpResponse::NoContent().finish())
        }
        Found::Upload(_) => Err(unknown()),
        // The contract does not let the answer say what holds it.
        Found::Output(..) => {
            Err(V2Error::new(Code::AssetInUse, "the asset is in use, so it cannot be deleted"))
        }
    }
}

/// Finds an asset by its id.
pub async fn find(state: &State, id: &str) -> Result<Found, V2Error> {
    let Some(prompt_id) = outputs::job_of(id) else {
        return state.jobs.asset(id).await?.map(Found::Upload).ok_or_else(unknown);
    };
    let details = match state.jobs.details(prompt_id).await {
        Ok(details) => details,
        Err(RecordError::Unknown(_)) => return Err(unknown()),
        Err(error) => return Err(error.into()),
    };
    let made = outputs::made(&details).find(|made| made.id == id).ok_or_else(unknown)?;
    Ok(Found::Output(Box::new(details), made))
}

fn of_upload(asset: AssetRecord, created_new: Option<bool>, links: &Links) -> Asset {
    let now = time::OffsetDateTime::now_utc() + URL_FOR;
    let url_until = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
    Asset {
        hash: Some(format!("{BLAKE3}{}", asset.hash)),
        size_bytes: asset.size,
        content_type: asset.content_type,
        file_path: Some(asset.file_path),
        created_new,
        created_at: timestamp(asset.created_at),
        url: links.asset_content(&asset.id),
        url_expires_at: timestamp(asset.expires_at.unwrap_or(url_until)),
        expires_at: asset.expires_at.map(timestamp),
        job_id: None,
        id: asset.id,
    }
}

async fn of_output(state: &State, details: &JobDetails, id: &str, links: &Links) -> Result<Asset, V2Error> {
    let described = outputs::describe(state, details).await?;
    let described = described.into_iter().find(|described| described.id == id);
    let Described { id, name, content_type, facts, .. } = described.ok_or_else(|| gone(id))?;
    let kept_for = kept_for(&state.jobs);
    Ok(Asset {
        hash: facts.hash.map(outputs::written),
        size_bytes: facts.size,
        content_type,
        file_path: Some(name),
        created_new: None,
        created_at: timestamp(details.finished_at.or(details.started_at).unwrap_or(details.queued_at)),
        url: links.asset_content(&id),
        url_expires_at: expires_at(details, kept_for),
        expires_at: kept_for.map(|_| expires_at(details, kept_for)),
        job_id: Some(details.prompt_id.clone()),
        id,
    })
}

/// Reads a hash as bodies and paths have it, in either case.
pub fn read_hash(text: &str) -> Option<ContentHash> {
    let (prefix, digits) = text.split_at_checked(BLAKE3.len())?;
    if prefix.eq_ignore_ascii_case(BLAKE3) { digits.parse().ok() } else { None }
}

fn unknown() -> V2Error {
    V2Error::new(Code::NotFound, "there is no such asset")
}

fn gone(id: &str) -> V2Error {
    V2Error::new(Code::OutputUnavailable, format!("the bytes of \"{id}\" are gone"))
}

impl From<AssetError> for V2Error {
    fn from(error: AssetError) -> Self {
        use comfy_runner_files::FileError;
        match &error {
            AssetError::Source(_) => Error::bad_request(error.to_string()).into(),
            AssetError::File(FileError::Mismatch { .. }) => Self::new(
                Code::HashMismatch,
                "the bytes have another hash than `expected_hash`; nothing was stored",
            ),
            AssetError::File(FileError::TooLarge { limit }) => Self::new(
                Code::PayloadTooLarge,
                format!("the file is larger than the limit of {limit} bytes"),
            ),
            AssetError::Client(error) => error.into(),
            AssetError::NoFileStore => Self::new(Code::NotImplemented, error.to_string()),
            AssetError::Gone(_) => Self::new(Code::OutputUnavailable, error.to_string()),
            AssetError::Store(_) | AssetError::File(_) | _ => {
                tracing::error!(%error, "an asset cannot be stored or read");
                Self::new(
                    Code::UpstreamUnreachable,
                    "the file store or the records cannot be reached now; try again",
                )
            }
        }
    }
}
