//! `/view`: the files of the three folders.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use actix_files::NamedFile;
use actix_web::http::header::{CONTENT_DISPOSITION, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, mime, web};
use image::ImageFormat;
use image::codecs::jpeg::JpegEncoder;

use crate::decode::{self, DecodeError};
use crate::files::{Folder, annotation};
use crate::state::State;

/// These are never shown by a browser, only saved: they could hold scripts.
const NEVER_SHOWN: [&str; 5] =
    ["text/html", "text/html-sandboxed", "application/xhtml+xml", "text/javascript", "text/css"];

/// A file with `filename`, `subfolder` and `type`; with `preview`, a smaller encoding of an image.
pub async fn file(
    request: HttpRequest,
    state: web::Data<State>,
    query: web::Query<HashMap<String, String>>,
) -> HttpResponse {
    let Some(asked) = query.get("filename") else { return HttpResponse::NotFound().finish() };
    let (filename, folder) = annotation(asked);
    if filename.is_empty() || filename.starts_with('/') || filename.contains("..") {
        return HttpResponse::BadRequest().finish();
    }
    let folder = folder.or_else(|| Folder::from_name(query.get("type").map_or("output", String::as_str)));
    let Some(folder) = folder else { return HttpResponse::BadRequest().finish() };
    // Of a name with folders in it, only the last part counts.
    let filename = filename.rsplit('/').next().unwrap_or(filename);
    let subfolder = query.get("subfolder").map_or("", String::as_str);
    let Some(path) = state.files.inside(folder, subfolder, filename) else {
        return HttpResponse::Forbidden().finish();
    };
    if !path.is_file() {
        return HttpResponse::NotFound().finish();
    }
    let Ok(disposition) = HeaderValue::from_str(&format!("filename=\"{filename}\"")) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut response = match query.get("preview") {
        Some(preview) => scaled_preview(path, preview.clone()).await,
        None => whole(&request, &path),
    };
    if response.status().is_success() {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// The file itself: ranges, ETag and dates are dealt with by actix.
fn whole(request: &HttpRequest, path: &Path) -> HttpResponse {
    match NamedFile::open(path) {
        Ok(file) => {
            let shown = !NEVER_SHOWN.contains(&file.content_type().essence_str());
            let file = if shown { file } else { file.set_content_type(mime::APPLICATION_OCTET_STREAM) };
            file.disable_content_disposition().prefer_utf8(true).into_response(request)
        }
        Err(error) => {
            tracing::warn!(%error, "a file could not be opened");
            HttpResponse::NotFound().finish()
        }
    }
}

/// `webp` (lossless here), `jpeg` or `jpeg;quality`.
async fn scaled_preview(path: std::path::PathBuf, preview: String) -> HttpResponse {
    let encoded = web::block(move || {
        let mut parts = preview.split(';');
        let jpeg = parts.next() == Some("jpeg");
        let quality = parts.next_back().and_then(|quality| quality.parse::<u8>().ok()).unwrap_or(90);
        let image = decode::first_frame(&path)?;
        let mut bytes = Cursor::new(Vec::new());
        if jpeg {
            image
                .to_rgb8()
                .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100)))?;
        } else {
            image.to_rgba8().write_to(&mut bytes, ImageFormat::WebP)?;
        }
        Ok::<_, DecodeError>((bytes.into_inner(), if jpeg { "image/jpeg" } else { "image/webp" }))
    });
    match encoded.await {
        Ok(Ok((bytes, media_type))) => HttpResponse::Ok().content_type(media_type).body(bytes),
        Ok(Err(error)) => HttpResponse::InternalServerError().body(error.to_string()),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}
