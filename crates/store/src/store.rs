//! The trait of stores.

use comfy_runner_api::Status;
use comfy_runner_progress::Durations;
use comfy_runner_protocol::OutputFile;
use comfy_runner_scheduler::JobTimes;
use futures::future::BoxFuture;

use crate::assets::AssetRecord;
use crate::error::StoreError;
use crate::output_contents::OutputContent;
use crate::record::{Outcome, Record, Summary};
use crate::sessions::EndedSession;
use crate::stored_files::{KeptOutput, UnkeptJob};
use crate::uploads::{Upload, UploadPage, UploadUse};

/// The future result of a call.
pub type StoreFuture<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// The result of creating a record.
#[derive(Debug)]
pub enum Created {
    /// It was written durably.
    New,
    /// Its idempotency key belongs to this record; nothing was written.
    Known(Box<Record>),
    /// It is an automatic repetition of a job, and this record was the first one; nothing was written.
    Repeated(Box<Record>),
}

/// The result of deleting a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It was deleted.
    Done,
    /// The job is not over, so it stays.
    Active,
    /// There is no such record.
    Unknown,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Only jobs with one of these statuses; if it is empty, with any.
    pub statuses: Vec<Status>,
    /// Only jobs of this workflow.
    pub workflow_id: Option<String>,
    /// Only jobs whose id begins with this.
    pub prompt_id_prefix: Option<String>,
    /// Only jobs queued at this time or later, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Only jobs queued before this time, in milliseconds since the Unix epoch.
    pub until: Option<i64>,
    /// Only jobs with each of these keys in their metadata, and this string as its value.
    pub labels: Vec<(String, String)>,
    /// Only jobs after a page: its `next`.
    pub after: Option<i64>,
    /// The largest number of jobs; 0 for all.
    pub limit: u32,
}

impl Filter {
    /// Sets [`Filter::statuses`].
    pub fn with_statuses(mut self, statuses: Vec<Status>) -> Self {
        self.statuses = statuses;
        self
    }

    /// Sets [`Filter::workflow_id`].
    pub fn with_workflow_id(mut self, workflow_id: Option<String>) -> Self {
        self.workflow_id = workflow_id;
        self
    }

    /// Sets [`Filter::prompt_id_prefix`].
    pub fn with_prompt_id_prefix(mut self, prefix: Option<String>) -> Self {
        self.prompt_id_prefix = prefix;
        self
    }

    /// Sets [`Filter::since`] and [`Filter::until`].
    pub fn with_times(mut self, since: Option<i64>, until: Option<i64>) -> Self {
        (self.since, self.until) = (since, until);
        self
    }

    /// Sets [`Filter::labels`].
    pub fn with_labels(mut self, labels: Vec<(String, String)>) -> Self {
        self.labels = labels;
        self
    }

    /// Sets [`Filter::limit`] and [`Filter::after`].
    pub fn with_page(mut self, limit: u32, after: Option<i64>) -> Self {
        (self.limit, self.after) = (limit, after);
        self
    }
}

impl Page {
    /// Creates a page.
    pub fn new(jobs: Vec<Summary>, next: Option<i64>) -> Self {
        Self { jobs, next }
    }
}

impl Retention {
    /// Creates a retention from its two limits.
    pub fn new(before: Option<i64>, keep: Option<u32>) -> Self {
        Self { before, keep }
    }
}

/// Some jobs, newest first.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Summary>,
    /// The `after` of the next page; `None` on the last.
    pub next: Option<i64>,
}

/// Which records are kept. Jobs that are not over always are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Jobs that ended before this time are deleted, in milliseconds since the Unix epoch.
    pub before: Option<i64>,
    /// The number of ended jobs that are kept, the newest.
    pub keep: Option<u32>,
}

/// Durable records of jobs. A write that was answered survives a crash. Writes happen in the order in which their futures are first
/// polled.
pub trait Store: Send + Sync {
    /// Returns the store's own id, which never changes. ComfyUI sends the messages about a job to the client id under which it
    /// was submitted: with the same id, a new process receives those about jobs of the previous one.
    fn identity(&self) -> &str;
    /// Creates a record, unless its idempotency key is in use or it is the second automatic repetition of a job. The key of a
    /// job that failed before ComfyUI accepted it is free again.
    fn create(&self, record: Record) -> StoreFuture<'_, Created>;
    /// Updates the states of jobs, all or none of them. A job without a record is skipped: it was deleted.
    fn update(&self, outcomes: Vec<(String, Outcome)>) -> StoreFuture<'_, ()>;
    /// Changes a job's id to the one that ComfyUI chose. Returns whether there is such a job.
    fn rename(&self, prompt_id: &str, to: &str) -> StoreFuture<'_, bool>;
    /// Deletes a record whose prompt ComfyUI does not have. Returns whether there was one.
    fn withdraw(&self, prompt_id: &str) -> StoreFuture<'_, bool>;
    /// Returns a record.
    fn get(&self, prompt_id: &str) -> StoreFuture<'_, Option<Record>>;
    /// Returns the record with an idempotency key.
    fn by_key(&self, key: &str) -> StoreFuture<'_, Option<Record>>;
    /// Returns jobs, newest first. A damaged record is logged once and left out.
    fn list(&self, filter: Filter) -> StoreFuture<'_, Page>;
    /// Returns at most `limit` records of jobs that are not over, oldest first, beginning after the one with the id `after`.
    /// Fewer are returned only at the end. A damaged record is logged once and left out.
    fn open(&self, after: Option<&str>, limit: u32) -> StoreFuture<'_, Vec<Record>>;
    /// Deletes the record of a job that is over.
    fn delete(&self, prompt_id: &str) -> StoreFuture<'_, Deleted>;
    /// Deletes old records. Returns their number.
    fn prune(&self, retention: Retention) -> StoreFuture<'_, usize>;
    /// Reserves `count` event ids and returns the first: `from`, or the one after all reserved ids. Ids never decrease, even if
    /// the clock from which `from` is read is set back.
    fn reserve_event_ids(&self, from: u64, count: u64) -> StoreFuture<'_, u64>;
    /// Records an uploaded file, or records it again.
    fn add_upload(&self, upload: Upload) -> StoreFuture<'_, ()>;
    /// Returns at most `limit` uploaded files, newest first, beginning after a page with this `next`.
    fn uploads(&self, limit: u32, after: Option<i64>) -> StoreFuture<'_, UploadPage>;
    /// Returns whether an uploaded file can be deleted.
    fn upload_use(&self, filename: &str) -> StoreFuture<'_, UploadUse>;
    /// Returns the records of those of these uploaded files that have one.
    fn uploads_named(&self, filenames: Vec<String>) -> StoreFuture<'_, Vec<Upload>>;
    /// Deletes the records of files in the file store that were uploaded before this time, in milliseconds since the Unix epoch,
    /// and that no recorded job reads. Returns their number.
    fn prune_uploads(&self, before: i64) -> StoreFuture<'_, usize>;
    /// Deletes the record of an uploaded file. Returns whether there was one.
    fn delete_upload(&self, filename: &str) -> StoreFuture<'_, bool>;
    /// Records that an output of a job was copied into the file store. The record goes with the job's. Returns whether there is
    /// such a job.
    fn keep_output(&self, prompt_id: &str, kept: KeptOutput) -> StoreFuture<'_, bool>;
    /// Records that all outputs of a job are copied, or gone.
    fn all_outputs_kept(&self, prompt_id: &str) -> StoreFuture<'_, ()>;
    /// Returns at most `limit` jobs that are over and for which [`all_outputs_kept`](Self::all_outputs_kept) was not called,
    /// oldest first, beginning after the one with this `seq`.
    fn unkept(&self, after: Option<i64>, limit: u32) -> StoreFuture<'_, Vec<UnkeptJob>>;
    /// Returns the copy of an output. If several jobs made a file of this name, it is the newest one's.
    fn kept_output(&self, file: &OutputFile) -> StoreFuture<'_, Option<KeptOutput>>;
    /// Records the size and hash of a job's output. The record goes with the job's. Returns whether there is such a job.
    fn record_output_content(
        &self,
        prompt_id: &str,
        file: &OutputFile,
        content: OutputContent,
    ) -> StoreFuture<'_, bool>;
    /// Returns the size and hash of a job's output.
    fn output_content(&self, prompt_id: &str, file: &OutputFile) -> StoreFuture<'_, Option<OutputContent>>;
    /// Records an asset.
    fn add_asset(&self, asset: AssetRecord) -> StoreFuture<'_, ()>;
    /// Returns an asset, also if it has expired.
    fn asset(&self, id: &str) -> StoreFuture<'_, Option<AssetRecord>>;
    /// Returns the newest asset with these bytes.
    fn asset_with_hash(&self, hash: &str) -> StoreFuture<'_, Option<AssetRecord>>;
    /// Returns for each of these names the newest asset that was given it.
    fn assets_named(&self, file_paths: Vec<String>) -> StoreFuture<'_, Vec<AssetRecord>>;
    /// Deletes the record of an asset. Returns whether there was one.
    fn delete_asset(&self, id: &str) -> StoreFuture<'_, bool>;
    /// Deletes the records of assets that expired before this time, in milliseconds since the Unix epoch. Returns their number.
    fn prune_assets(&self, before: i64) -> StoreFuture<'_, usize>;
    /// Returns those of these contents of the file store to which no record refers.
    fn unreferenced(&self, hashes: Vec<String>) -> StoreFuture<'_, Vec<String>>;
    /// Writes everything to the database's own file and closes it. Later calls fail.
    fn close(&self) -> StoreFuture<'_, ()>;
    /// Returns the known durations of a workflow's nodes.
    fn durations(&self, workflow_id: &str) -> StoreFuture<'_, Durations>;
    /// Replaces the durations of a workflow's nodes.
    fn remember_durations(&self, workflow_id: &str, durations: Durations) -> StoreFuture<'_, ()>;
    /// Returns how long jobs took.
    fn job_times(&self) -> StoreFuture<'_, JobTimes>;
    /// Replaces what is known of these workflows and ComfyUIs. That of others stays.
    fn remember_job_times(&self, times: JobTimes) -> StoreFuture<'_, ()>;
    /// Returns the names of the ComfyUIs that get no jobs.
    fn draining(&self) -> StoreFuture<'_, Vec<String>>;
    /// Records whether a ComfyUI gets no jobs.
    fn set_draining(&self, comfyui: &str, draining: bool) -> StoreFuture<'_, ()>;
    /// Returns the sessions whose holders have signed out.
    fn ended_sessions(&self) -> StoreFuture<'_, Vec<EndedSession>>;
    /// Records that the holder of a session has signed out, and forgets the sessions that would have ended by `now`, in seconds
    /// since the Unix epoch.
    fn end_session(&self, session: EndedSession, now: i64) -> StoreFuture<'_, ()>;
}
