//! Preview images: the latest one for a single request, and as a message for subscribers.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytestring::ByteString;
use comfy_runner_api::{JobMessage, PreviewUpdate, Status};
use comfy_runner_progress::PreviewImage;

use super::find::find;
use super::serialized::to_json;
use super::snapshot::job_update;
use crate::clients::Clients;
use crate::jobs::Jobs;
use crate::lookup::StatusError;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreviewError {
    /// None has come.
    #[error("the job is {} and has no preview yet; nodes that make none have none to show", .0.as_str())]
    NoneYet(Status),
    /// Previews are not kept.
    #[error("the job is over ({}), and previews are not kept: its result is what it made", .0.as_str())]
    Over(Status),
    /// See [`StatusError`].
    #[error(transparent)]
    Status(#[from] StatusError),
}

/// Returns the latest preview of a running job.
pub(crate) async fn preview(
    jobs: &Jobs,
    clients: &Clients,
    prompt_id: &str,
) -> Result<PreviewImage, PreviewError> {
    find(jobs, clients, prompt_id).await?;
    let latest =
        jobs.with_progress(prompt_id, |progress, _| (progress.preview_image().cloned(), progress.status()));
    match latest {
        Some((Some(image), _)) => Ok(image),
        Some((None, status)) if status.is_over() => Err(PreviewError::Over(status)),
        Some((None, status)) => Err(PreviewError::NoneYet(status)),
        None => Err(StatusError::Unknown(prompt_id.to_owned()).into()),
    }
}

/// A preview of a running job.
#[derive(Debug)]
pub struct Preview {
    prompt_id: Box<str>,
    client_id: Box<str>,
    image: PreviewImage,
    base64: OnceLock<String>,
    json: OnceLock<ByteString>,
}

impl Preview {
    pub(crate) fn new(prompt_id: &str, client_id: &str, image: PreviewImage) -> Self {
        Self {
            prompt_id: prompt_id.into(),
            client_id: client_id.into(),
            image,
            base64: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// Returns the image.
    pub fn image(&self) -> &PreviewImage {
        &self.image
    }

    /// Returns the image in base64. It is made once for all subscribers.
    pub fn base64(&self) -> &str {
        self.base64.get_or_init(|| BASE64_STANDARD.encode(&self.image.image))
    }

    /// Returns the `preview` message of the API, with the image in base64. It is made once for all subscribers.
    pub fn json(&self) -> &ByteString {
        self.json.get_or_init(|| {
            let data = PreviewUpdate {
                node_id: self.image.node_id.clone(),
                media_type: self.image.format.media_type().to_owned(),
                image: self.base64().to_owned(),
            };
            to_json(&JobMessage::Preview(job_update(&self.prompt_id, &self.client_id, data)))
        })
    }
}

#[cfg(test)]
mod tests {
    use comfy_runner_protocol::ImageFormat;

    use super::*;

    #[test]
    fn the_message_of_a_preview_has_the_image_in_base64() {
        let image =
            PreviewImage { format: ImageFormat::Jpeg, image: (&b"\xff\xd8"[..]).into(), node_id: None };
        assert_eq!(
            *Preview::new("p", "c", image).json(),
            concat!(
                r#"{"type":"preview","prompt_id":"p","client_id":"c","#,
                r#""data":{"node_id":null,"media_type":"image/jpeg","image":"/9g="}}"#
            )
        );
    }
}
