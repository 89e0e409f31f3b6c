//! A form with a file in it, read as it comes: the file goes to disk, never into memory.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpResponse;
use futures::StreamExt;
use tempfile::NamedTempFile;

/// A value that is no file may have this many bytes.
const LONGEST_VALUE: usize = 64 * 1024;

/// A form as it was sent.
pub struct Form {
    /// The part `image`: its file name, and where its bytes are until it is stored.
    pub image: Option<(String, NamedTempFile)>,
    /// The other parts.
    pub values: HashMap<String, String>,
}

/// Why a form cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    #[error("the form cannot be read: {0}")]
    Multipart(#[from] MultipartError),
    #[error("the upload is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the upload cannot be stored: {0}")]
    Io(#[from] std::io::Error),
}

impl FormError {
    /// The answer to the client.
    pub fn response(&self) -> HttpResponse {
        let mut response = match self {
            Self::Multipart(_) => HttpResponse::BadRequest(),
            Self::TooLarge(_) => HttpResponse::PayloadTooLarge(),
            Self::Io(_) => HttpResponse::InternalServerError(),
        };
        response.content_type("text/plain; charset=utf-8").body(self.to_string())
    }
}

/// Reads a form of at most `limit` bytes, its file into `folder`.
pub async fn read(mut parts: Multipart, folder: &Path, limit: usize) -> Result<Form, FormError> {
    let mut form = Form { image: None, values: HashMap::new() };
    let mut left = limit;
    while let Some(part) = parts.next().await {
        let mut part = part?;
        let name = part.name().unwrap_or_default().to_owned();
        let filename = part.content_disposition().and_then(|header| header.get_filename()).map(str::to_owned);
        if let Some(filename) = filename.filter(|_| name == "image") {
            let mut file = NamedTempFile::new_in(folder)?;
            copy(&mut part, &mut left, limit, |bytes| file.write_all(bytes)).await?;
            form.image = Some((filename, file));
        } else {
            let mut value = Vec::new();
            copy(&mut part, &mut left.min(LONGEST_VALUE), limit.min(LONGEST_VALUE), |bytes| {
                value.extend(bytes);
                Ok(())
            })
            .await?;
            form.values.insert(name, String::from_utf8_lossy(&value).into_owned());
        }
    }
    Ok(form)
}

async fn copy(
    part: &mut Field,
    left: &mut usize,
    limit: usize,
    mut write: impl FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), FormError> {
    while let Some(bytes) = part.next().await {
        let bytes = bytes?;
        *left = left.checked_sub(bytes.len()).ok_or(FormError::TooLarge(limit))?;
        write(&bytes)?;
    }
    Ok(())
}
