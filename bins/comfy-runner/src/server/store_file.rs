//! Storing callers' files.

use std::fmt::Display;

use actix_web::web::Bytes;
use comfy_runner_jobs::{UploadError, UploadKind, UploadOptions};
use comfy_runner_manifest::Input;
use futures::Stream;

use super::State;
use super::auth::Caller;
use super::error::ApiError;

/// Streams a file to where uploads go, and records it. Returns the name by which jobs refer to it.
pub async fn store_file<S, E>(name: &str, body: S, state: &State, caller: &Caller) -> Result<String, ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: Display + 'static,
{
    let options = UploadOptions::new(state.max_upload).with_caller(&caller.name);
    Ok(state.jobs.upload(&state.any_client()?, name, body, options).await?)
}

/// As [`store_file`], for an input: one for images takes nothing else.
pub async fn store_for<S, E>(
    input: &Input,
    name: &str,
    body: S,
    state: &State,
    caller: &Caller,
) -> Result<String, ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: Display + 'static,
{
    let kind = if input.kind.is_image() { UploadKind::Image } else { UploadKind::Media };
    let options = UploadOptions::new(state.max_upload).with_kind(kind).with_caller(&caller.name);
    match state.jobs.upload(&state.any_client()?, name, body, options).await {
        Err(error @ UploadError::NotAnImage { .. }) => {
            Err(ApiError::BadRequest(format!("input \"{}\" takes an image: {error}", input.id)))
        }
        stored => Ok(stored?),
    }
}
