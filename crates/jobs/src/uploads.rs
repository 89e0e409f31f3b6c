//! Records of uploaded files: what may be listed and deleted.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use comfy_runner_client::Client;
use comfy_runner_store::{StoreError, Upload, UploadPage, UploadUse};
use futures::{Stream, TryStreamExt as _};

use crate::files::collect_one;
use crate::jobs::Jobs;
use crate::persist::flush;
use crate::state::unix_millis;
use crate::upload::{UploadError, store_media, upload_image};

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

/// Which files are accepted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadKind {
    /// Images, videos, audio and 3D models.
    #[default]
    Media,
    /// Images.
    Image,
}

/// How an upload is received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadOptions {
    /// The largest number of bytes.
    pub limit: u64,
    /// Which files are accepted.
    pub kind: UploadKind,
    /// Who uploads it, for the record.
    pub caller: Option<String>,
}

impl UploadOptions {
    /// Takes media of at most this many bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, kind: UploadKind::Media, caller: None }
    }

    /// Sets [`UploadOptions::kind`].
    pub fn with_kind(mut self, kind: UploadKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets [`UploadOptions::caller`]; an empty name is none.
    pub fn with_caller(mut self, caller: &str) -> Self {
        self.caller = Some(caller.to_owned()).filter(|caller| !caller.is_empty());
        self
    }
}

/// See [`Jobs::upload`].
pub(crate) async fn upload<S, E>(
    jobs: &Jobs,
    client: &Client,
    name: &str,
    body: S,
    options: UploadOptions,
) -> Result<String, UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display + 'static,
{
    let (limit, images_only) = (options.limit, options.kind == UploadKind::Image);
    let upload = match jobs.files().filter(|files| files.config.uploads || jobs.has_several_comfyuis()) {
        Some(files) => {
            let (name, stored) = store_media(&*files.config.store, name, body, limit, images_only).await?;
            Upload::new(name, stored.size, unix_millis()).with_hash(Some(stored.hash.to_string()))
        }
        None => {
            let (size, body) = measured(body);
            let name = match images_only {
                true => upload_image(client, name, body, limit).await?,
                false => crate::upload::upload(client, name, body, limit).await?,
            };
            Upload::new(name, size.get(), unix_millis())
        }
    };
    let name = upload.filename.clone();
    jobs.store().add_upload(upload.with_caller(options.caller)).await.map_err(UploadError::Record)?;
    Ok(name)
}

/// Returns the number of bytes that have passed so far, and the stream that counts them.
fn measured<S, E>(body: S) -> (Rc<Cell<u64>>, impl Stream<Item = Result<Bytes, E>> + Unpin + 'static)
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: 'static,
{
    let size = Rc::new(Cell::new(0));
    let counted = Rc::clone(&size);
    let body = body.inspect_ok(move |piece| counted.set(counted.get() + piece.len() as u64));
    (size, body)
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

/// See [`Jobs::is_stored`].
pub(crate) async fn is_stored(jobs: &Jobs, filename: &str) -> Result<bool, StoreError> {
    let upload = jobs.store().uploads_named(vec![filename.to_owned()]).await?.pop();
    Ok(upload.is_some_and(|upload| upload.hash.is_some()))
}

/// See [`Jobs::forget_upload`].
pub(crate) async fn forget(jobs: &Jobs, filename: &str) -> Result<(), StoreError> {
    let upload = jobs.store().uploads_named(vec![filename.to_owned()]).await?.pop();
    jobs.store().delete_upload(filename).await?;
    if let Some(hash) = upload.and_then(|upload| upload.hash) {
        collect_one(jobs, hash).await?;
    }
    Ok(())
}
