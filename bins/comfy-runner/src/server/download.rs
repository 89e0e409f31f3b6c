//! Files from the file store or from ComfyUI, streamed on to the caller.

use actix_web::body::SizedStream;
use actix_web::http::header::{
    self, CONTENT_LENGTH, ContentDisposition, DispositionParam, DispositionType, ExtendedValue, HeaderMap,
    HeaderName,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use comfy_runner_api::{ResultQuery, ViewQuery};
use comfy_runner_client::{ClientError, FileQuery, FileReply};
use comfy_runner_jobs::check_place;
use comfy_runner_protocol::{Media, OutputFile};
use futures::{StreamExt as _, stream};

use super::State;
use super::error::ApiError;
use super::media_type::{inline_media_type, media_type};
use super::stored_file;
use super::token::{Scope, TokenError};

/// The headers of ComfyUI's response that are passed on. `Content-Type` and `Content-Disposition` are not: this server
/// decides them.
const PASSED_BACK: [HeaderName; 5] = [
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::CACHE_CONTROL,
];

/// `GET /api/comfyui/view`
pub async fn view(
    state: web::Data<State>,
    query: web::Query<ViewQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let ViewQuery { filename, kind, subfolder, preview, .. } = query.into_inner();
    let file = OutputFile { filename, subfolder, kind };
    check_place(&file).map_err(|wrong| ApiError::BadRequest(wrong.to_owned()))?;
    check_scope(&state, &request, &file).await?;
    let preview = preview.as_deref().map(|preview| Preview::of(&file, preview)).transpose()?;
    if let Some(Preview { query, media_type }) = &preview {
        let small = FileQuery::from(&file).with_preview(query);
        // Without one, the whole file: it may be in the file store, or be an image that only a browser decodes.
        if let Ok(reply) = state.view(None, small, request.method(), &HeaderMap::new()).await
            && reply.status == StatusCode::OK
        {
            return Ok(shown_small(reply, media_type));
        }
    }
    stored_or_fetched(&state, None, &file, request.method(), request.headers(), |error| {
        match error.is_unreachable() {
            // The contract's status.
            true => ApiError::NotFound(cannot_get(&file, error)),
            false => ApiError::upstream(error, cannot_get(&file, error)),
        }
    })
    .await
}

/// `GET /api/run/result/{prompt_id}`
pub async fn result(
    state: web::Data<State>,
    prompt_id: web::Path<String>,
    query: web::Query<ResultQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (method, headers) = (request.method(), request.headers());
    stream_result(&state, &prompt_id, query.output_type, method, headers).await
}

/// Answers with the result of a job.
pub(super) async fn stream_result(
    state: &State,
    prompt_id: &str,
    preferred: Media,
    method: &Method,
    headers: &HeaderMap,
) -> Result<HttpResponse, ApiError> {
    let file = state.jobs.result(&state.clients, prompt_id, preferred).await?;
    let comfyui = state.jobs.comfyui_of(prompt_id);
    stream_output(state, comfyui.as_deref(), &file, method, headers).await
}

/// Answers with a file that a job made.
pub(super) async fn stream_output(
    state: &State,
    comfyui: Option<&str>,
    file: &OutputFile,
    method: &Method,
    headers: &HeaderMap,
) -> Result<HttpResponse, ApiError> {
    check_place(file).map_err(|wrong| {
        ApiError::BadGateway(format!("ComfyUI names a result in a place that is refused: {wrong}"))
    })?;
    stored_or_fetched(state, comfyui, file, method, headers, |error| {
        ApiError::upstream(error, cannot_get(file, error))
    })
    .await
}

/// Answers with a file from the file store, if it is there, or else from the ComfyUI with this name, or any. If neither can be read, the answer says what is
/// wrong with the store.
async fn stored_or_fetched(
    state: &State,
    comfyui: Option<&str>,
    file: &OutputFile,
    method: &Method,
    headers: &HeaderMap,
    cannot_fetch: impl FnOnce(&ClientError) -> ApiError,
) -> Result<HttpResponse, ApiError> {
    let stored = stored_file::answer(state, file, method, headers).await;
    if let Ok(Some(response)) = stored {
        return Ok(response);
    }
    let fetched = match state.view(comfyui, file.into(), method, headers).await {
        Ok(reply) => answer(reply, file, method == Method::HEAD),
        Err(error) => Err(cannot_fetch(&error)),
    };
    match (fetched, stored) {
        (Err(_), Err(error)) => Err(error),
        (fetched, _) => fetched,
    }
}

/// A smaller encoding of an image.
struct Preview<'q> {
    query: &'q str,
    media_type: &'static str,
}

impl<'q> Preview<'q> {
    fn of(file: &OutputFile, query: &'q str) -> Result<Self, ApiError> {
        let (format, quality) =
            query.split_once(';').map_or((query, None), |(format, quality)| (format, Some(quality)));
        let media_type = match format {
            "webp" => "image/webp",
            "jpeg" => "image/jpeg",
            _ => "",
        };
        let valid =
            quality.is_none_or(|text| text.parse().is_ok_and(|quality: u8| (1..=100).contains(&quality)));
        if media_type.is_empty() || !valid {
            let message = "`preview` is `webp` or `jpeg`, perhaps with a quality of 1 to 100: `webp;50`";
            return Err(ApiError::BadRequest(message.to_owned()));
        }
        if file.media() != Media::Image {
            let message = format!("`preview` is for images; \"{}\" is none", file.filename);
            return Err(ApiError::BadRequest(message));
        }
        Ok(Self { query, media_type })
    }
}

/// How long a browser keeps the smaller encoding of an image: files get names of their own, and ComfyUI encodes for each
/// request.
const SMALL_IMAGE_AGE: &str = "private, max-age=86400";

fn shown_small(reply: FileReply, media_type: &str) -> HttpResponse {
    let length = reply.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut response = HttpResponse::Ok();
    response.content_type(media_type).insert_header((header::CACHE_CONTROL, SMALL_IMAGE_AGE));
    match length {
        Some(length) => response.body(SizedStream::new(length, reply.body)),
        None => response.streaming(reply.body),
    }
}

/// Checks that a token for one job asks for a file that this job made.
async fn check_scope(state: &State, request: &HttpRequest, file: &OutputFile) -> Result<(), ApiError> {
    let scope = request.extensions().get().cloned();
    let Some(Scope::Job(prompt_id)) = scope else { return Ok(()) };
    let record = state.jobs.record(&prompt_id).await?;
    match record.summary.outputs.values().flatten().any(|made| made == file) {
        true => Ok(()),
        false => Err(TokenError::OtherJob.into()),
    }
}

fn cannot_get(file: &OutputFile, error: &ClientError) -> String {
    format!("cannot get \"{}\" from ComfyUI: {error}", file.filename)
}

fn answer(reply: FileReply, file: &OutputFile, head: bool) -> Result<HttpResponse, ApiError> {
    let status = reply.status;
    if status == StatusCode::NOT_FOUND {
        return Err(ApiError::NotFound(format!("ComfyUI has no file \"{}\"", file.filename)));
    }
    let mut response = HttpResponse::build(status);
    for name in PASSED_BACK {
        if let Some(value) = reply.headers.get(&name) {
            response.insert_header((name, value.clone()));
        }
    }
    let length = reply.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if matches!(status, StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED) {
        return Ok(response.finish());
    }
    let (media_type, disposition) = shown_as(&file.filename);
    response.content_type(media_type).insert_header(disposition);
    let Some(length) = length else { return Ok(response.streaming(reply.body)) };
    // The response to HEAD has the length of the response to GET; actix does not send the body.
    let body = if head { stream::empty().boxed_local() } else { reply.body.boxed_local() };
    Ok(response.body(SizedStream::new(length, body)))
}

/// Returns the media type of a file, and whether a browser shows it or saves it.
pub(super) fn shown_as(filename: &str) -> (&'static str, ContentDisposition) {
    let shown = inline_media_type(filename).is_some();
    let disposition = if shown { DispositionType::Inline } else { DispositionType::Attachment };
    (media_type(filename), content_disposition(disposition, filename))
}

/// Formats the header as RFC 6266 says: a plain name unchanged; any other in ASCII for old clients, and in UTF-8.
fn content_disposition(disposition: DispositionType, name: &str) -> ContentDisposition {
    let plain = |c: char| c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '%');
    let ascii: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let mut parameters = vec![];
    if ascii != name {
        let value = name.chars().filter(|c| !c.is_control()).collect::<String>().into_bytes();
        let charset = header::Charset::Ext("UTF-8".to_owned());
        parameters.push(DispositionParam::FilenameExt(ExtendedValue { charset, language_tag: None, value }));
    }
    parameters.insert(0, DispositionParam::Filename(ascii));
    ContentDisposition { disposition, parameters }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_the_header() {
        let header = |name| content_disposition(DispositionType::Inline, name).to_string();
        assert_eq!(header("final_00001.mp4"), r#"inline; filename="final_00001.mp4""#);
        assert_eq!(header(r#"a"b.png"#), r#"inline; filename="a_b.png"; filename*=UTF-8''a%22b.png"#);
        assert_eq!(header("ü.png"), r#"inline; filename="_.png"; filename*=UTF-8''%C3%BC.png"#);
        assert!(!header("a\r\nSet-Cookie: x.png").contains(['\r', '\n']));
    }
}
