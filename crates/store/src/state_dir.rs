//! The folder of the store: for its owner only, and for one process at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// The database in the folder.
const DATABASE: &str = "jobs.sqlite3";

/// What SQLite puts beside it.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How long to wait for the process that has the folder: one that was asked to stop may still write.
const PATIENCE: Duration = Duration::from_secs(2);

/// Creates the folder where there is none.
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

/// Takes the folder. The lock is on the folder itself: a file in it could be deleted, and a new one of the same name
/// locked by a second process.
pub(crate) fn lock(folder: &Path) -> Result<File, StoreError> {
    #[cfg(unix)]
    let lock = File::open(folder);
    // Elsewhere a folder cannot be opened, and a file that is open cannot be replaced.
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

/// Makes the store's files, and the folder where it holds nothing else, readable for their owner only. Returns the
/// database's path. SQLite gives the files beside the database the rights of the database.
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

/// Takes the rights of everybody but the owner away. What belongs to somebody else is reported.
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

/// Whether the folder is the store's own, so that nobody else needs to look into it.
#[cfg(unix)]
fn holds_only_the_store(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        // `jobs.lock` is of earlier versions.
        if !name.starts_with(DATABASE) && name != "jobs.lock" {
            return Ok(false);
        }
    }
    Ok(true)
}
