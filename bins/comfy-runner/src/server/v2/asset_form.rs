//! The form of an upload. The fields come before the file, as the official clients send them, so that the file is streamed.

use actix_multipart::{Field, Multipart};
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{HttpRequest, web};
use comfy_runner_api_v2::{Code, Error};
use comfy_runner_files::{ContentHash, Put};
use comfy_runner_jobs::NewAsset;
use comfy_runner_store::AssetRecord;
use futures::TryStreamExt as _;

use super::assets::read_hash;
use super::error::V2Error;
use super::outputs::content_type;
use crate::server::State;
use crate::server::error::ApiError;
use crate::server::request_params::Encoding;

/// The longest value of a field, in bytes.
const LONGEST_FIELD: usize = 4096;
/// The longest path, in bytes.
const LONGEST_PATH: usize = 255;
/// The most that a form has besides its file, in bytes.
const FORM: u64 = 64 << 10;
/// The seconds after which an asset may expire.
const EXPIRES_IN: std::ops::RangeInclusive<u64> = 60..=604_800;

/// The fields of the form so far.
#[derive(Debug, Default)]
pub struct AssetForm {
    content_type: Option<String>,
    file_path: Option<String>,
    expected_hash: Option<ContentHash>,
    expires_in: Option<u64>,
}

impl AssetForm {
    /// Reads the form of a request and stores its file. Returns the asset, and whether its bytes are new.
    pub async fn store(
        state: &State,
        request: &HttpRequest,
        body: web::Payload,
    ) -> Result<(AssetRecord, bool), V2Error> {
        if !matches!(Encoding::from_request(request), Ok(Encoding::Multipart)) {
            return Err(invalid(
                "an upload is multipart/form-data with `file_path`, `content_type` and `file`",
            )
            .into());
        }
        let length =
            request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > state.max_upload.saturating_add(FORM)) {
            return Err(too_large(state.max_upload));
        }
        let mut parts = Multipart::new(request.headers(), body);
        let mut form = Self::default();
        while let Some(part) = parts.try_next().await.map_err(ApiError::from)? {
            match part.name() {
                Some("file") => return form.store_file(state, part).await,
                name => {
                    let name = name.unwrap_or_default().to_owned();
                    form.take(&name, part).await?;
                }
            }
        }
        Err(invalid("the part `file` is missing").into())
    }

    async fn take(&mut self, name: &str, part: Field) -> Result<(), V2Error> {
        let value = text(name, part).await?;
        match name {
            "content_type" => self.content_type = Some(check_content_type(value)?),
            "file_path" => {
                check_file_path(&value)?;
                self.file_path = Some(value);
            }
            "expected_hash" => {
                let hash = read_hash(&value);
                let hash =
                    hash.ok_or_else(|| invalid("`expected_hash` is `blake3:` and 64 hexadecimal digits"))?;
                self.expected_hash = Some(hash);
            }
            "expires_in" => {
                let seconds = value.parse().map_err(|_| wrong_expiry())?;
                check_expires_in(Some(seconds))?;
                self.expires_in = Some(seconds);
            }
            // `tags`, and fields of a newer contract.
            _ => {}
        }
        Ok(())
    }

    async fn store_file(self, state: &State, part: Field) -> Result<(AssetRecord, bool), V2Error> {
        let file_path =
            self.file_path.ok_or_else(|| invalid("`file_path` is missing; it comes before `file`"))?;
        let content_type = match self.content_type {
            Some(declared) => declared,
            None => content_type(&file_path).to_owned(),
        };
        let options = Put::at_most(state.max_upload).expecting(self.expected_hash);
        let new = NewAsset { content_type, file_path, expires_in: self.expires_in };
        Ok(state.jobs.add_asset(new, part, options).await?)
    }
}

async fn text(name: &str, mut part: Field) -> Result<String, V2Error> {
    let bytes = part.bytes(LONGEST_FIELD).await;
    let bytes = bytes.map_err(|_| invalid(format!("the field `{name}` is too long")))?;
    let bytes = bytes.map_err(ApiError::from)?;
    Ok(String::from_utf8(bytes.to_vec()).map_err(|_| invalid(format!("the field `{name}` is not UTF-8")))?)
}

/// Checks the name of an asset: a file name, or one below `input/`.
pub fn check_file_path(path: &str) -> Result<(), Error> {
    let parts: Vec<_> = path.split('/').collect();
    let climbs = |part: &&str| matches!(*part, "" | "." | "..");
    if path.is_empty() || path.len() > LONGEST_PATH {
        return Err(invalid(format!("`file_path` has 1 to {LONGEST_PATH} bytes")));
    }
    if path.contains(['\\', ':']) || path.chars().any(char::is_control) || parts.iter().any(climbs) {
        return Err(invalid("`file_path` is a relative path without `..`, such as photo.png"));
    }
    if parts.len() > 1 && parts[0] != "input" {
        return Err(invalid(
            "`file_path` is a file name or a path below `input/`: files cannot be placed elsewhere, so models must be \
             installed in ComfyUI",
        ));
    }
    Ok(())
}

/// Checks after how many seconds an asset is to expire.
pub fn check_expires_in(seconds: Option<u64>) -> Result<(), Error> {
    match seconds {
        Some(seconds) if !EXPIRES_IN.contains(&seconds) => Err(wrong_expiry()),
        _ => Ok(()),
    }
}

fn check_content_type(value: String) -> Result<String, Error> {
    let essence = value.split(';').next().unwrap_or_default();
    let fits = essence.split_once('/').is_some_and(|(kind, subtype)| !kind.is_empty() && !subtype.is_empty());
    if fits && value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        Ok(value)
    } else {
        Err(invalid("`content_type` is a media type such as image/png"))
    }
}

fn wrong_expiry() -> Error {
    invalid(format!(
        "`expires_in` is a number of seconds from {} to {}",
        EXPIRES_IN.start(),
        EXPIRES_IN.end()
    ))
}

fn too_large(limit: u64) -> V2Error {
    V2Error::new(Code::PayloadTooLarge, format!("the request is larger than the limit of {limit} bytes"))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_name_or_below_input() {
        for good in ["a.png", "photo of me.png", "ü.png", "input/a.png", "input/sub/dir/a.png"] {
            assert!(check_file_path(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "..",
            "../b.png",
            "/x/b.png",
            "input/../b.png",
            "input//b.png",
            "a\\b.png",
            "C:b.png",
            "a\nb.png",
            "output/b.png",
            "models/checkpoints/x.safetensors",
            &"x".repeat(256),
        ] {
            assert_eq!(check_file_path(wrong).unwrap_err().status, 422, "{wrong}");
        }
    }

    #[test]
    fn an_expiry_is_a_minute_to_a_week() {
        for good in [None, Some(60), Some(604_800)] {
            assert!(check_expires_in(good).is_ok());
        }
        for wrong in [Some(0), Some(59), Some(604_801)] {
            assert!(check_expires_in(wrong).is_err());
        }
    }
}
