//! The key for partner nodes that a request brings.

use actix_web::HttpRequest;
use comfy_runner_jobs::PartnerKey;
use serde_json::{Map, Value};

use super::error::ApiError;

/// The header with the key.
pub const HEADER: &str = "x-comfy-api-key";
/// The key's name among the params.
const PARAM: &str = "_api_key_comfy_org";

/// Reads the header.
pub fn from_header(request: &HttpRequest) -> Result<Option<PartnerKey>, ApiError> {
    let Some(value) = request.headers().get(HEADER) else { return Ok(None) };
    parse(value.to_str().unwrap_or_default(), "X-Comfy-Api-Key").map(Some)
}

/// Takes the key out of the params, so that it is neither recorded nor part of a graph. The header takes precedence.
pub fn take(request: &HttpRequest, params: &mut Map<String, Value>) -> Result<Option<PartnerKey>, ApiError> {
    let param = params.shift_remove(PARAM);
    if let Some(key) = from_header(request)? {
        return Ok(Some(key));
    }
    match param {
        None | Some(Value::Null) => Ok(None),
        Some(key) => parse(key.as_str().unwrap_or_default(), PARAM).map(Some),
    }
}

fn parse(key: &str, place: &str) -> Result<PartnerKey, ApiError> {
    PartnerKey::new(key).map_err(|error| ApiError::BadRequest(format!("`{place}`: {error}")))
}
