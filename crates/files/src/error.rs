//! Errors of a file store. Their messages contain no path, bucket or address; their sources may, and are for logs.

use std::error::Error as _;
use std::io;

use crate::content_hash::ContentHash;

/// Why a call of a file store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is larger than the limit. Nothing of it is kept.
    #[error("the file is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The range does not lie in the file.
    #[error("the range does not lie in the file, which has {size} bytes")]
    Range {
        /// The size of the file in bytes.
        size: u64,
    },
    /// The content is not the announced one. Nothing of it is kept.
    #[error("the file has the BLAKE3 hash {found}, not {expected}")]
    Mismatch {
        /// The announced hash.
        expected: ContentHash,
        /// The hash of the bytes that came.
        found: ContentHash,
    },
    /// The storage does not work.
    #[error("the file store {fault}")]
    Storage {
        /// The kind of failure.
        fault: Fault,
        /// What the storage reports. It may contain paths and addresses.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A kind of failure of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The disk is full.
    #[error("cannot be written, as its disk is full")]
    Full,
    /// The process has no right to it.
    #[error("refuses access; look at its rights or credentials")]
    Denied,
    /// The folder or the bucket does not exist.
    #[error("is missing: its folder or bucket does not exist")]
    Missing,
    /// A file ended before its known size.
    #[error("has a file that is shorter than it was")]
    Damaged,
    /// It fails in another way, or cannot be reached.
    #[error("does not work, or cannot be reached")]
    Unavailable,
}

impl FileError {
    pub(crate) fn storage(fault: Fault, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Storage { fault, source: Box::new(source) }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::storage(fault_of_io(&error), error)
    }
}

impl From<object_store::Error> for FileError {
    fn from(error: object_store::Error) -> Self {
        let fault = match &error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                Fault::Denied
            }
            object_store::Error::NotFound { .. } => Fault::Missing,
            error => io_source(error).map_or(Fault::Unavailable, fault_of_io),
        };
        Self::storage(fault, error)
    }
}

/// Returns the error of the operating system that an error is about.
fn io_source(error: &object_store::Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(source) = next {
        if let Some(error) = source.downcast_ref() {
            return Some(error);
        }
        next = source.source();
    }
    None
}

fn fault_of_io(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Fault::Denied,
        io::ErrorKind::NotFound => Fault::Missing,
        io::ErrorKind::UnexpectedEof => Fault::Damaged,
        _ => Fault::Unavailable,
    }
}
