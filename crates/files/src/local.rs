//! What local folders need beyond `object_store`.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use crate::error::FileError;
use crate::file_store::FileBytes;

/// The number of bytes that are read at once: each read is a task of a blocking thread.
const CHUNK: u64 = 256 * 1024;

/// Creates a folder, if it is missing, that only its owner can read.
pub(crate) fn create_private(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Reads a part of an open file. `object_store` would read 8 KiB at a time.
pub(crate) fn read(file: File, range: Range<u64>) -> FileBytes {
    let chunks = stream::try_unfold((file, range), |(mut file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let read = blocking(move || {
            let length = CHUNK.min(range.end - range.start);
            let mut bytes = Vec::with_capacity(length as usize);
            file.seek(SeekFrom::Start(range.start))?;
            let read = (&mut file).take(length).read_to_end(&mut bytes)? as u64;
            match read == length {
                true => Ok((Bytes::from(bytes), (file, range.start + read..range.end))),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        });
        Ok::<_, FileError>(Some(read.await?))
    });
    chunks.boxed()
}

/// Counts, or deletes, the files that `object_store` writes before it renames them. It calls them `NAME#NUMBER`, and does
/// not list them.
pub(crate) async fn staged(folder: &Path, before: SystemTime, delete: bool) -> Result<usize, FileError> {
    let folder = folder.to_owned();
    Ok(blocking(move || {
        let (mut found, mut folders) = (0, vec![folder]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name().to_string_lossy().contains('#') {
                    found += usize::from(delete_if_older(&entry, before, delete)?);
                }
            }
        }
        Ok(found)
    })
    .await?)
}

fn delete_if_older(entry: &std::fs::DirEntry, before: SystemTime, delete: bool) -> io::Result<bool> {
    // The file may have been finished meanwhile.
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match entry.metadata().and_then(|metadata| metadata.modified()) {
        Ok(modified) if modified >= before => return Ok(false),
        Err(error) if gone(&error) => return Ok(false),
        modified => modified?,
    };
    match if delete { std::fs::remove_file(entry.path()) } else { Ok(()) } {
        Err(error) if gone(&error) => Ok(false),
        deleted => deleted.map(|()| true),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
