//! What can go wrong with a store, in sentences that hold no path.

use rusqlite::ErrorCode;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer version of this program has written it.
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
    /// The folder, or the file that guards it, cannot be made or opened.
    #[error("the folder of the store of jobs cannot be used: {0}")]
    Folder(std::io::Error),
    /// Another process has the folder.
    #[error("another process uses this store of jobs: stop it, or choose another state directory")]
    InUse,
    /// The thread of the store cannot be started.
    #[error("the thread of the store of jobs cannot be started: {0}")]
    Thread(std::io::Error),
    /// The database refuses.
    #[error("the store of jobs {fault}: {detail}")]
    Database {
        /// What is the matter.
        fault: Fault,
        /// The database's own words.
        detail: String,
    },
    /// A record holds what this version cannot read or write.
    #[error("the record of a job cannot be read or written: {0}")]
    Record(String),
    /// The record of one job is damaged.
    #[error("the record of the job \"{prompt_id}\" is damaged: {why}; delete the job, or restore a backup")]
    Damaged {
        /// The job's id.
        prompt_id: String,
        /// What cannot be read of it.
        why: String,
    },
    /// The thread that owns the database is gone.
    #[error("the store of jobs has stopped")]
    Stopped,
}

/// What is the matter with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The disk takes no more.
    #[error("cannot be written, as its disk is full")]
    Full,
    /// It may not be written.
    #[error("may not be written; look at the rights of its folder")]
    ReadOnly,
    /// The disk fails.
    #[error("cannot be read or written; look at its disk")]
    Disk,
    /// The file is no database, or a damaged one.
    #[error("is damaged; put a backup in its place, or choose another state directory")]
    Damaged,
    /// Somebody else holds it for too long.
    #[error("is held by another program")]
    Busy,
    /// Something else.
    #[error("does not work")]
    Other,
}

/// What goes wrong in here; a [`StoreError`] to the outside, which need not know which database this is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    #[error("{0}")]
    Json(serde_json::Error),
    #[error("schema {found} is newer than {known}")]
    TooNew { found: u32, known: u32 },
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

/// What SQLite says. When it opens a file it names the path as well, which is nobody's business.
fn detail(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::CannotOpen => code.to_string(),
        error => error.to_string(),
    }
}
