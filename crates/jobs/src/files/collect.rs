//! Deleting what is no longer needed from the file store.

use std::time::{Duration, SystemTime};

use comfy_runner_files::{FileError, StoredFile};
use comfy_runner_store::StoreError;
use futures::TryStreamExt as _;

use super::FilesConfig;
use crate::jobs::Jobs;
use crate::state::unix_millis;

/// A content without a record stays for this long: its record may be about to be written.
const GRACE: Duration = Duration::from_secs(3600);
/// How often unneeded contents are deleted. Each time, all contents are listed.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// The pause before the first time.
const FIRST: Duration = Duration::from_secs(600);
/// The number of contents that are compared with the records at once.
const BATCH: usize = 500;

/// Why unneeded files cannot be deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// There is no file store.
    #[error("there is no file store")]
    None,
    /// The file store fails.
    #[error(transparent)]
    Files(#[from] FileError),
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was deleted from the file store, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// The number of files to which no record refers.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The number of files that were begun and never finished.
    pub unfinished: usize,
    /// The number of files that stay.
    pub kept: usize,
    /// The size in bytes of those that stay.
    pub kept_bytes: u64,
}

/// See [`Jobs::collect_files`].
pub(crate) async fn collect(jobs: &Jobs, dry_run: bool) -> Result<Collected, CollectError> {
    let Some(files) = jobs.files() else { return Err(CollectError::None) };
    if !dry_run {
        forget_old_uploads(jobs).await?;
    }
    let before = SystemTime::now() - GRACE;
    let mut collected = Collected {
        unfinished: files.config.store.unfinished(before, !dry_run).await?,
        ..Collected::default()
    };
    let mut found = files.config.store.list().try_chunks(BATCH);
    while let Some(batch) = found.try_next().await.map_err(|error| error.1)? {
        collect_batch(jobs, &files.config, batch, before, dry_run, &mut collected).await?;
    }
    Ok(collected)
}

async fn collect_batch(
    jobs: &Jobs,
    files: &FilesConfig,
    batch: Vec<StoredFile>,
    before: SystemTime,
    dry_run: bool,
    collected: &mut Collected,
) -> Result<(), CollectError> {
    let old = batch.iter().filter(|file| file.stored_at < before).map(|file| file.hash.to_string());
    let unneeded = jobs.store().unreferenced(old.collect()).await?;
    let unneeded: std::collections::HashSet<_> = unneeded.into_iter().collect();
    for file in batch {
        let is_unneeded = unneeded.contains(&file.hash.to_string());
        if is_unneeded && (dry_run || files.store.delete_older(&file.hash, before).await?) {
            collected.files += 1;
            collected.bytes += file.size;
        } else {
            collected.kept += 1;
            collected.kept_bytes += file.size;
        }
    }
    Ok(())
}

/// Deletes a content whose record was deleted, if no other record refers to it. One that is new, or cannot be deleted now, is
/// deleted later.
pub(crate) async fn collect_one(jobs: &Jobs, hash: String) -> Result<(), StoreError> {
    let Some(files) = jobs.files() else { return Ok(()) };
    for hash in jobs.store().unreferenced(vec![hash]).await? {
        let Ok(hash) = hash.parse() else { continue };
        if let Err(error) = files.config.store.delete_older(&hash, SystemTime::now() - GRACE).await {
            tracing::warn!(%error, "a file cannot be deleted from the file store now");
        }
    }
    Ok(())
}

/// Deletes the records of assets that have expired, and those of uploads that are older than records are kept, and that no recorded job reads.
async fn forget_old_uploads(jobs: &Jobs) -> Result<(), StoreError> {
    let expired = jobs.store().prune_assets(unix_millis()).await?;
    if expired > 0 {
        tracing::info!(expired, "expired assets were deleted");
    }
    let Some(age) = jobs.config().keep_for else { return Ok(()) };
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    let forgotten = jobs.store().prune_uploads(unix_millis().saturating_sub(age)).await?;
    if forgotten > 0 {
        tracing::info!(forgotten, "old uploads were deleted");
    }
    Ok(())
}

/// Deletes what is no longer needed, now and then.
pub(crate) async fn collect_now_and_then(jobs: &Jobs) {
    if jobs.files().is_none() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + FIRST, EVERY);
    loop {
        ticks.tick().await;
        match collect(jobs, false).await {
            Ok(Collected { files: 0, unfinished: 0, .. }) => {}
            Ok(Collected { files, bytes, unfinished, .. }) => {
                tracing::info!(files, bytes, unfinished, "unneeded files were deleted from the file store");
            }
            Err(error) => {
                tracing::error!(%error, "unneeded files cannot be deleted from the file store; will try again")
            }
        }
    }
}
