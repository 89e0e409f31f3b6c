//! A multipart form from any bytes, in pieces of any size: its params and files, or an error that blames the caller. Never a
//! panic, and the same whatever its pieces.
//!
//! The first byte is the length of a piece, the rest of the first line the content type, and what follows is the body.

#![no_main]

use std::sync::LazyLock;

use actix_multipart::Multipart;
use actix_web::ResponseError as _;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::web::Bytes;
use comfy_runner::server::{ApiError, Form};
use comfy_runner_manifest::Manifest;
use futures::executor::block_on;
use futures::{TryStreamExt as _, stream};
use libfuzzer_sys::fuzz_target;

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| {
    let manifest = "
id: w
inputs:
  - {id: image, type: image, required: true, node_id: 1, field: image}
  - {id: mask, type: mask, node_id: 2, field: image}
  - {id: sound, type: audio, node_id: 3, field: audio}
  - {id: prompt, type: text, required: true, node_id: 4, field: text}
  - {id: steps, type: int, node_id: 5, field: steps, min: 1, max: 100}
  - {id: seed, type: seed, node_id: 5, field: seed, default: -1}
";
    Manifest::parse(manifest, "w").expect("a manifest").0
});

fuzz_target!(|input: &[u8]| {
    let Some((&piece, rest)) = input.split_first() else { return };
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(content_type) = HeaderValue::from_bytes(&rest[..end]) else { return };
    let body = Bytes::copy_from_slice(&rest[end + 1..]);
    let whole = read(&content_type, &body, body.len());
    let in_pieces = read(&content_type, &body, piece.into());
    if let Ok(form) = &whole {
        let takes_file =
            |id: &String| MANIFEST.inputs.iter().any(|input| input.id == *id && input.kind.is_file());
        assert!(form.uploads.keys().all(takes_file), "a file for no input: {:?}", form.uploads);
    }
    match (whole, in_pieces) {
        (Ok(whole), Ok(in_pieces)) => {
            assert_eq!(whole.params, in_pieces.params);
            assert_eq!(whole.uploads, in_pieces.uploads);
        }
        (Err(whole), Err(in_pieces)) => {
            for error in [whole, in_pieces] {
                assert!(error.error_response().status().is_client_error(), "{error}");
            }
        }
        (whole, in_pieces) => panic!("whole: {whole:?}; in pieces: {in_pieces:?}"),
    }
});

/// Reads a form that comes in pieces of this length. A file is stored under its content.
fn read(content_type: &HeaderValue, body: &Bytes, length: usize) -> Result<Form, ApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type.clone());
    let pieces: Vec<_> = body
        .chunks(length.max(1))
        .map(|piece| Ok::<_, PayloadError>(Bytes::copy_from_slice(piece)))
        .collect();
    let parts = Multipart::new(&headers, stream::iter(pieces));
    block_on(Form::from_parts(parts, &MANIFEST, async |_, part| {
        let content: Vec<Bytes> = part.try_collect().await?;
        Ok(String::from_utf8_lossy(&content.concat()).into_owned())
    }))
}
