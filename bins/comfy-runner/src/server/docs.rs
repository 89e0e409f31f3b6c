//! The page that shows the OpenAPI document. It asks no other host.

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETag, EntityTag};
use actix_web::{HttpRequest, HttpResponse, web};
use sha2::{Digest as _, Sha256};

use super::error::ApiError;
use super::openapi::has;

/// Only this server's own scripts run, and only it is asked. The viewer sets styles in its elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
                      img-src 'self' data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A file of the page.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

macro_rules! asset {
    ($name:literal, $media_type:literal) => {
        Asset {
            name: $name,
            media_type: $media_type,
            content: include_bytes!(concat!("../../assets/docs/", $name)),
        }
    };
}

const PAGE: Asset = asset!("index.html", "text/html; charset=utf-8");
const FILES: [Asset; 4] = [
    asset!("page.css", "text/css; charset=utf-8"),
    asset!("page.js", "text/javascript; charset=utf-8"),
    asset!("rapidoc-min.js", "text/javascript; charset=utf-8"),
    asset!("rapidoc-min.js.LICENSE.txt", "text/plain; charset=utf-8"),
];

/// `GET /docs`
pub async fn page(request: HttpRequest) -> HttpResponse {
    answer(&request, &PAGE)
}

/// `GET /docs/{file}`
pub async fn file(name: web::Path<String>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let asset = FILES.iter().find(|asset| asset.name == *name);
    let asset = asset.ok_or_else(|| ApiError::NotFound("the page at /docs has no such file".to_owned()))?;
    Ok(answer(&request, asset))
}

fn answer(request: &HttpRequest, asset: &Asset) -> HttpResponse {
    let tag = EntityTag::new_strong(format!("{:x}", Sha256::digest(asset.content)));
    let is_known = has(request, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header(ETag(tag))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY));
    match is_known {
        true => response.finish(),
        false => response.content_type(asset.media_type).body(asset.content),
    }
}
