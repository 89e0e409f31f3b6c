//! What any store can do.

use std::collections::HashMap;
use std::time::Duration;

use comfy_runner_progress::Status;
use futures::future::BoxFuture;

use crate::record::{Outcome, Record};

/// The answer of a store, when it is there.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer version of this program has written it.
    #[error(
        "the store has schema {found}, and this version knows up to {known}: run the newer version again, or choose another --state-dir"
    )]
    TooNew {
        /// The schema that was found.
        found: u32,
        /// The newest schema that is known here.
        known: u32,
    },
    /// The folder cannot be made.
    #[error("the folder of the store cannot be made: {0}")]
    Folder(std::io::Error),
    /// SQLite refuses: a full disk, a file that may not be written, a broken file.
    #[error("the store of jobs does not work: {0}; look at the disk and the rights of --state-dir")]
    Sqlite(#[from] rusqlite::Error),
    /// A record holds what this version cannot read.
    #[error("the record of a job cannot be read or written: {0}")]
    Json(#[from] serde_json::Error),
    /// The thread that owns the database is gone.
    #[error("the store of jobs has stopped")]
    Stopped,
}

/// What came of writing a new record.
#[derive(Debug)]
pub enum Created {
    /// It is written, durably.
    New,
    /// Its idempotency key belongs to this record; nothing was written.
    Known(Box<Record>),
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only with one of these statuses; none is any.
    pub statuses: Vec<Status>,
    /// Only of this workflow.
    pub workflow_id: Option<String>,
    /// Only queued at this time or later, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Only queued before this time, in milliseconds since 1970.
    pub until: Option<i64>,
    /// Go on where a page ended: its `next`.
    pub after: Option<i64>,
    /// The most records; 0 is all.
    pub limit: u32,
}

/// Some records, newest first.
#[derive(Debug)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Where the next page goes on; `None` at the end.
    pub next: Option<i64>,
}

/// What may be forgotten. Jobs that are not over never are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retention {
    /// Forget jobs that were over before this time, in milliseconds since 1970.
    pub before: Option<i64>,
    /// Keep so many jobs that are over, the newest.
    pub keep: Option<u32>,
}

/// How long a class of nodes took in a workflow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanDuration {
    /// The mean.
    pub mean: Duration,
    /// Of so many runs.
    pub count: u64,
}

/// A durable record of jobs. What a call has answered for survives a crash.
///
/// Writes happen in the order of the calls.
pub trait Store: Send + Sync {
    /// Writes a new record, unless its idempotency key is known.
    fn create(&self, record: Record) -> StoreFuture<'_, Created>;
    /// Writes what became of a job. Says whether the job is known.
    fn update(&self, prompt_id: &str, outcome: Outcome) -> StoreFuture<'_, bool>;
    /// Gives a job the id that ComfyUI chose.
    fn rename(&self, prompt_id: &str, to: &str) -> StoreFuture<'_, bool>;
    /// One record.
    fn get(&self, prompt_id: &str) -> StoreFuture<'_, Option<Record>>;
    /// The record with an idempotency key.
    fn by_key(&self, key: &str) -> StoreFuture<'_, Option<Record>>;
    /// Records, newest first.
    fn list(&self, filter: Filter) -> StoreFuture<'_, Page>;
    /// Forgets a job. Says whether it was known.
    fn delete(&self, prompt_id: &str) -> StoreFuture<'_, bool>;
    /// Forgets old jobs. Says how many.
    fn prune(&self, retention: Retention) -> StoreFuture<'_, usize>;
    /// The mean duration of each node class in a workflow.
    fn node_durations(&self, workflow_id: &str) -> StoreFuture<'_, HashMap<String, MeanDuration>>;
    /// Adds durations, by node class, to the means of a workflow.
    fn remember_durations(
        &self,
        workflow_id: &str,
        durations: Vec<(String, Duration)>,
    ) -> StoreFuture<'_, ()>;
}
