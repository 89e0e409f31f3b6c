//! Storing a stream.

use bytes::Bytes;
use futures::{Stream, StreamExt as _};

use crate::content_hash::ContentHash;
use crate::error::FileError;
use crate::file_store::{FileStore, StoredFile};

/// How to store a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Put {
    /// The largest number of bytes.
    pub limit: u64,
    /// The hash that the content must have, if one was announced.
    pub expected: Option<ContentHash>,
}

impl Put {
    /// Accepts any content of at most this many bytes.
    pub fn at_most(limit: u64) -> Self {
        Self { limit, expected: None }
    }

    /// Sets the hash that the content must have.
    pub fn expecting(mut self, expected: Option<ContentHash>) -> Self {
        self.expected = expected;
        self
    }
}

/// Why a stream was not stored. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E> {
    /// The stream failed.
    #[error("the file broke off: {0}")]
    Source(E),
    /// The file cannot be stored.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Stores a stream of bytes, and returns its hash and size. The stream is read no faster than the store takes it, and need
/// not be `Send`.
///
/// # Errors
/// The stream fails, is longer than the limit, has other content than was announced, or the store fails.
pub async fn put<S, E>(store: &dyn FileStore, source: S, options: Put) -> Result<StoredFile, PutError<E>>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    let mut source = std::pin::pin!(source);
    let mut writer = store.create(options.limit).await?;
    while let Some(bytes) = source.next().await {
        writer.write(bytes.map_err(PutError::Source)?).await?;
    }
    if let Some(expected) = options.expected {
        let found = writer.hash();
        if found != expected {
            return Err(FileError::Mismatch { expected, found }.into());
        }
    }
    Ok(writer.finish().await?)
}
