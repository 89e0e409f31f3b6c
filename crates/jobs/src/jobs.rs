//! The service around the table of jobs: everything that callers can do, each in a module of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comfy_runner_api::{Event, JobDetails, JobRecord, JobStatus, Queue, Status, Submitted};
use comfy_runner_client::{Client, ClientError, ConfigError};
use comfy_runner_files::{ContentHash, FileStore, Put};
use comfy_runner_progress::{PreviewImage, Progress};
use comfy_runner_protocol::{Media, ObjectInfo, OutputFile};
use comfy_runner_scheduler::JobQueue as _;
use comfy_runner_store::{AssetRecord, Filter, Page, Store, StoreError, UploadPage};
use futures::Stream;

use crate::assets::{self, AssetError, NewAsset};
use crate::cancel::{self, CancelError};
use crate::clients::Clients;
use crate::comfyui::ComfyUi;
use crate::comfyui_changes;
use crate::comfyui_state::{self, ComfyUiState};
use crate::config::JobsConfig;
use crate::details;
use crate::eligible;
use crate::files::{self, CollectError, Collected, Files, FilesConfig, StoredContent};
use crate::idempotency::{self, Idempotency};
use crate::lookup::{self, ResultError, StatusError};
use crate::partner_key::PartnerKey;
use crate::persist;
use crate::queue;
use crate::records::{self, JobPage, RecordError};
use crate::retry::{self, RetryError};
use crate::state::Shared;
use crate::submission::Submission;
use crate::submit;
use crate::submit_error::SubmitError;
use crate::supervise::Stalled;
use crate::upload::UploadError;
use crate::uploads::{self, UploadOptions, UploadedError};
use crate::watch::{self, AllJobsSubscription, PreviewError, Serialized, Subscription, WatchOptions};

/// The jobs of this process. A clone is another handle to the same jobs, and may be used from any thread.
#[derive(Clone)]
pub struct Jobs {
    pub(crate) shared: Arc<Shared>,
}

impl Jobs {
    /// Creates a service without jobs. [`Jobs::load`] brings those of an earlier process.
    pub fn new(config: JobsConfig, store: Arc<dyn Store>) -> Self {
        Self { shared: Arc::new(Shared::new(config, store, None)) }
    }

    /// As [`Jobs::new`], with a file store.
    pub fn with_files(config: JobsConfig, store: Arc<dyn Store>, files: FilesConfig) -> Self {
        Self { shared: Arc::new(Shared::new(config, store, Some(Files::new(files)))) }
    }

    /// Sets the ComfyUIs that jobs run on, also while jobs run. A job whose ComfyUI is removed counts as lost. Names must be
    /// unique; of several ComfyUIs with one name the last one counts.
    ///
    /// # Errors
    /// No client can be made for one of them. Nothing is changed then.
    pub fn set_comfyuis(&self, comfyuis: Vec<ComfyUi>) -> Result<(), ConfigError> {
        comfyui_changes::set_comfyuis(self, comfyuis)
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

    /// Returns the jobs that wait or run, with their positions in ComfyUI's queue. Those of a ComfyUI that does not answer
    /// have no position.
    ///
    /// # Errors
    /// The store fails.
    pub async fn queue(&self, clients: &Clients) -> Result<Queue, StoreError> {
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

    /// Returns the number of jobs that wait in our queue.
    pub fn waiting(&self) -> usize {
        self.lock().queue.len()
    }
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
