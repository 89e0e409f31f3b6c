//! The folder of the store, which is for its owner only and for one process at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// The database file in the folder.
const DATABASE: &str = "jobs.sqlite3";

/// The suffixes of the files that SQLite creates beside it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How long to wait for another process that uses the folder: one that is stopping may still write.
const PATIENCE: Duration = Duration::from_secs(2);

/// Creates the folder if it is missing.
pub(crate) fn create(folder: &Path) -> io::Result<()> {
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

/// Locks the folder. The lock is on the folder itself: a lock file could be deleted, and a second process could lock a new
/// one of the same name.
pub(crate) fn lock(folder: &Path) -> Result<File, StoreError> {
    #[cfg(unix)]
    let lock = File::open(folder);
    // On other systems a folder cannot be opened, and an open file cannot be replaced.
    #[cfg(not(unix))]
    let lock = File::create(folder.join("jobs.lock"));
    let lock = lock.map_err(StoreError::Folder)?;
    let asked = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::Error(error)) => return Err(StoreError::Folder(error)),
            Err(TryLockError::WouldBlock) if asked.elapsed() >= PATIENCE => return Err(StoreError::InUse),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Makes the store's files, and the folder if it contains nothing else, readable for their owner only, and returns the path of
/// the database. SQLite gives the files beside the database the same permissions.
pub(crate) fn make_private(folder: &Path) -> io::Result<PathBuf> {
    let database = folder.join(DATABASE);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = File::options();
        options.create(true).append(true).mode(0o600).open(&database)?;
        let beside = BESIDE.iter().map(|suffix| folder.join(format!("{DATABASE}{suffix}")));
        for file in std::iter::once(database.clone()).chain(beside) {
            tighten(&file, 0o600)?;
        }
        if holds_only_the_store(folder)? {
            tighten(folder, 0o700)?;
        } else if is_open_to_others(folder)? {
            tracing::warn!(
                "others may look into the folder of the store of jobs; make it a folder of its own"
            );
        }
    }
    Ok(database)
}

/// Removes the permissions of everyone but the owner. A file of another owner is logged.
#[cfg(unix)]
fn tighten(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match is_open_to_others(path) {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)) {
        let name = path.file_name().unwrap_or_default().display();
        tracing::warn!(%error, %name, "others may read a file of the store of jobs");
    }
    Ok(())
}

#[cfg(unix)]
fn is_open_to_others(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// Returns whether the folder contains only the store, so that no other user needs to read it.
#[cfg(unix)]
fn holds_only_the_store(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // Earlier versions created `jobs.lock`. The server stores files in `files`.
        if !name.starts_with(DATABASE) && name != "jobs.lock" && name != "files" {
            return Ok(false);
        }
    }
    Ok(true)
}
