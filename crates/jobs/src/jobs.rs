//! The service around the table of jobs: everything that callers can do, each in a module of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use comfy_runner_api::{Event, JobDetails, JobRecord, JobStatus, Queue, Status, Submitted};
use comfy_runner_client::{Client, ClientError, ConfigError};
use comfy_runner_files::{ContentHash, FileStore, Put};
use comfy_runner_progress::{PreviewImage, Progress};
use comfy_runner_protocol::{Media, ObjectInfo, OutputFile};
use comfy_runner_scheduler::{FairQueue, JobQueue as _, JobTimes};
use comfy_runner_store::{AssetRecord, Filter, Page, Store, StoreError, UploadPage};
use futures::Stream;
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::assets::{self, AssetError, NewAsset};
use crate::cancel::{self, CancelError};
use crate::clients::Clients;
use crate::comfyui::ComfyUi;
use crate::comfyui_state::{self, ComfyUiState};
use crate::config::JobsConfig;
use crate::details;
use crate::eligible;
use crate::files::{self, CollectError, Collected, Files, FilesConfig, StoredContent};
use crate::idempotency::{self, Idempotency};
use crate::job::Job;
use crate::job_times::UnwrittenTimes;
use crate::lookup::{self, ResultError, StatusError};
use crate::partner_key::PartnerKey;
use crate::persist;
use crate::place;
use crate::pool::{Member, Pool};
use crate::queue::{self, QueueError};
use crate::records::{self, JobPage, RecordError};
use crate::remote_state::UnsupportedRoutes;
use crate::retry::{self, RetryError};
use crate::submission::Submission;
use crate::submit::{self, SubmitError};
use crate::supervise::{Stalled, Supervision};
use crate::table::{Change, Table};
use crate::upload::UploadError;
use crate::uploads::{self, UploadOptions, UploadedError};
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
    /// Whether the latest job could not be recorded.
    is_store_failing: AtomicBool,
    files: Option<Files>,
    /// [`Pool::generation`].
    pool_generation: AtomicU64,
    /// Wakes the task that gives waiting jobs to ComfyUIs.
    dispatcher: Notify,
    /// Wakes the task that finds out which ComfyUIs can run waiting jobs.
    schemas_changed: Notify,
    /// Wakes the task that follows the ComfyUIs, when their settings change.
    comfyuis_changed: Notify,
    supervision: Supervision,
    /// Wakes the task that writes to the store.
    unwritten: Notify,
    /// Wakes those who wait for the store to have a job's latest state.
    written: Notify,
    /// Held for moments only, never across an await.
    state: Mutex<State>,
}

/// What the lock protects.
pub(crate) struct State {
    pub table: Table,
    pub feed: ChangeFeed,
    pub pool: Pool,
    /// The jobs that wait for a ComfyUI.
    pub queue: FairQueue,
    /// How long jobs took.
    pub times: JobTimes,
    /// What the store does not have of `times`.
    pub unwritten_times: UnwrittenTimes,
    /// The state of all schemas by which it was found out for every waiting job which ComfyUIs can run it.
    pub eligible_as_of: u64,
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
        let state = State {
            table: Table::new(next_event),
            feed: ChangeFeed::default(),
            pool: Pool::default(),
            queue: FairQueue::default(),
            times: JobTimes::default(),
            unwritten_times: UnwrittenTimes::default(),
            eligible_as_of: 0,
        };
        let shared = Shared {
            config,
            origin: Instant::now(),
            store,
            is_store_failing: AtomicBool::new(false),
            files,
            pool_generation: AtomicU64::new(0),
            dispatcher: Notify::new(),
            schemas_changed: Notify::new(),
            comfyuis_changed: Notify::new(),
            supervision: Supervision::default(),
            unwritten: Notify::new(),
            written: Notify::new(),
            state: Mutex::new(state),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sets the ComfyUIs that jobs run on, also while jobs run. A job whose ComfyUI is removed counts as lost. Names must be
    /// unique; of several ComfyUIs with one name the last one counts.
    ///
    /// # Errors
    /// No client can be made for one of them. Nothing is changed then.
    pub fn set_comfyuis(&self, comfyuis: Vec<ComfyUi>) -> Result<(), ConfigError> {
        for comfyui in &comfyuis {
            Client::new(comfyui.client.clone())?;
        }
        let mut state = self.lock();
        state.pool.set(comfyuis);
        self.shared.pool_generation.store(state.pool.generation(), Ordering::Release);
        drop(state);
        self.shared.comfyuis_changed.notify_one();
        self.wake_eligibility();
        self.wake_dispatcher();
        Ok(())
    }

    /// Returns the ComfyUIs, in the order of the settings, as far as is known without asking them.
    pub fn comfyuis(&self) -> Vec<ComfyUiState> {
        comfyui_state::comfyuis(&self.lock())
    }

    /// Has a ComfyUI get no more jobs, or get jobs again. Those that it has stay. This is recorded, so that it holds for later
    /// processes too. Returns whether there is such a ComfyUI.
    ///
    /// # Errors
    /// The store fails. Nothing is changed then.
    pub async fn set_draining(&self, comfyui: &str, draining: bool) -> Result<bool, StoreError> {
        if self.lock().pool.get(comfyui).is_none() {
            return Ok(false);
        }
        self.store().set_draining(comfyui, draining).await?;
        self.lock().pool.set_draining(comfyui, draining);
        self.wake_dispatcher();
        Ok(true)
    }

    /// Returns the name of the ComfyUI that has a job and its files, or `None` if that is not known.
    pub fn comfyui_of(&self, prompt_id: &str) -> Option<Arc<str>> {
        let state = self.lock();
        let job = state.table.get(prompt_id)?;
        state.pool.owner(Some(job.comfyui.as_deref()?))
    }

    /// Returns the node schemas of a ComfyUI, which are fetched if it was connected since, or if they are older than
    /// `max_age`.
    ///
    /// # Errors
    /// There is no such ComfyUI, or it cannot be asked.
    pub async fn schemas(
        &self,
        clients: &Clients,
        comfyui: &str,
        max_age: Duration,
    ) -> Result<Arc<ObjectInfo>, ClientError> {
        eligible::schemas(self, clients, comfyui, max_age).await
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

    /// Submits a graph to ComfyUI. The job is known here before ComfyUI receives it, so that no event comes too early. Its record is
    /// written to the disk while ComfyUI answers, and before this returns. If the process or the machine goes down in between,
    /// ComfyUI may have a prompt without a record, about which no caller has an answer. A submission with an idempotency key is
    /// recorded first.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, clients: &Clients, submission: Submission) -> Result<Submitted, SubmitError> {
        submit::submit(self, clients, submission).await
    }

    /// Submits a job that is over once more, with the same parameters and seeds, into an output folder of its own. The key
    /// for partner nodes is not recorded, so it must be given again if the job needs one of its own.
    ///
    /// # Errors
    /// See [`RetryError`].
    pub async fn retry(
        &self,
        clients: &Clients,
        prompt_id: &str,
        output_folder: &str,
        key: Option<PartnerKey>,
    ) -> Result<Submitted, RetryError> {
        retry::retry(self, clients, prompt_id, output_folder, key).await
    }

    /// Cancels a job: removes it from ComfyUI's queue, or interrupts it if it runs. Returns the status after that:
    /// `cancelled`, or `running` while the current node has not stopped yet.
    ///
    /// ComfyUI decides how the job ended. If it started, ended or failed at that very moment, that is its status.
    ///
    /// # Errors
    /// See [`CancelError`].
    pub async fn cancel(&self, clients: &Clients, prompt_id: &str) -> Result<Status, CancelError> {
        cancel::cancel(self, clients, prompt_id).await
    }

    /// Returns a job's status. ComfyUI is asked only for a job that is neither in memory nor in the store.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub async fn status(&self, clients: &Clients, prompt_id: &str) -> Result<JobStatus, StatusError> {
        lookup::status(self, clients, prompt_id).await
    }

    /// Returns the file that is the job's result, one of the `preferred` media if there is one.
    ///
    /// # Errors
    /// See [`ResultError`].
    pub async fn result(
        &self,
        clients: &Clients,
        prompt_id: &str,
        preferred: Media,
    ) -> Result<OutputFile, ResultError> {
        lookup::result(self, clients, prompt_id, preferred).await
    }

    /// Returns every file of a job that is meant to stay, in the graph's order. If nodes made no such file, the intermediate
    /// ones, or else the temporary ones.
    ///
    /// # Errors
    /// See [`StatusError`].
    pub async fn final_files(
        &self,
        clients: &Clients,
        prompt_id: &str,
    ) -> Result<Vec<OutputFile>, StatusError> {
        lookup::final_files(self, clients, prompt_id).await
    }

    /// Returns the latest preview of a running job.
    ///
    /// # Errors
    /// See [`PreviewError`].
    pub async fn preview(&self, clients: &Clients, prompt_id: &str) -> Result<PreviewImage, PreviewError> {
        watch::preview(self, clients, prompt_id).await
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
        clients: &Clients,
        prompt_id: &str,
        options: WatchOptions,
    ) -> Result<Subscription, StatusError> {
        Subscription::open(self, clients, prompt_id, options).await
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
        clients: &Clients,
        prompt_id: &str,
    ) -> Result<Option<Serialized<Event>>, StatusError> {
        watch::end(self, clients, prompt_id).await
    }

    /// Returns the prompt id of the job with this client id. It does not say whether there is such a job.
    pub fn prompt_id_of(&self, client_id: &str) -> String {
        self.lock().table.log().prompt_id_of(client_id)
    }

    /// Returns the jobs that wait or run, with their positions in ComfyUI's queue.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn queue(&self, clients: &Clients) -> Result<Queue, QueueError> {
        queue::queue(self, clients).await
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

    /// Takes a file, named by its caller, and records it. It is streamed into the file store, or to ComfyUI's input folder if the
    /// store is not for uploads and there is one ComfyUI. Returns the unique name by which jobs refer to it.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn upload<S, E>(
        &self,
        client: &Client,
        name: &str,
        body: S,
        options: UploadOptions,
    ) -> Result<String, UploadError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
        E: std::fmt::Display + 'static,
    {
        uploads::upload(self, client, name, body, options).await
    }

    /// Returns what the records say of a file's content in the file store: that of an upload, or of a copied output. `None` if
    /// only ComfyUI may have the file.
    ///
    /// # Errors
    /// The store fails.
    pub async fn stored_content(&self, file: &OutputFile) -> Result<Option<StoredContent>, StoreError> {
        files::stored_content(self, file).await
    }

    /// Returns the size and hash of a job's output, if they are known: from its copy in the file store, or because they were
    /// recorded.
    ///
    /// # Errors
    /// The store fails.
    pub async fn output_content(
        &self,
        prompt_id: &str,
        file: &OutputFile,
    ) -> Result<Option<StoredContent>, StoreError> {
        files::output_content(self, prompt_id, file).await
    }

    /// Records the size and hash of a job's output, so that the file need not be read again.
    ///
    /// # Errors
    /// The store fails.
    pub async fn record_output_content(
        &self,
        prompt_id: &str,
        file: &OutputFile,
        content: &StoredContent,
    ) -> Result<(), StoreError> {
        files::record_output_content(self, prompt_id, file, content).await
    }

    /// Returns whether an uploaded file is in the file store.
    ///
    /// # Errors
    /// The store of records fails.
    pub async fn is_stored(&self, filename: &str) -> Result<bool, StoreError> {
        uploads::is_stored(self, filename).await
    }

    /// Stores an uploaded file as an asset. Returns it, and whether its bytes are new to the server.
    ///
    /// # Errors
    /// See [`AssetError`].
    pub async fn add_asset<S, E>(
        &self,
        new: NewAsset,
        body: S,
        options: Put,
    ) -> Result<(AssetRecord, bool), AssetError>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: std::fmt::Display,
    {
        assets::add(self, new, body, options).await
    }

    /// Returns an asset with this name of bytes that another asset has, and whether it was created. `None` if no asset has
    /// these bytes.
    ///
    /// # Errors
    /// See [`AssetError`].
    pub async fn asset_from_hash(
        &self,
        hash: &ContentHash,
        file_path: Option<String>,
        expires_in: Option<u64>,
    ) -> Result<Option<(AssetRecord, bool)>, AssetError> {
        assets::from_hash(self, hash, file_path, expires_in).await
    }

    /// Returns an asset with these bytes.
    ///
    /// # Errors
    /// See [`AssetError`].
    pub async fn asset_with_hash(&self, hash: &ContentHash) -> Result<Option<AssetRecord>, AssetError> {
        assets::with_hash(self, hash).await
    }

    /// Returns an asset.
    ///
    /// # Errors
    /// The store fails.
    pub async fn asset(&self, id: &str) -> Result<Option<AssetRecord>, StoreError> {
        assets::get(self, id).await
    }

    /// Returns for each of these names the newest asset that was given it.
    ///
    /// # Errors
    /// The store fails.
    pub async fn assets_named(&self, file_paths: Vec<String>) -> Result<Vec<AssetRecord>, StoreError> {
        assets::named(self, file_paths).await
    }

    /// Deletes an asset. Its bytes stay while anything else needs them. Returns whether there was one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn delete_asset(&self, id: &str) -> Result<bool, StoreError> {
        assets::delete(self, id).await
    }

    /// Makes an asset an input file of a job, and returns the name for its graph and for [`Submission::input_files`]. It is
    /// sent to ComfyUI with the job.
    ///
    /// # Errors
    /// See [`AssetError`].
    pub async fn asset_as_input(&self, asset: &AssetRecord) -> Result<String, AssetError> {
        assets::as_input(self, asset).await
    }

    /// Makes an output of an earlier job an input file, as [`Jobs::asset_as_input`] does.
    ///
    /// # Errors
    /// See [`AssetError`].
    pub async fn output_as_input(&self, client: &Client, file: &OutputFile) -> Result<String, AssetError> {
        assets::output_as_input(self, client, file).await
    }

    /// Makes a text an input file, as [`Jobs::asset_as_input`] does.
    ///
    /// # Errors
    /// See [`AssetError`].
    pub async fn text_as_input(&self, text: String) -> Result<String, AssetError> {
        assets::text_as_input(self, text).await
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

    /// Remembers whether a job could be recorded.
    pub(crate) fn note_recorded<T>(&self, recorded: Result<T, StoreError>) -> Result<T, StoreError> {
        self.shared.is_store_failing.store(recorded.is_err(), Ordering::Relaxed);
        recorded
    }

    /// Returns whether the latest job could not be recorded.
    pub(crate) fn is_store_failing(&self) -> bool {
        self.shared.is_store_failing.load(Ordering::Relaxed)
    }

    pub(crate) fn files(&self) -> Option<&Files> {
        self.shared.files.as_ref()
    }

    pub(crate) fn config(&self) -> &JobsConfig {
        &self.shared.config
    }

    /// Returns the ComfyUI that has a job whose record names this one, or none.
    pub(crate) fn owner(&self, recorded: Option<&str>) -> Option<Arc<str>> {
        self.lock().pool.owner(recorded)
    }

    /// Returns the node schemas of a ComfyUI that were fetched last.
    pub(crate) fn known_schemas(&self, comfyui: &str) -> Option<Arc<ObjectInfo>> {
        let cache = Arc::clone(&self.lock().pool.get(comfyui)?.schemas);
        cache.latest_known()
    }

    /// Returns the routes that a ComfyUI does not have.
    pub(crate) fn unsupported(&self, comfyui: &str) -> Arc<UnsupportedRoutes> {
        self.lock().pool.get(comfyui).map(|member| Arc::clone(&member.unsupported)).unwrap_or_default()
    }

    /// Returns a number that grows with each change of the ComfyUIs' settings.
    pub(crate) fn pool_generation(&self) -> u64 {
        self.shared.pool_generation.load(Ordering::Acquire)
    }

    /// Wakes the task that gives waiting jobs to ComfyUIs.
    pub(crate) fn wake_dispatcher(&self) {
        self.shared.dispatcher.notify_one();
    }

    /// Waits until [`Jobs::wake_dispatcher`] is called.
    pub(crate) async fn dispatcher_woken(&self) {
        self.shared.dispatcher.notified().await;
    }

    /// Waits until the settings of the ComfyUIs change.
    pub(crate) async fn comfyuis_changed(&self) {
        self.shared.comfyuis_changed.notified().await;
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

    /// Returns whether the WebSocket to a ComfyUI is open. Messages about a job that is submitted without it may be missed.
    pub(crate) fn is_connected(&self, comfyui: &str) -> bool {
        self.lock().pool.get(comfyui).is_some_and(Member::is_connected)
    }

    /// Notes that the WebSocket to a ComfyUI was opened, or was lost for this reason.
    pub(crate) fn set_connected(&self, comfyui: &str, lost: Option<String>) {
        let mut state = self.lock();
        let Some(member) = state.pool.get_mut(comfyui) else { return };
        member.set_connected(lost.is_none());
        if lost.is_none() {
            // It may be another version than before, with other node types and models.
            member.unsupported.reset();
            state.pool.schemas_changed();
        } else {
            member.last_error = lost;
        }
        drop(state);
        // It may be a new process, on another disk.
        files::forget_sent(self, comfyui);
        self.wake_eligibility();
        self.wake_dispatcher();
    }

    /// Notes an error of a request to a ComfyUI. One that cannot be reached gets no jobs until its WebSocket is open again.
    pub(crate) fn note_error(&self, comfyui: &str, error: &ClientError) {
        tracing::warn!(comfyui, %error, "a job cannot be given to a ComfyUI");
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.last_error = Some(error.without_address());
        }
    }

    /// Returns whether there are several ComfyUIs, so that an upload may be needed on any of them.
    pub(crate) fn has_several_comfyuis(&self) -> bool {
        self.lock().pool.len() > 1
    }

    /// Marks whether jobs of the queue are being sent to a ComfyUI.
    pub(crate) fn set_sending(&self, comfyui: &str, sending: bool) {
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.sending = sending;
        }
        self.wake_dispatcher();
    }

    /// Gives a ComfyUI no jobs of the queue for this long.
    pub(crate) fn pause(&self, comfyui: &str, pause: Duration) {
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.paused_until = Instant::now().checked_add(pause);
        }
    }

    /// Returns the jobs that a ComfyUI must not run any more.
    pub(crate) fn abandoned(&self, comfyui: &str) -> Vec<String> {
        self.lock().pool.get(comfyui).map(|member| member.abandoned.clone()).unwrap_or_default()
    }

    /// Notes that a ComfyUI does not have this job any more.
    pub(crate) fn forget_abandoned(&self, comfyui: &str, prompt_id: &str) {
        if let Some(member) = self.lock().pool.get_mut(comfyui) {
            member.abandoned.retain(|abandoned| abandoned != prompt_id);
        }
    }

    /// Wakes the task that finds out which ComfyUIs can run waiting jobs.
    pub(crate) fn wake_eligibility(&self) {
        self.shared.schemas_changed.notify_one();
    }

    /// Waits until a ComfyUI may have got other node types or models.
    pub(crate) async fn schemas_changed(&self) {
        self.shared.schemas_changed.notified().await;
    }

    /// Returns the number of jobs that wait in our queue.
    pub fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// Returns whether a job waits in our queue.
    pub(crate) fn is_waiting(&self, prompt_id: &str) -> bool {
        self.lock().table.get(prompt_id).is_some_and(Job::is_waiting)
    }

    /// Adds a job that waits, and lets others know.
    pub(crate) fn insert_waiting(&self, job: Job) {
        let mut state = self.lock();
        let prompt_id = job.progress.prompt_id().to_owned();
        self.insert_into(&mut state, job);
        self.enqueue(&mut state, &prompt_id);
        drop(state);
        self.wake_dispatcher();
    }

    /// Puts a job that waits into the queue. Whoever calls this wakes the dispatcher.
    pub(crate) fn enqueue(&self, state: &mut State, prompt_id: &str) {
        let Some(job) = state.table.get(prompt_id).filter(|job| job.is_waiting()) else { return };
        let as_of = job.needs.eligible_as_of;
        let waiting = job.needs.in_queue(prompt_id, job.queued_at);
        state.queue.push(waiting);
        if as_of < state.pool.schemas() {
            state.eligible_as_of = state.eligible_as_of.min(as_of);
            self.wake_eligibility();
        }
    }

    /// Locks the state. A panic elsewhere cannot leave it half changed in a way that matters, so poison is ignored.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a job and lets others know. Returns `None` if the job is not in memory.
    pub(crate) fn change<T>(&self, prompt_id: &str, change: impl FnOnce(&mut Job) -> T) -> Option<T> {
        let mut state = self.lock();
        let (result, change) = state.table.change(prompt_id, unix_millis(), change)?;
        if change.ended {
            place::learn(&mut state, prompt_id);
            state.queue.remove(prompt_id);
        }
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
        state.queue.remove(prompt_id);
        state.feed.remove(prompt_id);
        drop(state);
        self.wake_dispatcher();
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
        if change.room {
            self.wake_dispatcher();
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

    /// The name of the only ComfyUI.
    pub const COMFYUI: &str = "comfyui";

    /// A service without jobs, with one ComfyUI at which nothing listens.
    pub fn empty(config: JobsConfig, store: Arc<dyn Store>) -> Jobs {
        let jobs = Jobs::new(config, store);
        let client = comfy_runner_client::Config::new("http://127.0.0.1:9".parse().unwrap());
        jobs.set_comfyuis(vec![ComfyUi::new(COMFYUI, client).unwrap()]).unwrap();
        jobs
    }

    /// A service with jobs that the ComfyUI accepted, and a store in memory that has no records of them.
    pub fn jobs(prompt_ids: &[&str], keep_ended: usize) -> Jobs {
        let store = Arc::new(Sqlite::in_memory().unwrap());
        let jobs = empty(JobsConfig::default().with_keep_ended(keep_ended), store);
        for prompt_id in prompt_ids {
            jobs.insert(job(prompt_id));
        }
        jobs
    }

    pub fn status(jobs: &Jobs, prompt_id: &str) -> Option<Status> {
        jobs.with_progress(prompt_id, |progress, _| progress.status())
    }
}
