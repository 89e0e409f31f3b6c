//! Files of the file store as responses.

use std::ops::Range;
use std::str::FromStr as _;
use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    self, ByteRangeSpec, CACHE_CONTROL, CONTENT_RANGE, ContentDisposition, DispositionType, ETAG, HeaderMap,
    HeaderName, LOCATION,
};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use comfy_runner_files::{ContentHash, DownloadLink, FileError, FileStore};
use comfy_runner_jobs::StoredContent;
use comfy_runner_protocol::OutputFile;
use comfy_runner_store::AssetRecord;
use futures::{StreamExt as _, stream};

use super::State;
use super::download::shown_as;
use super::error::ApiError;

/// How long the URL of a redirect works: a player asks for parts of a video for as long as it plays.
const REDIRECT_FOR: Duration = Duration::from_secs(3600);

/// Answers with a file from the file store, or with a redirect to its storage. Returns `None` if it is not there.
pub async fn answer(
    state: &State,
    file: &OutputFile,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<HttpResponse>, ApiError> {
    let Some(content) = state.jobs.stored_content(file).await? else { return Ok(None) };
    let Some(files) = state.jobs.file_store() else { return Ok(None) };
    let (media_type, disposition) = shown_as(&file.filename);
    let redirect = state.redirect_downloads && method == Method::GET && files.has_download_urls();
    let response = match redirect {
        true => redirected(&**files, &content, media_type, &disposition).await,
        false => streamed(&**files, &content, media_type, disposition, method, headers).await,
    };
    let response = response.map_err(|error| ApiError::from(&error))?;
    if response.is_none() {
        tracing::warn!(filename = file.filename, "a recorded file is missing in the file store");
    }
    Ok(response)
}

/// Answers with the bytes of an asset under the media type that its caller declared. Returns `None` if they are gone. A
/// browser shows only what its name says as well.
pub async fn asset(
    state: &State,
    asset: &AssetRecord,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<HttpResponse>, ApiError> {
    let (Some(files), Ok(hash)) = (state.jobs.file_store(), asset.hash.parse()) else { return Ok(None) };
    let content = StoredContent::new(hash, asset.size);
    let name = asset.file_path.rsplit('/').next().unwrap_or_default();
    let (by_name, mut disposition) = shown_as(name);
    if by_name != asset.content_type {
        disposition.disposition = DispositionType::Attachment;
    }
    let response = streamed(&**files, &content, &asset.content_type, disposition, method, headers).await;
    response.map_err(|error| ApiError::from(&error))
}

/// Answers with text, or a part of it.
pub fn text(text: String, name: &str, headers: &HeaderMap) -> HttpResponse {
    let etag = format!("\"{}\"", ContentHash::of(text.as_bytes()));
    let part = Part::asked_for(headers, &etag, text.len() as u64);
    let mut response = part.response(etag, text.len() as u64);
    let bytes = Bytes::from(text);
    let bytes = match part {
        Part::NotModified | Part::PreconditionFailed | Part::Unsatisfiable => return response.finish(),
        Part::Whole => bytes,
        Part::Range(range) => bytes.slice(range.start as usize..range.end as usize),
    };
    response.content_type("text/plain; charset=utf-8").insert_header(shown_as(name).1).body(bytes)
}

async fn redirected(
    files: &dyn FileStore,
    content: &StoredContent,
    media_type: &str,
    disposition: &ContentDisposition,
) -> Result<Option<HttpResponse>, FileError> {
    if files.head(&content.hash).await?.is_none() {
        return Ok(None);
    }
    let link = DownloadLink::new(REDIRECT_FOR, media_type, disposition.to_string());
    let url = files.download_url(&content.hash, link).await?;
    Ok(url.map(|url| {
        HttpResponse::TemporaryRedirect()
            .insert_header((LOCATION, url))
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish()
    }))
}

async fn streamed(
    files: &dyn FileStore,
    content: &StoredContent,
    media_type: &str,
    disposition: ContentDisposition,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<HttpResponse>, FileError> {
    // The same content has the same name, so the tag is never wrong.
    let etag = format!("\"{}\"", content.hash);
    let part = Part::asked_for(headers, &etag, content.size);
    let mut response = part.response(etag, content.size);
    let (range, length) = match &part {
        Part::NotModified | Part::PreconditionFailed | Part::Unsatisfiable => {
            return Ok(Some(response.finish()));
        }
        Part::Whole => (None, content.size),
        Part::Range(range) => (Some(range.clone()), range.end - range.start),
    };
    response.content_type(media_type).insert_header(disposition);
    // The response to HEAD has the length of the response to GET; actix does not send the body.
    let bytes = match method == Method::HEAD {
        true => match files.head(&content.hash).await? {
            Some(_) => stream::empty().boxed(),
            None => return Ok(None),
        },
        false => match files.get(&content.hash, range).await? {
            Some(found) => found.bytes,
            None => return Ok(None),
        },
    };
    let bytes = bytes.inspect(|bytes| {
        if let Err(error) = bytes {
            tracing::warn!(%error, "a download from the file store broke off");
        }
    });
    Ok(Some(response.body(SizedStream::new(length, bytes))))
}

/// The part of a file that a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Range(Range<u64>),
    /// The caller has the file already.
    NotModified,
    /// The caller asks for another file than this one.
    PreconditionFailed,
    /// The range is not in the file.
    Unsatisfiable,
}

impl Part {
    /// Reads the conditions and the range of a request, in the order of RFC 9110, section 13.2.2. Several ranges are answered
    /// with the whole file, which it allows. There is no date of modification, so conditions on it do not apply.
    fn asked_for(headers: &HeaderMap, etag: &str, size: u64) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let names = |list: &str, weak: bool| {
            list.split(',').map(str::trim).any(|tag| {
                let tag = if weak { tag.strip_prefix("W/").unwrap_or(tag) } else { tag };
                tag == "*" || tag == etag
            })
        };
        if text(&header::IF_MATCH).is_some_and(|list| !names(list, false)) {
            return Self::PreconditionFailed;
        }
        if text(&header::IF_NONE_MATCH).is_some_and(|list| names(list, true)) {
            return Self::NotModified;
        }
        if text(&header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
            return Self::Whole;
        }
        // A range that cannot be read is no range.
        let range = text(&header::RANGE).and_then(|range| header::Range::from_str(range).ok());
        let Some(header::Range::Bytes(ranges)) = range else { return Self::Whole };
        let [range] = ranges.as_slice() else { return Self::Whole };
        match range.to_satisfiable_range(size) {
            Some((first, last)) => Self::Range(first..last + 1),
            // RFC 9110 calls `bytes=-0` unsatisfiable, and a range that is upside down no range.
            None if matches!(range, ByteRangeSpec::FromTo(from, to) if from > to) => Self::Whole,
            None => Self::Unsatisfiable,
        }
    }

    /// Begins the response with this part of a file of `size` bytes.
    fn response(&self, etag: String, size: u64) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status());
        response.insert_header((ETAG, etag)).insert_header((header::ACCEPT_RANGES, "bytes"));
        match self {
            Self::Range(part) => {
                let shown = format!("bytes {}-{}/{size}", part.start, part.end - 1);
                response.insert_header((CONTENT_RANGE, shown));
            }
            Self::Unsatisfiable => {
                response.insert_header((CONTENT_RANGE, format!("bytes */{size}")));
            }
            Self::Whole | Self::NotModified | Self::PreconditionFailed => {}
        }
        response
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Whole => StatusCode::OK,
            Self::Range(_) => StatusCode::PARTIAL_CONTENT,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Unsatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn asked(headers: &[(HeaderName, &'static str)], size: u64) -> Part {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Part::asked_for(&headers.collect(), "\"tag\"", size)
    }

    #[test]
    fn a_range_is_read_as_rfc_9110_says() {
        let range = |text| asked(&[(header::RANGE, text)], 10);
        assert_eq!(range("bytes=0-3"), Part::Range(0..4));
        assert_eq!(range("bytes=4-"), Part::Range(4..10));
        assert_eq!(range("bytes=4-999"), Part::Range(4..10));
        assert_eq!(range("bytes=-3"), Part::Range(7..10));
        assert_eq!(range("bytes=-30"), Part::Range(0..10));
        for unsatisfiable in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            assert_eq!(range(unsatisfiable), Part::Unsatisfiable, "{unsatisfiable}");
        }
        for none in ["bytes=0-1,4-5", "bytes=5-2", "bytes=x", "lines=0-1", "bytes="] {
            assert_eq!(range(none), Part::Whole, "{none}");
        }
        assert_eq!(asked(&[(header::RANGE, "bytes=0-")], 0), Part::Unsatisfiable);
    }

    #[test]
    fn conditions_are_about_the_content() {
        let range = (header::RANGE, "bytes=0-3");
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "\"other\", W/\"tag\"")], 10), Part::NotModified);
        assert_eq!(asked(&[(header::IF_NONE_MATCH, "\"other\"")], 10), Part::Whole);
        assert_eq!(asked(&[(header::IF_MATCH, "\"other\""), range.clone()], 10), Part::PreconditionFailed);
        assert_eq!(asked(&[(header::IF_MATCH, "*"), range.clone()], 10), Part::Range(0..4));
        assert_eq!(asked(&[(header::IF_RANGE, "\"tag\""), range.clone()], 10), Part::Range(0..4));
        assert_eq!(asked(&[(header::IF_RANGE, "\"other\""), range.clone()], 10), Part::Whole);
        let date = (header::IF_RANGE, "Tue, 24 Mar 2026 14:30:52 GMT");
        assert_eq!(asked(&[date, range], 10), Part::Whole);
    }
}
