//! The latest preview, for whoever asks once.

use comfy_runner_client::Client;
use comfy_runner_progress::{Picture, Status};

use crate::status::StatusError;
use crate::table::Jobs;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
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

impl Jobs {
    /// The latest preview of a job that is at work.
    pub async fn preview(&self, client: &Client, prompt_id: &str) -> Result<Picture, PreviewError> {
        self.find(client, prompt_id).await?;
        let seen =
            self.with_progress(prompt_id, |progress, _| (progress.picture().cloned(), progress.status()));
        match seen {
            Some((Some(picture), _)) => Ok(picture),
            Some((None, status)) if status.is_over() => Err(PreviewError::Over(status)),
            Some((None, status)) => Err(PreviewError::NoneYet(status)),
            None => Err(StatusError::Unknown(prompt_id.to_owned()).into()),
        }
    }
}
