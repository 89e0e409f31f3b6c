//! Errors of a store. They contain no path.

use rusqlite::ErrorCode;

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A newer version of this program has written the store.
    #[error(
        "the store of jobs has schema {found}, and this version knows up to {known}: run the newer version again, or \
         choose another state directory"
    )]
    TooNew {
        /// The schema that was found.
        found: u32,
        /// The newest schema that is known here.
        known: u32,
    },
    /// The folder, or its lock file, cannot be created or opened.
    #[error("the folder of the store of jobs cannot be used")]
    Folder(#[source] std::io::Error),
    /// Another process uses the folder.
    #[error("another process uses this store of jobs: stop it, or choose another state directory")]
    InUse,
    /// The thread of the store cannot be started.
    #[error("the thread of the store of jobs cannot be started")]
    Thread(#[source] std::io::Error),
    /// The database fails.
    #[error("the store of jobs {fault}: {detail}")]
    Database {
        /// The kind of failure.
        fault: Fault,
        /// The database's own message.
        detail: String,
    },
    /// A record has data that this version cannot read or write.
    #[error("the record of a job cannot be read or written: {0}")]
    Record(String),
    /// The record of one job is damaged.
    #[error("the record of the job \"{prompt_id}\" is damaged: {why}; delete the job, or restore a backup")]
    Damaged {
        /// The job's id.
        prompt_id: String,
        /// Which part cannot be read.
        why: String,
    },
    /// The thread that owns the database has ended.
    #[error("the store of jobs has stopped")]
    Stopped,
}

/// A kind of failure of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The disk is full.
    #[error("cannot be written, as its disk is full")]
    Full,
    /// The process may not write to it.
    #[error("may not be written; look at the rights of its folder")]
    ReadOnly,
    /// The disk fails.
    #[error("cannot be read or written; look at its disk")]
    Disk,
    /// The file is not a database, or is damaged.
    #[error("is damaged; put a backup in its place, or choose another state directory")]
    Damaged,
    /// Another program locks it for too long.
    #[error("is held by another program")]
    Busy,
    /// Another failure.
    #[error("does not work")]
    Other,
}

/// An internal error, which becomes a [`StoreError`]: callers need not know which database this is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    #[error("{0}")]
    Json(serde_json::Error),
    #[error("schema {found} is newer than {known}")]
    TooNew { found: u32, known: u32 },
    /// The transaction that a call was part of was undone.
    #[error("{0}")]
    Undone(String),
    #[error("{why}")]
    Damaged { prompt_id: String, why: String },
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl Failure {
    pub(crate) fn into_store_error(self) -> StoreError {
        match self {
            Self::Sqlite(error) => StoreError::Database { fault: fault(&error), detail: detail(&error) },
            Self::Json(error) => StoreError::Record(error.to_string()),
            Self::Undone(detail) => StoreError::Database { fault: Fault::Other, detail },
            Self::TooNew { found, known } => StoreError::TooNew { found, known },
            Self::Damaged { prompt_id, why } => StoreError::Damaged { prompt_id, why },
        }
    }
}

fn fault(error: &rusqlite::Error) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Fault::Full,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Fault::ReadOnly,
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Fault::Disk,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Damaged,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Fault::Busy,
        _ => Fault::Other,
    }
}

/// Returns SQLite's message. When a file cannot be opened, it would contain the path, which callers must not see.
fn detail(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::CannotOpen => code.to_string(),
        error => error.to_string(),
    }
}
