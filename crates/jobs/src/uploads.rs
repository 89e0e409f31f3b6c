//! Records of uploaded files: what may be listed and deleted.

use comfy_runner_store::{StoreError, Upload, UploadPage, UploadUse};

use crate::jobs::{Jobs, unix_millis};
use crate::persist::flush;

/// Why an uploaded file cannot be deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadedError {
    /// There is no record of such a file.
    #[error("no file \"{0}\" was uploaded here")]
    Unknown(String),
    /// A job that is not over reads it.
    #[error("the job \"{prompt_id}\" reads \"{filename}\" and is not over: wait for its end, or cancel it")]
    InUse {
        /// The file.
        filename: String,
        /// The job's id.
        prompt_id: String,
    },
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// See [`Jobs::record_upload`].
pub(crate) async fn record(jobs: &Jobs, filename: &str, size: u64) -> Result<(), StoreError> {
    jobs.store().add_upload(Upload::new(filename, size, unix_millis())).await
}

/// See [`Jobs::uploads`].
pub(crate) async fn list(jobs: &Jobs, limit: u32, after: Option<i64>) -> Result<UploadPage, StoreError> {
    jobs.store().uploads(limit, after).await
}

/// See [`Jobs::check_unused`].
pub(crate) async fn check_unused(jobs: &Jobs, filename: &str) -> Result<(), UploadedError> {
    // The end of a job may not have been written yet.
    flush(jobs).await?;
    match jobs.store().upload_use(filename).await? {
        UploadUse::Unused => Ok(()),
        UploadUse::InUse(prompt_id) => Err(UploadedError::InUse { filename: filename.to_owned(), prompt_id }),
        _ => Err(UploadedError::Unknown(filename.to_owned())),
    }
}

/// See [`Jobs::forget_upload`].
pub(crate) async fn forget(jobs: &Jobs, filename: &str) -> Result<(), StoreError> {
    jobs.store().delete_upload(filename).await.map(drop)
}
