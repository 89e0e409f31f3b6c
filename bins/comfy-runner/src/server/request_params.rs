//! The params of `build` and `execute`: a multipart form, a JSON object or a URL-encoded form.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{self, Bytes, BytesMut};
use futures::StreamExt as _;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use super::excerpt::excerpt;

/// The most that `params` may have, in bytes: prompts are long, but not longer than this.
pub const LARGEST_PARAMS: usize = 1 << 20;

/// The largest JSON body, in bytes: params that bring files in base64.
pub const LARGEST_JSON: usize = 16 << 20;

/// Strings of this length or more are files in base64: they do not count as params.
const FILE_STRING: usize = 16 << 10;

/// The number of JSON bodies larger than [`LARGEST_PARAMS`] that are in memory at once. Others wait.
pub const LARGE_BODIES: usize = 4;

/// As much of a content type as an answer repeats, in bytes.
const CONTENT_TYPE_SHOWN: usize = 100;

/// How the body of a request carries params.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// There is no body.
    Empty,
    /// `multipart/form-data`: `params`, and files.
    Multipart,
    /// `application/json`: an object.
    Json,
    /// `application/x-www-form-urlencoded`: `params` as a field.
    UrlEncoded,
}

impl Encoding {
    /// Reads the encoding from the headers of a request to `request.path()`.
    pub fn from_request(request: &HttpRequest) -> Result<Self, ApiError> {
        let headers = request.headers();
        let Some(content_type) = headers.get(CONTENT_TYPE) else {
            let empty = headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0");
            return if empty { Ok(Self::Empty) } else { Err(unsupported(request.path(), None)) };
        };
        let content_type = String::from_utf8_lossy(content_type.as_bytes());
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "multipart/form-data" => Ok(Self::Multipart),
            "application/json" => Ok(Self::Json),
            "application/x-www-form-urlencoded" => Ok(Self::UrlEncoded),
            _ => Err(unsupported(request.path(), Some(&content_type))),
        }
    }
}

fn unsupported(path: &str, content_type: Option<&str>) -> ApiError {
    let given = match content_type {
        Some(content_type) => {
            format!("the Content-Type \"{}\" is not supported", excerpt(content_type, CONTENT_TYPE_SHOWN))
        }
        None => "the request has a body but no Content-Type".to_owned(),
    };
    let path = excerpt(path, CONTENT_TYPE_SHOWN);
    ApiError::UnsupportedMediaType(format!(
        "{given}. Send JSON: curl -X POST http://HOST{path} --json '{{\"prompt\": \"a red fox\"}}', or in Python \
         requests.post(\"http://HOST{path}\", json={{\"prompt\": \"a red fox\"}}). Send files as a form: curl -F \
         'params={{\"prompt\": \"a red fox\"}}' -F input_image=@photo.png, or in Python requests.post(url, \
         data={{\"params\": json.dumps(params)}}, files={{\"input_image\": open(\"photo.png\", \"rb\")}})"
    ))
}

/// The answer to a body that should be a form with a file.
pub fn not_a_file_form(path: &str) -> ApiError {
    ApiError::UnsupportedMediaType(format!(
        "send the file as the part `file` of a form: curl -F file=@photo.png http://HOST{}, or in Python \
         requests.post(url, files={{\"file\": open(\"photo.png\", \"rb\")}})",
        excerpt(path, CONTENT_TYPE_SHOWN)
    ))
}

/// Reads a body that holds nothing but params.
pub async fn read_body(body: web::Payload) -> Result<Bytes, ApiError> {
    let read = body.to_bytes_limited(LARGEST_PARAMS).await.map_err(|_| too_large())?;
    read.map_err(|error| ApiError::BadRequest(format!("the body cannot be read: {error}")))
}

/// A JSON body.
pub struct JsonBody {
    pub bytes: Bytes,
    /// If it is large: to be held while it, or what was made of it, is in memory.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// Reads a JSON body, which may bring files in base64.
pub async fn read_json_body(
    mut body: web::Payload,
    large_bodies: &Arc<Semaphore>,
) -> Result<JsonBody, ApiError> {
    let (mut read, mut permit) = (BytesMut::new(), None);
    while let Some(piece) = body.next().await {
        let piece =
            piece.map_err(|error| ApiError::BadRequest(format!("the body cannot be read: {error}")))?;
        if read.len() + piece.len() > LARGEST_PARAMS && permit.is_none() {
            permit = Arc::clone(large_bodies).acquire_owned().await.ok();
        }
        if read.len() + piece.len() > LARGEST_JSON {
            return Err(ApiError::TooLarge(format!(
                "the body is larger than {LARGEST_JSON} bytes; send large files as parts of multipart/form-data, or as \
                 {{\"url\": ...}}"
            )));
        }
        read.extend_from_slice(&piece);
    }
    if params_length(&read) > LARGEST_PARAMS {
        return Err(too_large());
    }
    Ok(JsonBody { bytes: read.freeze(), permit })
}

/// Returns the number of bytes of a JSON text without its longest strings: parsed, all else takes many times as much memory.
fn params_length(json: &[u8]) -> usize {
    let mut length = json.len();
    let mut rest = json;
    while let Some(start) = rest.iter().position(|byte| *byte == b'"') {
        rest = &rest[start + 1..];
        let end = string_end(rest);
        if end >= FILE_STRING {
            length -= end;
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    length
}

/// Returns the position of the quote that ends a string, or the length of all that is left.
fn string_end(text: &[u8]) -> usize {
    let mut position = 0;
    loop {
        match text.get(position) {
            Some(b'\\') => position += 2,
            Some(b'"') => return position,
            Some(_) => position += 1,
            None => return text.len(),
        }
    }
}

pub fn too_large() -> ApiError {
    ApiError::TooLarge(format!("`params` is larger than {LARGEST_PARAMS} bytes"))
}

/// Parses a JSON body. The value of a key `params` are the params; without that key, the object itself is.
pub fn parse_json(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut object = parse_object(body, "the body")?;
    let Some(params) = object.shift_remove("params") else { return Ok(object) };
    if let Some(other) = object.keys().next() {
        return Err(ApiError::BadRequest(format!(
            "the body has a key \"{}\" beside `params`; put every value into `params`",
            excerpt(other, CONTENT_TYPE_SHOWN)
        )));
    }
    match params {
        Value::Object(params) => Ok(params),
        _ => Err(not_an_object("`params`")),
    }
}

/// Parses a URL-encoded body, whose only field is `params`.
pub fn parse_url_encoded(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut params = None;
    for (name, value) in form_urlencoded::parse(body) {
        if name != "params" {
            return Err(ApiError::BadRequest(format!(
                "the form has a field \"{}\"; it takes only `params`, a JSON object from input ids to values. Send \
                 files as multipart/form-data",
                excerpt(&name, CONTENT_TYPE_SHOWN)
            )));
        }
        if params.replace(value).is_some() {
            return Err(two_params());
        }
    }
    parse_params(params.unwrap_or_default().as_bytes())
}

pub fn two_params() -> ApiError {
    ApiError::BadRequest("there are two fields `params`; send one".to_owned())
}

/// Parses the value of a field `params`. An empty value gives no params.
pub fn parse_params(text: &[u8]) -> Result<Map<String, Value>, ApiError> {
    parse_object(text, "`params`")
}

fn parse_object(text: &[u8], name: &str) -> Result<Map<String, Value>, ApiError> {
    if text.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(not_an_object(name)),
        Err(error) => Err(ApiError::BadRequest(format!("{name} is not valid JSON: {error}"))),
    }
}

fn not_an_object(name: &str) -> ApiError {
    ApiError::BadRequest(format!("{name} must be a JSON object, from input ids to values"))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::json;

    use super::*;

    fn encoding(content_type: Option<&'static str>, length: &'static str) -> Result<Encoding, String> {
        let mut request =
            TestRequest::post().uri("/api/run/x/execute").insert_header((CONTENT_LENGTH, length));
        if let Some(content_type) = content_type {
            request = request.insert_header((CONTENT_TYPE, content_type));
        }
        Encoding::from_request(&request.to_http_request()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_content_type_chooses_the_encoding_whatever_its_case_and_parameters() {
        assert_eq!(encoding(None, "0"), Ok(Encoding::Empty));
        assert_eq!(encoding(Some("Multipart/Form-Data; boundary=x"), "9"), Ok(Encoding::Multipart));
        assert_eq!(encoding(Some("application/json; charset=utf-8"), "9"), Ok(Encoding::Json));
        assert_eq!(encoding(Some("application/x-www-form-urlencoded"), "9"), Ok(Encoding::UrlEncoded));
    }

    #[test]
    fn another_content_type_is_answered_with_the_forms_that_work() {
        for (content_type, names) in [(Some("text/plain"), "\"text/plain\""), (None, "no Content-Type")] {
            let error = encoding(content_type, "9").unwrap_err();
            for part in [names, "--json", "requests.post(", "-F 'params=", "/api/run/x/execute"] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn a_json_body_is_the_params_or_wraps_them() {
        let params = |body: &str| parse_json(body.as_bytes()).map(Value::Object).map_err(|e| e.to_string());
        assert_eq!(params(r#"{"a": 1}"#), Ok(json!({"a": 1})));
        assert_eq!(params(r#"{"params": {"a": 1}}"#), Ok(json!({"a": 1})));
        assert_eq!(params(r#"{"params": {"params": 2}}"#), Ok(json!({"params": 2})));
        assert_eq!(params(""), Ok(json!({})));
        assert!(params(r#"{"params": {}, "a": 1}"#).unwrap_err().contains("\"a\" beside `params`"));
        assert!(params(r#"{"params": [1]}"#).unwrap_err().contains("`params` must be a JSON object"));
        assert!(params("[1]").unwrap_err().contains("the body must be a JSON object"));
        assert!(params("{").unwrap_err().contains("the body is not valid JSON"));
    }

    #[test]
    fn a_url_encoded_body_has_one_field_params() {
        let params =
            |body: &str| parse_url_encoded(body.as_bytes()).map(Value::Object).map_err(|e| e.to_string());
        assert_eq!(params("params=%7B%22a%22%3A+%22b+c%22%7D"), Ok(json!({"a": "b c"})));
        assert_eq!(params(""), Ok(json!({})));
        assert!(params("prompt=fox").unwrap_err().contains("a field \"prompt\""));
        assert!(params("params={}&params={}").unwrap_err().contains("two fields"));
    }
}
