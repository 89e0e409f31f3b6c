//! The bodies of `build` and `execute`: params, and files on their way to ComfyUI.

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::web::{self, Bytes};
use comfy_runner_manifest::{FileSource, Input, Manifest};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt as _;

use super::State;
use super::auth::Caller;
use super::brought_files;
use super::error::ApiError;
use super::excerpt::excerpt;
use super::idempotency::RequestDigest;
use super::request_params::{
    Encoding, LARGEST_PARAMS, not_a_file_form, parse_json, parse_params, parse_url_encoded, read_body,
    read_json_body, too_large as params_too_large, two_params,
};
use super::store_file::{store_file, store_for};
use crate::assembly::check_before_file;

/// As many parts of a form are named in an answer.
const PARTS_NAMED: usize = 8;
/// As much of a part's name as an answer repeats, in bytes.
const PART_NAME_SHOWN: usize = 64;

/// What a caller sent: values as they came, and the names under which ComfyUI stored the files.
#[derive(Debug, Default)]
pub struct Form {
    /// The object in `params`.
    pub params: Map<String, Value>,
    /// Stored files by the input that they are for.
    pub uploads: IndexMap<String, String>,
}

/// What to do with the files of a form.
#[derive(Clone, Copy)]
pub enum Files<'a> {
    /// Stream them to ComfyUI.
    Upload,
    /// Stream them to ComfyUI, and compute a digest.
    UploadAndDigest(&'a RequestDigest),
    /// Compute a digest only: an earlier request has uploaded the same files.
    Digest(&'a RequestDigest),
}

impl Form {
    /// Reads the body of a request in any [`Encoding`], and does with each file what `files` says.
    pub(super) async fn read(
        request: &HttpRequest,
        body: web::Payload,
        manifest: &Manifest,
        state: &State,
        files: Files<'_>,
    ) -> Result<Self, ApiError> {
        let caller = Caller::of(request);
        let mut permit = None;
        let mut form =
            match Encoding::from_request(request)? {
                Encoding::Empty => return Ok(Self::default()),
                Encoding::Json => {
                    let body = read_json_body(body, &state.large_bodies).await?;
                    let form = Self { params: parse_json(&body.bytes)?, ..Self::default() };
                    permit = body.permit;
                    form
                }
                Encoding::UrlEncoded => {
                    Self { params: parse_url_encoded(&read_body(body).await?)?, ..Self::default() }
                }
                Encoding::Multipart => {
                    Self::from_parts(multipart(request, body, state)?, manifest, async |input, part| {
                        match files {
                            Files::Upload => {
                                store_for(input, &file_name(&part), part.boxed_local(), state, &caller).await
                            }
                            Files::UploadAndDigest(digest) => {
                                let name = file_name(&part);
                                let part = digest.watch(&input.id, part).boxed_local();
                                store_for(input, &name, part, state, &caller).await
                            }
                            Files::Digest(digest) => look_at(digest.watch(&input.id, part), state).await,
                        }
                    })
                    .await?
                }
            };
        let sources = FileSource::take_all(manifest, &mut form.params)?;
        if permit.is_some() && serde_json::to_string(&form.params)?.len() > LARGEST_PARAMS {
            return Err(params_too_large());
        }
        brought_files::add(&mut form, sources, manifest, state, &caller, files).await?;
        // A large body is in memory until here.
        drop(permit);
        Ok(form)
    }

    /// Reads the parts of a form as they come. `take_file` reads the file for an input, and returns the name under which it
    /// is stored. Params that come before a file are checked before it is read.
    pub async fn from_parts(
        mut parts: Multipart,
        manifest: &Manifest,
        mut take_file: impl AsyncFnMut(&Input, Field) -> Result<String, ApiError>,
    ) -> Result<Self, ApiError> {
        let mut form = Self::default();
        let mut has_params = false;
        while let Some(part) = parts.try_next().await? {
            let name = part.name().unwrap_or_default().to_owned();
            if name == "params" {
                if std::mem::replace(&mut has_params, true) {
                    return Err(two_params());
                }
                form.params = read_params(part).await?;
                continue;
            }
            let input = manifest.file_input(&name).ok_or_else(|| unknown_part(&name, manifest))?;
            if form.uploads.contains_key(&input.id) {
                return Err(ApiError::BadRequest(format!(
                    "there are two files for the input \"{}\"",
                    input.id
                )));
            }
            check_before_file(manifest, &form.params, &input.id)?;
            let stored = take_file(input, part).await?;
            form.uploads.insert(input.id.clone(), stored);
        }
        Ok(form)
    }
}

/// Streams the part `file` of a form to ComfyUI.
pub async fn read_upload(
    request: &HttpRequest,
    body: web::Payload,
    state: &State,
) -> Result<String, ApiError> {
    let mut parts = file_form(request, body, state)?;
    let part = file_part(&mut parts).await?;
    store_file(&file_name(&part), part.boxed_local(), state, &Caller::of(request)).await
}

/// Reads the part `file` of a form into an unnamed temporary file, which is deleted when it is closed.
pub async fn read_to_disk(
    request: &HttpRequest,
    body: web::Payload,
    state: &State,
) -> Result<std::fs::File, ApiError> {
    let mut parts = file_form(request, body, state)?;
    let mut part = file_part(&mut parts).await?;
    let failed = |error: std::io::Error| {
        ApiError::Unavailable(format!("the file cannot be kept while it is read: {error}"))
    };
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().map_err(failed)?);
    let mut length = 0;
    while let Some(piece) = part.try_next().await? {
        length += piece.len() as u64;
        if length > state.max_upload {
            return Err(too_large(state));
        }
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(file.into_std().await)
}

/// The part `file` of a form. Parts before it are skipped.
async fn file_part(parts: &mut Multipart) -> Result<Field, ApiError> {
    let mut others = Vec::new();
    while let Some(part) = parts.try_next().await? {
        match part.name() {
            Some("file") => return Ok(part),
            name if others.len() < PARTS_NAMED => {
                others.push(format!("`{}`", excerpt(name.unwrap_or_default(), PART_NAME_SHOWN)));
            }
            _ => {}
        }
    }
    Err(no_file(&others))
}

fn file_form(request: &HttpRequest, body: web::Payload, state: &State) -> Result<Multipart, ApiError> {
    match Encoding::from_request(request) {
        Ok(Encoding::Multipart) => multipart(request, body, state),
        Ok(Encoding::Empty) => Err(no_file(&[])),
        _ => Err(not_a_file_form(request.path())),
    }
}

fn no_file(others: &[String]) -> ApiError {
    let form = match others {
        [] => "the form has no parts".to_owned(),
        others => format!("the form has no part `file`; it has {}", others.join(", ")),
    };
    ApiError::BadRequest(format!("{form}. Send the file as the part `file` of multipart/form-data"))
}

fn too_large(state: &State) -> ApiError {
    ApiError::TooLarge(format!("a file is larger than the limit of {} bytes", state.max_upload))
}

/// Returns the form's parts, or an error if the `Content-Length` is too large.
fn multipart(request: &HttpRequest, body: web::Payload, state: &State) -> Result<Multipart, ApiError> {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // Besides a file, the body has the params and the boundaries.
    if length.is_some_and(|length| length > state.max_upload.saturating_add(2 * LARGEST_PARAMS as u64)) {
        return Err(ApiError::TooLarge(format!(
            "the request is larger than the limit of {} bytes",
            state.max_upload
        )));
    }
    Ok(Multipart::new(request.headers(), body))
}

fn file_name(part: &Field) -> String {
    part.content_disposition().and_then(|header| header.get_filename()).unwrap_or("upload").to_owned()
}

/// Reads a file without storing it. Returns an empty name.
async fn look_at(
    body: impl Stream<Item = Result<Bytes, MultipartError>>,
    state: &State,
) -> Result<String, ApiError> {
    let mut body = std::pin::pin!(body);
    let mut passed = 0;
    while let Some(piece) = body.try_next().await? {
        passed += piece.len() as u64;
        if passed > state.max_upload {
            return Err(too_large(state));
        }
    }
    Ok(String::new())
}

async fn read_params(mut part: Field) -> Result<Map<String, Value>, ApiError> {
    parse_params(&part.bytes(LARGEST_PARAMS).await.map_err(|_| params_too_large())??)
}

fn unknown_part(name: &str, manifest: &Manifest) -> ApiError {
    let inputs = manifest.inputs.iter().filter(|input| input.kind.is_file());
    let inputs: Vec<_> = inputs.map(|input| format!("`{}`", input.id)).collect();
    ApiError::BadRequest(match inputs.as_slice() {
        [] => format!(
            "the form has a part \"{name}\", but this workflow takes no files; values go into `params`"
        ),
        inputs => format!(
            "the form has a part \"{name}\", which this workflow does not take; values go into `params`, files into \
             `input_image` or {}",
            inputs.join(", ")
        ),
    })
}

impl From<MultipartError> for ApiError {
    fn from(error: MultipartError) -> Self {
        Self::BadRequest(format!("the body is not a multipart form that can be read: {error}"))
    }
}
