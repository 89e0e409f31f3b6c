//! Storing callers' files in ComfyUI's input folder.

use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;

use actix_web::web::Bytes;
use comfy_runner_jobs::{UploadError, upload, upload_image};
use comfy_runner_manifest::Input;
use futures::{Stream, TryStreamExt as _};

use super::State;
use super::error::ApiError;

/// Streams a file to ComfyUI and records it. Returns the name under which it is stored.
pub async fn store_file<S, E>(name: &str, body: S, state: &State) -> Result<String, ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: Display + 'static,
{
    let (size, body) = measured(body);
    let stored = upload(&state.client, name, body, state.max_upload).await?;
    state.jobs.record_upload(&stored, size.get()).await?;
    Ok(stored)
}

/// As [`store_file`], for an input: one for images takes nothing else.
pub async fn store_for<S, E>(input: &Input, name: &str, body: S, state: &State) -> Result<String, ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: Display + 'static,
{
    if !input.kind.is_image() {
        return store_file(name, body, state).await;
    }
    let (size, body) = measured(body);
    let stored = match upload_image(&state.client, name, body, state.max_upload).await {
        Err(error @ UploadError::NotAnImage { .. }) => {
            return Err(ApiError::BadRequest(format!("input \"{}\" takes an image: {error}", input.id)));
        }
        stored => stored?,
    };
    state.jobs.record_upload(&stored, size.get()).await?;
    Ok(stored)
}

/// Returns the number of bytes that have passed so far, and the stream that counts them.
fn measured<S, E>(body: S) -> (Rc<Cell<u64>>, impl Stream<Item = Result<Bytes, E>> + Unpin + 'static)
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: 'static,
{
    let size = Rc::new(Cell::new(0));
    let counted = Rc::clone(&size);
    let body = body.inspect_ok(move |piece| counted.set(counted.get() + piece.len() as u64));
    (size, body)
}
