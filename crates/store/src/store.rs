//! What any store can do.

use comfy_runner_api::Status;
use comfy_runner_progress::Durations;
use futures::future::BoxFuture;

use crate::error::StoreError;
use crate::record::{Outcome, Record, Summary};

/// The answer of a store, when it is there.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// What came of writing a new record.
#[derive(Debug)]
pub enum Created {
    /// It is written, durably.
    New,
    /// Its idempotency key belongs to this record; nothing was written.
    Known(Box<Record>),
    /// It repeats a job of its own accord, and this record did so before; nothing was written.
    Repeated(Box<Record>),
}

/// What came of forgetting a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is forgotten.
    Done,
    /// It is not over: it stays.
    Active,
    /// Nobody knew it.
    Unknown,
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
    /// The most jobs; 0 is all.
    pub limit: u32,
}

/// Some jobs, newest first.
#[derive(Debug)]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Summary>,
    /// Where the next page goes on; `None` at the end.
    pub next: Option<i64>,
}

/// What may be forgotten. Jobs that are not over never are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Forget jobs that were over before this time, in milliseconds since 1970.
    pub before: Option<i64>,
    /// Keep so many jobs that are over, the newest.
    pub keep: Option<u32>,
}

/// A durable record of jobs. What a call has answered for survives a crash.
///
/// Writes happen in the order of the calls.
pub trait Store: Send + Sync {
    /// An id that is this store's for as long as it lasts. ComfyUI's messages about a job go to whoever has the id under
    /// which it was submitted: with the same one, a new process hears of the jobs of the one before.
    fn identity(&self) -> &str;
    /// Writes a new record, unless its idempotency key is known or it is the second automatic repetition of a job. The
    /// key of a job that failed without ComfyUI having taken it is free again.
    fn create(&self, record: Record) -> StoreFuture<'_, Created>;
    /// Writes what became of jobs, all or none of them. A job that nobody knows is passed over: somebody deleted it.
    fn update(&self, outcomes: Vec<(String, Outcome)>) -> StoreFuture<'_, ()>;
    /// Gives a job the id that ComfyUI chose.
    fn rename(&self, prompt_id: &str, to: &str) -> StoreFuture<'_, bool>;
    /// Takes back a record of which ComfyUI has certainly not got the prompt. Says whether there was one.
    fn withdraw(&self, prompt_id: &str) -> StoreFuture<'_, bool>;
    /// One record.
    fn get(&self, prompt_id: &str) -> StoreFuture<'_, Option<Record>>;
    /// The record with an idempotency key.
    fn by_key(&self, key: &str) -> StoreFuture<'_, Option<Record>>;
    /// Jobs, newest first. A record that is damaged is logged and left out.
    fn list(&self, filter: Filter) -> StoreFuture<'_, Page>;
    /// The records of jobs that are not over, oldest first, from after the one with the id `after`; `limit` at most.
    /// Fewer come only at the end. A record that is damaged is logged and left out.
    fn open(&self, after: Option<&str>, limit: u32) -> StoreFuture<'_, Vec<Record>>;
    /// Forgets a job that is over.
    fn delete(&self, prompt_id: &str) -> StoreFuture<'_, Deleted>;
    /// Forgets old jobs. Says how many.
    fn prune(&self, retention: Retention) -> StoreFuture<'_, usize>;
    /// Reserves `count` ids of events, and returns the first: `from`, or the one after all that were reserved before.
    /// So ids never decrease, whatever the clock that `from` is read from does.
    fn reserve_event_ids(&self, from: u64, count: u64) -> StoreFuture<'_, u64>;
    /// Writes everything to the database's own file and closes it. Later calls fail.
    fn close(&self) -> StoreFuture<'_, ()>;
    /// How long the nodes of a workflow take, as far as that was learnt.
    fn durations(&self, workflow_id: &str) -> StoreFuture<'_, Durations>;
    /// Puts what was learnt of a workflow in the place of what was known.
    fn remember_durations(&self, workflow_id: &str, durations: Durations) -> StoreFuture<'_, ()>;
}
