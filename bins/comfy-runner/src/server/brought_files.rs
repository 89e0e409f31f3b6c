//! Files that params bring: `{"url": ...}` and `{"base64": ...}` as values of file inputs.

use actix_web::web::Bytes;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use comfy_runner_manifest::{FileSource, Input, Manifest};
use futures::stream;

use super::State;
use super::auth::Caller;
use super::error::ApiError;
use super::form::{Files, Form};
use super::store_file::store_for;
use crate::assembly::check_before_file;

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Does with each file what `files` says, and adds it to the uploads of a form.
pub(super) async fn add(
    form: &mut Form,
    sources: Vec<(&Input, FileSource)>,
    manifest: &Manifest,
    state: &State,
    caller: &Caller,
    files: Files<'_>,
) -> Result<(), ApiError> {
    for (Input { id, .. }, _) in &sources {
        if form.uploads.contains_key(id) {
            return Err(ApiError::BadRequest(format!("there are two files for the input \"{id}\"")));
        }
        check_before_file(manifest, &form.params, id)?;
    }
    for (input, source) in sources {
        if let Files::Digest(digest) | Files::UploadAndDigest(digest) = files {
            // What a URL leads to may change; the request is the same.
            let (FileSource::Url(text) | FileSource::Base64(text)) = &source else { continue };
            digest.add(&input.id, text.as_bytes());
        }
        let stored = match files {
            Files::Digest(_) => String::new(),
            Files::Upload | Files::UploadAndDigest(_) => store(input, source, state, caller).await?,
        };
        form.uploads.insert(input.id.clone(), stored);
    }
    Ok(())
}

/// Streams a file to ComfyUI, and returns the name under which it is stored.
async fn store(
    input: &Input,
    source: FileSource,
    state: &State,
    caller: &Caller,
) -> Result<String, ApiError> {
    let id = input.id.as_str();
    match source {
        FileSource::Url(url) => {
            let refused =
                |error| ApiError::BadRequest(format!("the URL for input \"{id}\" cannot be used: {error}"));
            let fetched = state.fetcher.fetch(&url).await.map_err(refused)?;
            if fetched.length.is_some_and(|length| length > state.max_upload) {
                return Err(too_large(id, state));
            }
            let name = fetched.name.clone();
            store_for(input, &name, fetched.into_stream(), state, caller).await
        }
        FileSource::Base64(text) => {
            let bytes = BASE64.decode(text.trim()).map_err(|error| {
                ApiError::BadRequest(format!("the value for input \"{id}\" is not valid base64: {error}"))
            })?;
            drop(text);
            let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
            store_for(input, id, body, state, caller).await
        }
        _ => Err(ApiError::BadRequest(format!("the file for input \"{id}\" is of an unknown kind"))),
    }
}

fn too_large(id: &str, state: &State) -> ApiError {
    let limit = state.max_upload;
    ApiError::TooLarge(format!("the file for input \"{id}\" is larger than the limit of {limit} bytes"))
}
