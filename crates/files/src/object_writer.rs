//! Writing a file whose hash is known at its end.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::FutureExt as _;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload, WriteMultipart};

use crate::content_hash::ContentHash;
use crate::error::FileError;
use crate::file_store::{FileFuture, FileWriter, StoredFile};
use crate::object_files::Shared;

/// A file that is being written. One that fits into a part is kept in memory and written under its name; a larger one is
/// written part by part under a temporary name, and then renamed.
pub(crate) struct ObjectWriter {
    shared: Arc<Shared>,
    limit: u64,
    hasher: blake3::Hasher,
    size: u64,
    /// The bytes so far, while they fit into a part.
    first: Vec<Bytes>,
    parts: Option<Parts>,
}

/// A file under a temporary name. If it is dropped, what was written is deleted.
struct Parts {
    path: Path,
    upload: Option<WriteMultipart>,
}

impl ObjectWriter {
    pub fn new(shared: Arc<Shared>, limit: u64) -> Self {
        let limit = limit.min(shared.largest);
        Self { shared, limit, hasher: blake3::Hasher::new(), size: 0, first: Vec::new(), parts: None }
    }

    async fn write_part(&mut self, bytes: Bytes) -> Result<(), FileError> {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > self.limit {
            return Err(FileError::TooLarge { limit: self.limit });
        }
        self.hasher.update(&bytes);
        if self.parts.is_none() {
            if self.size <= self.shared.part as u64 {
                self.first.push(bytes);
                return Ok(());
            }
            let path = self.shared.incoming();
            let upload = self.shared.store.put_multipart(&path).await?;
            let upload = Some(WriteMultipart::new_with_chunk_size(upload, self.shared.part));
            self.parts = Some(Parts { path, upload });
        }
        if let Some(upload) = self.parts.as_mut().and_then(|parts| parts.upload.as_mut()) {
            for bytes in self.first.drain(..).chain([bytes]) {
                upload.wait_for_capacity(self.shared.parts_at_once).await?;
                upload.put(bytes);
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<StoredFile, FileError> {
        let hash = self.hash();
        let path = self.shared.path(&hash);
        let mut parts = self.parts.take();
        if let Some(upload) = parts.as_mut().and_then(|parts| parts.upload.take()) {
            upload.finish().await?;
        }
        let lock = self.shared.lock(&hash).await;
        // Content that is there already is replaced by the same content: its time shows that it is needed.
        match &parts {
            None => {
                let first = PutPayload::from_iter(self.first.drain(..));
                self.shared.store.put(&path, first).await?;
            }
            Some(parts) => self.shared.store.rename(&parts.path, &path).await?,
        }
        drop(lock);
        Ok(StoredFile::new(hash, self.size, SystemTime::now()))
    }
}

impl FileWriter for ObjectWriter {
    fn write(&mut self, bytes: Bytes) -> FileFuture<'_, ()> {
        self.write_part(bytes).boxed()
    }

    fn hash(&self) -> ContentHash {
        self.hasher.finalize().into()
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn finish(self: Box<Self>) -> FileFuture<'static, StoredFile> {
        Self::finish(*self).boxed()
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // A local folder deletes what was written by itself. Object storage keeps the parts until they are aborted.
        if let Some(upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "parts of a file that broke off cannot be deleted from the file store");
                }
            });
        }
    }
}
