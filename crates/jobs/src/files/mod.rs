//! Files of jobs in a file store: uploads on their way to a ComfyUI, and copies of outputs.

mod bring;
mod collect;
mod keep;
mod place;
mod sent;

use std::sync::Arc;

use comfy_runner_files::{ContentHash, FileStore};
use comfy_runner_protocol::OutputFile;
use comfy_runner_store::{OutputContent, StoreError};

use crate::jobs::Jobs;

pub use bring::BringError;
pub(crate) use bring::{bring_files, forget_sent};
pub use collect::{CollectError, Collected};
pub(crate) use collect::{collect, collect_now_and_then, collect_one};
pub(crate) use keep::keep_outputs;
pub use place::check_place;
use sent::SentFiles;

/// A file store, and what goes into it.
#[derive(Clone)]
#[non_exhaustive]
pub struct FilesConfig {
    /// The store.
    pub store: Arc<dyn FileStore>,
    /// Whether uploads are stored, and sent to a ComfyUI when a job needs them there. Otherwise they go straight to ComfyUI, if
    /// there is one only.
    pub uploads: bool,
    /// Whether the outputs of jobs are copied into the store when a job is over.
    pub outputs: bool,
}

impl FilesConfig {
    /// Uses a store for nothing yet.
    pub fn new(store: Arc<dyn FileStore>) -> Self {
        Self { store, uploads: false, outputs: false }
    }

    /// Sets [`FilesConfig::uploads`].
    pub fn with_uploads(mut self, uploads: bool) -> Self {
        self.uploads = uploads;
        self
    }

    /// Sets [`FilesConfig::outputs`].
    pub fn with_outputs(mut self, outputs: bool) -> Self {
        self.outputs = outputs;
        self
    }
}

impl std::fmt::Debug for FilesConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilesConfig")
            .field("uploads", &self.uploads)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// The file store of a service.
pub(crate) struct Files {
    pub config: FilesConfig,
    pub sent: SentFiles,
}

impl Files {
    pub fn new(config: FilesConfig) -> Self {
        Self { config, sent: SentFiles::default() }
    }
}

/// A content of the file store that a record refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredContent {
    /// Its name in the store.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
}

impl StoredContent {
    /// Creates a description.
    pub fn new(hash: ContentHash, size: u64) -> Self {
        Self { hash, size }
    }
}

/// See [`Jobs::stored_content`].
pub(crate) async fn stored_content(
    jobs: &Jobs,
    file: &OutputFile,
) -> Result<Option<StoredContent>, StoreError> {
    if jobs.files().is_none() {
        return Ok(None);
    }
    let recorded = match file.kind.as_str() {
        "input" => {
            let name = match file.subfolder.as_str() {
                "" => file.filename.clone(),
                folder => format!("{folder}/{}", file.filename),
            };
            let upload = jobs.store().uploads_named(vec![name]).await?.pop();
            upload.and_then(|upload| Some((upload.hash?, upload.size)))
        }
        _ => jobs.store().kept_output(file).await?.map(|kept| (kept.hash, kept.size)),
    };
    Ok(recorded.and_then(|(hash, size)| Some(StoredContent { hash: hash.parse().ok()?, size })))
}

/// See [`Jobs::output_content`].
pub(crate) async fn output_content(
    jobs: &Jobs,
    prompt_id: &str,
    file: &OutputFile,
) -> Result<Option<StoredContent>, StoreError> {
    if let Some(copy) = stored_content(jobs, file).await? {
        return Ok(Some(copy));
    }
    let recorded = jobs.store().output_content(prompt_id, file).await?;
    Ok(recorded
        .and_then(|OutputContent { hash, size, .. }| Some(StoredContent { hash: hash.parse().ok()?, size })))
}

/// See [`Jobs::record_output_content`].
pub(crate) async fn record_output_content(
    jobs: &Jobs,
    prompt_id: &str,
    file: &OutputFile,
    content: &StoredContent,
) -> Result<(), StoreError> {
    let content = OutputContent::new(content.hash.to_string(), content.size);
    jobs.store().record_output_content(prompt_id, file, content).await?;
    Ok(())
}
