//! The trait of file stores.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::content_hash::ContentHash;
use crate::error::FileError;

/// The future result of a call.
pub type FileFuture<'a, T> = BoxFuture<'a, Result<T, FileError>>;

/// The bytes of a file, as they are read. After an error nothing follows.
pub type FileBytes = BoxStream<'static, Result<Bytes, FileError>>;

/// Files of a store, as they are found, in no particular order.
pub type FileList<'a> = BoxStream<'a, Result<StoredFile, FileError>>;

/// Files by their content: the name of a file is the hash of its bytes, so the same content is stored once.
///
/// Which files are still needed is not known here: records elsewhere refer to a file by its hash. Between
/// [`FileWriter::finish`] and the record's write a file has no record, so delete files without one by
/// [`delete_older`](Self::delete_older) with a time well in the past, never by [`delete`](Self::delete).
///
/// Calls must be made inside a tokio runtime.
pub trait FileStore: Send + Sync {
    /// Begins a file of at most `limit` bytes, whose hash and size are not known yet.
    fn create(&self, limit: u64) -> FileFuture<'_, Box<dyn FileWriter>>;
    /// Returns the bytes of a file, or of a part of it. `None` if there is no such file.
    ///
    /// # Errors
    /// [`FileError::Range`] if the range ends after the file, or before it begins.
    fn get(&self, hash: &ContentHash, range: Option<Range<u64>>) -> FileFuture<'_, Option<FileContent>>;
    /// Returns the size and the time of a file. `None` if there is no such file.
    fn head(&self, hash: &ContentHash) -> FileFuture<'_, Option<StoredFile>>;
    /// Deletes a file. Returns whether there was one.
    fn delete(&self, hash: &ContentHash) -> FileFuture<'_, bool>;
    /// Deletes a file that was last stored before this time. Returns whether it was deleted. A file that is being stored
    /// again at that moment stays.
    fn delete_older(&self, hash: &ContentHash, before: SystemTime) -> FileFuture<'_, bool>;
    /// Lists all files.
    fn list(&self) -> FileList<'_>;
    /// Counts, or deletes, what is left of files that were begun before this time and never finished, because the process
    /// was killed. Returns their number.
    fn unfinished(&self, before: SystemTime, delete: bool) -> FileFuture<'_, usize>;
    /// Returns whether [`download_url`](Self::download_url) returns URLs.
    fn has_download_urls(&self) -> bool;
    /// Returns a signed URL of the storage itself, from which anyone can download a file for a while. `None` if the
    /// storage has no such URLs. It is not checked whether there is such a file.
    fn download_url(&self, hash: &ContentHash, link: DownloadLink) -> FileFuture<'_, Option<String>>;
}

/// A file that is being written. Nothing of it is visible before [`finish`](Self::finish) returns, and nothing is kept if
/// the writer is dropped.
pub trait FileWriter: Send {
    /// Adds bytes. Returns when more can be added.
    ///
    /// # Errors
    /// [`FileError::TooLarge`] if the file exceeds its limit; the writer must be dropped then, and after any other error.
    fn write(&mut self, bytes: Bytes) -> FileFuture<'_, ()>;
    /// Returns the hash of the bytes so far.
    fn hash(&self) -> ContentHash;
    /// Returns the number of bytes so far.
    fn size(&self) -> u64;
    /// Stores the file. When this returns, it is on the disk, or where the storage keeps it.
    fn finish(self: Box<Self>) -> FileFuture<'static, StoredFile>;
}

/// A file in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredFile {
    /// The hash of its content.
    pub hash: ContentHash,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last stored. The same content may have been stored before.
    pub stored_at: SystemTime,
}

impl StoredFile {
    /// Creates a description.
    pub fn new(hash: ContentHash, size: u64, stored_at: SystemTime) -> Self {
        Self { hash, size, stored_at }
    }
}

/// A file, or a part of it, that is being read.
#[non_exhaustive]
pub struct FileContent {
    /// The file.
    pub file: StoredFile,
    /// The part that is read.
    pub range: Range<u64>,
    /// The bytes of that part.
    pub bytes: FileBytes,
}

impl FileContent {
    /// Creates the result of [`FileStore::get`].
    pub fn new(file: StoredFile, range: Range<u64>, bytes: FileBytes) -> Self {
        Self { file, range, bytes }
    }
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileContent")
            .field("file", &self.file)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// What a signed URL allows, and the headers of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadLink {
    /// How long the URL works.
    pub valid_for: Duration,
    /// The `Content-Type` of the answer.
    pub content_type: String,
    /// The `Content-Disposition` of the answer.
    pub content_disposition: String,
}

impl DownloadLink {
    /// Creates a description of a URL.
    pub fn new(
        valid_for: Duration,
        content_type: impl Into<String>,
        content_disposition: impl Into<String>,
    ) -> Self {
        Self { valid_for, content_type: content_type.into(), content_disposition: content_disposition.into() }
    }
}
