//! The service around the table of jobs: everything that callers can do, each in a module of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use comfy_runner_api::{Event, JobDetails, JobRecord, JobStatus, Queue, Status, Submitted};
use comfy_runner_client::Client;
use comfy_runner_files::FileStore;
use comfy_runner_progress::{PreviewImage, Progress};
use comfy_runner_protocol::{Media, OutputFile};
use comfy_runner_store::{Filter, Page, Store, StoreError, UploadPage};
use futures::Stream;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::cancel::{self, CancelError};
use crate::config::JobsConfig;
use crate::details;
use crate::files::{self, CollectError, Collected, Files, FilesConfig, StoredContent};
use crate::idempotency::{self, Idempotency};
use crate::job::Job;
use crate::lookup::{self, ResultError, StatusError};
use crate::partner_key::PartnerKey;
use crate::persist;
use crate::queue::{self, QueueError};
use crate::records::{self, JobPage, RecordError};
use crate::remote_state::UnsupportedRoutes;
use crate::retry::{self, RetryError};
use crate::submission::Submission;
use crate::submit::{self, SubmitError};
use crate::supervise::{Stalled, Supervision};
use crate::table::{Change, Table};
use crate::upload::UploadError;
use crate::uploads::{self, UploadKind, UploadedError};
use crate::watch::{
    self, AllJobsSubscription, ChangeFeed, PreviewError, Serialized, Subscription, WatchOptions,
};

/// The jobs of this process. A clone is another handle to the same jobs, and may be used from any thread.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    config: JobsConfig,
    /// The moment from which durations count.
    origin: Instant,
    store: Arc<dyn Store>,
    files: Option<Files>,
    connection: Mutex<Connection>,
    unsupported: UnsupportedRoutes,
    supervision: Supervision,
    /// Wakes the task that writes to the store.
    unwritten: Notify,
    /// Wakes those who wait for the store to have a job's latest state.
    written: Notify,
    /// Held for moments only, never across an await.
    state: Mutex<State>,
}

/// The WebSocket to ComfyUI.
#[derive(Clone, Copy)]
struct Connection {
    /// Whether it is open, as far as is known.
    open: bool,
    /// When it was opened or lost.
    since: Instant,
}

/// What the lock protects.
pub(crate) struct State {
    pub table: Table,
    pub feed: ChangeFeed,
}

impl Jobs {
    /// Creates a service without jobs. [`Jobs::load`] brings those of an earlier process.
    pub fn new(config: JobsConfig, store: Arc<dyn Store>) -> Self {
        Self::build(config, store, None)
    }

    /// As [`Jobs::new`], with a file store.
    pub fn with_files(config: JobsConfig, store: Arc<dyn Store>, files: FilesConfig) -> Self {
        Self::build(config, store, Some(Files::new(files)))
    }

    fn build(config: JobsConfig, store: Arc<dyn Store>, files: Option<Files>) -> Self {
        // Until `load` reserves ids in the store. Ids grow from one process to the next as the clock does.
        let next_event = u64::try_from(unix_millis()).unwrap_or_default();
        let state = State { table: Table::new(next_event), feed: ChangeFeed::default() };
        let shared = Shared {
            config,
            origin: Instant::now(),
            store,
            files,
            connection: Mutex::new(Connection { open: false, since: Instant::now() }),
            unsupported: UnsupportedRoutes::default(),
            supervision: Supervision::default(),
            unwritten: Notify::new(),
            written: Notify::new(),
            state: Mutex::new(state),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Loads the jobs that were open when the previous process ended, and returns their number.
    /// [`follow`](crate::follow) finds out what became of them. To be called once, before the first request.
    ///
    /// # Errors
    /// The store fails.
    pub async fn load(&self) -> Result<usize, StoreError> {
        persist::load(self).await
    }

    /// Writes every change that the store does not have yet, at the end of a process. Until then
    /// [`follow`](crate::follow) does it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn flush(&self) -> Result<(), StoreError> {
        persist::flush(self).await
    }

    /// Submits a graph to ComfyUI. The job is recorded and known here before ComfyUI receives it: no crash loses it, and
    /// no event comes too early.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, client: &Client, submission: Submission) -> Result<Submitted, SubmitError> {
        submit::submit(self, client, submission).await
    }

    /// Submits a job that is over once more, with the same parameters and seeds, into an output folder of its own. The key
    /// for partner nodes is not recorded, so it must be given again if the job needs one of its own.
    ///
    /// # Errors
    /// See [`RetryError`].
    pub async fn retry(
        &self,
        client: &Client,
        prompt_id: &str,
        output_folder: &str,
        key: Option<&PartnerKey>,
    ) -> Result<Submitted, RetryError> {
        retry::retry(self, client, prompt_id, output_folder, key).await
    }

    /// Cancels a job: removes it from ComfyUI's queue, or interrupts it if it runs. Returns the status after that:
    /// `cancelled`, or `running` while the current node has not stopped yet.
    ///
    /// ComfyUI decides how the job ended. If it started, ended or failed at that very moment, that is its status.
    ///
    /// # Errors
    /// See [`CancelError`].
    pub async fn cancel(&self, client: &Client, prompt_id: &str) -> Result<Status, CancelError> {
        cancel::cancel(self, client, prompt_id).await
    }

    /// Returns a job's status. ComfyUI is asked only for a job that is neither in memory nor in the store.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub async fn status(&self, client: &Client, prompt_id: &str) -> Result<JobStatus, StatusError> {
        lookup::status(self, client, prompt_id).await
    }

    /// Returns the file that is the job's result, one of the `preferred` media if there is one.
    ///
    /// # Errors
    /// See [`ResultError`].
    pub async fn result(
        &self,
        client: &Client,
        prompt_id: &str,
        preferred: Media,
    ) -> Result<OutputFile, ResultError> {
        lookup::result(self, client, prompt_id, preferred).await
    }

    /// Returns every file of a job that is meant to stay, in the graph's order. If nodes made no such file, the intermediate
    /// ones, or else the temporary ones.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub async fn final_files(
        &self,
        client: &Client,
        prompt_id: &str,
    ) -> Result<Vec<OutputFile>, StatusError> {
        lookup::final_files(self, client, prompt_id).await
    }

    /// Returns the latest preview of a running job.
    ///
    /// # Errors
    /// See [`PreviewError`].
    pub async fn preview(&self, client: &Client, prompt_id: &str) -> Result<PreviewImage, PreviewError> {
        watch::preview(self, client, prompt_id).await
    }

    /// Returns what `look` makes of a job's progress and the time, or `None` if the job is not in memory.
    pub fn with_progress<T>(
        &self,
        prompt_id: &str,
        look: impl FnOnce(&Progress, Duration) -> T,
    ) -> Option<T> {
        let state = self.lock();
        let job = state.table.get(prompt_id)?;
        Some(look(&job.progress, self.now()))
    }

    /// Subscribes to the updates of a job. A job that is not in memory is looked up.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub async fn watch(
        &self,
        client: &Client,
        prompt_id: &str,
        options: WatchOptions,
    ) -> Result<Subscription, StatusError> {
        Subscription::open(self, client, prompt_id, options).await
    }

    /// Subscribes to the status and the events of all active jobs.
    pub fn watch_all(&self) -> AllJobsSubscription {
        AllJobsSubscription::open(self)
    }

    /// Returns the event that ended a job, or `None` if it has not ended.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub async fn end(
        &self,
        client: &Client,
        prompt_id: &str,
    ) -> Result<Option<Serialized<Event>>, StatusError> {
        watch::end(self, client, prompt_id).await
    }

    /// Returns the prompt id of the job with this client id. It does not say whether there is such a job.
    pub fn prompt_id_of(&self, client_id: &str) -> String {
        self.lock().table.log().prompt_id_of(client_id)
    }

    /// Returns the jobs that wait or run, with their positions in ComfyUI's queue.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn queue(&self, client: &Client) -> Result<Queue, QueueError> {
        queue::queue(self, client).await
    }

    /// Returns the recorded jobs that match a filter, newest first, with their present state.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(&self, filter: Filter) -> Result<JobPage, StoreError> {
        records::list(self, filter).await
    }

    /// Returns everything that is kept of a job, with its present state.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn record(&self, prompt_id: &str) -> Result<JobRecord, RecordError> {
        records::record(self, prompt_id).await
    }

    /// Returns the present state of a recorded job, with more detail than its status has.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn details(&self, prompt_id: &str) -> Result<JobDetails, RecordError> {
        details::details(self, prompt_id).await
    }

    /// Returns the recorded jobs that match a filter, newest first, with their present state, as the store has them.
    ///
    /// # Errors
    /// The store fails.
    pub async fn summaries(&self, filter: Filter) -> Result<Page, StoreError> {
        records::summaries(self, filter).await
    }

    /// Returns a receiver that is notified of every change of any job. Its value means nothing.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.lock().feed.subscribe()
    }

    /// Deletes the record of a job that is over. Its files stay, and so does what ComfyUI knows of it.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn forget(&self, prompt_id: &str) -> Result<(), RecordError> {
        records::forget(self, prompt_id).await
    }

    /// Takes a file of at most `limit` bytes, named by its caller, and records it. It is streamed into the file store, or to
    /// ComfyUI's input folder if there is none for uploads. Returns the unique name by which jobs refer to it.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload<S, E>(
        &self,
        client: &Client,
        name: &str,
        body: S,
        limit: u64,
        kind: UploadKind,
    ) -> Result<String, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
        E: std::fmt::Display + 'static,
    {
        uploads::upload(self, client, name, body, limit, kind).await
    }

    /// Returns what the records say of a file's content in the file store: that of an upload, or of a copied output. `None` if
    /// only ComfyUI may have the file.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stored_content(&self, file: &OutputFile) -> Result<Option<StoredContent>, StoreError> {
        files::stored_content(self, file).await
    }

    /// Returns whether an uploaded file is in the file store.
    ///
    /// # Errors
    /// The store of records fails.
    pub async fn is_stored(&self, filename: &str) -> Result<bool, StoreError> {
        uploads::is_stored(self, filename).await
    }

    /// Returns the file store.
    pub fn file_store(&self) -> Option<&Arc<dyn FileStore>> {
        self.files().map(|files| &files.config.store)
    }

    /// Deletes what no record refers to from the file store, except for what was stored within the last hour, and the uploads
    /// that are older than records are kept. With `dry_run`, nothing is deleted and uploads count as needed.
    ///
    /// # Errors
    /// See [`CollectError`].
    pub async fn collect_files(&self, dry_run: bool) -> Result<Collected, CollectError> {
        files::collect(self, dry_run).await
    }

    /// Returns at most `limit` uploaded files, newest first, beginning after a page with this `next`.
    ///
    /// # Errors
    /// The store fails.
    pub async fn uploads(&self, limit: u32, after: Option<i64>) -> Result<UploadPage, StoreError> {
        uploads::list(self, limit, after).await
    }

    /// Checks that a file was uploaded here and that no job that is not over reads it.
    ///
    /// # Errors
    /// See [`UploadedError`].
    pub async fn check_unused(&self, filename: &str) -> Result<(), UploadedError> {
        uploads::check_unused(self, filename).await
    }

    /// Deletes the record of an uploaded file. A file on ComfyUI stays. In the file store it is deleted, at once or within
    /// hours, unless another record refers to the same content.
    ///
    /// # Errors
    /// The store fails.
    pub async fn forget_upload(&self, filename: &str) -> Result<(), StoreError> {
        uploads::forget(self, filename).await
    }

    /// Returns whether an earlier request with this key led to a job.
    ///
    /// # Errors
    /// The store fails.
    pub async fn is_known_key(&self, key: &str) -> Result<bool, StoreError> {
        idempotency::is_known_key(self, key).await
    }

    /// Returns the answer to an earlier request with this key.
    ///
    /// # Errors
    /// The earlier request was another one, or is still being worked on.
    pub async fn submitted_before(&self, request: &Idempotency) -> Result<Submitted, SubmitError> {
        idempotency::submitted_before(self, request).await
    }

    /// Returns the client id of the WebSocket on which ComfyUI reports all jobs. It belongs to the store, so that a new
    /// process receives the messages about jobs of the previous one.
    pub fn socket_id(&self) -> &str {
        self.store().identity()
    }

    /// Returns how long the record of a job is kept after its end; `None` for ever. A limit on the number of records may delete
    /// it before.
    pub fn kept_for(&self) -> Option<Duration> {
        self.config().keep_for
    }

    /// Returns when the WebSocket to ComfyUI was last opened or lost. What ComfyUI said before that may be of an earlier
    /// process, with other node types and models.
    pub fn connection_changed(&self) -> Instant {
        self.connection().since
    }

    /// Checks whether jobs are being followed.
    ///
    /// # Errors
    /// A task of [`follow`](crate::follow) failed within the last seconds.
    pub fn check_followed(&self) -> Result<(), Stalled> {
        self.supervision().check()
    }
}

/// For the modules that do the work.
impl Jobs {
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    pub(crate) fn files(&self) -> Option<&Files> {
        self.shared.files.as_ref()
    }

    pub(crate) fn config(&self) -> &JobsConfig {
        &self.shared.config
    }

    pub(crate) fn unsupported(&self) -> &UnsupportedRoutes {
        &self.shared.unsupported
    }

    pub(crate) fn supervision(&self) -> &Supervision {
        &self.shared.supervision
    }

    /// Wakes the task that writes to the store.
    pub(crate) fn unwritten(&self) -> &Notify {
        &self.shared.unwritten
    }

    /// Wakes those who wait for the store to have a job's latest state.
    pub(crate) fn written(&self) -> &Notify {
        &self.shared.written
    }

    /// Returns the time since this service was created: what [`Progress`] counts by.
    pub(crate) fn now(&self) -> Duration {
        self.shared.origin.elapsed()
    }

    /// Returns whether the WebSocket is open. Messages about a job that is submitted without it may be missed.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection().open
    }

    pub(crate) fn set_connected(&self, open: bool) {
        let mut connection = self.connection();
        if connection.open != open {
            *connection = Connection { open, since: Instant::now() };
            // It may be a new process, on another disk.
            files::forget_sent(self, files::DEFAULT_COMFYUI);
        }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.shared.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the state. A panic elsewhere cannot leave it half changed in a way that matters, so poison is ignored.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a job and lets others know. Returns `None` if the job is not in memory.
    pub(crate) fn change<T>(&self, prompt_id: &str, change: impl FnOnce(&mut Job) -> T) -> Option<T> {
        let mut state = self.lock();
        let (result, change) = state.table.change(prompt_id, unix_millis(), change)?;
        self.publish(&mut state, prompt_id, &change);
        Some(result)
    }

    /// Adds a job and lets others know.
    pub(crate) fn insert(&self, job: Job) {
        self.insert_into(&mut self.lock(), job);
    }

    /// Adds a job to the locked state and lets others know.
    pub(crate) fn insert_into(&self, state: &mut State, job: Job) {
        let prompt_id = job.progress.prompt_id().to_owned();
        let change = state.table.insert(job, unix_millis());
        self.publish(state, &prompt_id, &change);
    }

    /// Adds a job that is over, so that the next request for it need not look it up.
    pub(crate) fn insert_ended(&self, job: Job) {
        let mut state = self.lock();
        let prompt_id = job.progress.prompt_id().to_owned();
        let change = state.table.insert_ended(job);
        self.publish(&mut state, &prompt_id, &change);
    }

    /// Removes a job.
    pub(crate) fn remove(&self, prompt_id: &str) {
        let mut state = self.lock();
        state.table.remove(prompt_id);
        state.feed.remove(prompt_id);
    }

    fn publish(&self, state: &mut State, prompt_id: &str, change: &Change) {
        if let Some(position) = change.position
            && let Some(job) = state.table.get_mut(prompt_id)
        {
            state.feed.publish(job, position);
        }
        if change.unwritten {
            self.shared.unwritten.notify_one();
        }
        if change.ended {
            for forgotten in state.table.forget_ended(self.config().keep_ended) {
                state.feed.remove(&forgotten);
            }
        }
    }
}

/// Returns the milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use comfy_runner_store::Sqlite;

    use super::*;
    use crate::job::tests::job;

    /// A service with accepted jobs, and a store in memory that has no records of them.
    pub fn jobs(prompt_ids: &[&str], keep_ended: usize) -> Jobs {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let jobs = Jobs::new(JobsConfig::default().with_keep_ended(keep_ended), store);
        for prompt_id in prompt_ids {
            jobs.insert(job(prompt_id));
        }
        jobs
    }

    pub fn status(jobs: &Jobs, prompt_id: &str) -> Option<Status> {
        jobs.with_progress(prompt_id, |progress, _| progress.status())
    }
}
