//! The web page: one document at each of its addresses, and the files that it is made of.

use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, IF_NONE_MATCH, REFERRER_POLICY, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use comfy_runner_page as page;

use super::endpoint::endpoint;
use super::error::ApiError;
use super::excerpt::excerpt;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The maximum length of a path that an error repeats, in bytes.
const PATH_SHOWN: usize = 200;

/// The addresses of the page. Each answers the same document; a module in it shows what belongs to the address.
pub const ADDRESSES: [&str; 7] =
    ["/", "/w/{workflow_id}", "/w/{workflow_id}/edit", "/jobs", "/jobs/{prompt_id}", "/queue", "/new"];

/// Adds the page's addresses and files. They need no key: they are the same for everyone, and what they show comes from the
/// API.
pub fn routes(config: &mut web::ServiceConfig) {
    for address in ADDRESSES {
        config.service(endpoint(address).get(document));
    }
    config.service(endpoint(&format!("{}{{path:.*}}", page::ASSETS)).get(file));
}

/// `GET /` and the other addresses of the page.
async fn document() -> HttpResponse {
    let index = page::index();
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, index.content_security_policy.as_str()))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((CROSS_ORIGIN_OPENER_POLICY, "same-origin"))
        .body(index.into_owned().html)
}

/// `GET /assets/{version}/{path}`
async fn file(tail: web::Path<String>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let file = page::path_below_version(&tail).and_then(page::file);
    let file = file
        .ok_or_else(|| ApiError::NotFound(format!("the page has no file {}", excerpt(&tail, PATH_SHOWN))))?;
    let mut response = if lists(&request, IF_NONE_MATCH, &file.etag) {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((CONTENT_TYPE, file.media_type))
        .insert_header((CACHE_CONTROL, page::CACHE_CONTROL))
        .insert_header((ETAG, file.etag.as_str()))
        .insert_header((VARY, "Accept-Encoding"));
    Ok(match &file.gzip {
        _ if lists(&request, IF_NONE_MATCH, &file.etag) => response.finish(),
        Some(gzip) if lists(&request, ACCEPT_ENCODING, "gzip") => {
            response.insert_header((CONTENT_ENCODING, "gzip")).body(gzip.clone())
        }
        _ => response.body(file.content.clone()),
    })
}

/// Returns whether a header that is a list has this entry. Weak ETags count, because a proxy that compresses makes them so.
fn lists(request: &HttpRequest, header: HeaderName, entry: &str) -> bool {
    let list = request.headers().get(header).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name =
        |entry: &str| entry.split(';').next().unwrap_or_default().trim().trim_start_matches("W/").to_owned();
    list.split(',').any(|listed| name(listed) == entry)
}
