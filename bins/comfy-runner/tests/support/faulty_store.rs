//! A store that fails on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use comfy_runner_progress::Durations;
use comfy_runner_protocol::OutputFile;
use comfy_runner_scheduler::JobTimes;
use comfy_runner_store::{
    AssetRecord, Created, Deleted, EndedSession, Fault, Filter, KeptOutput, Outcome, OutputContent, Page,
    Record, Retention, Sqlite, Store, StoreError, StoreFuture, UnkeptJob, Upload, UploadPage, UploadUse,
};
use futures::FutureExt as _;
use futures::future::ready;

/// A store in memory that fails as often as it is to.
pub struct FaultyStore {
    store: Sqlite,
    panics: AtomicU32,
    unrecorded: AtomicU32,
}

impl FaultyStore {
    /// Returns a store that panics the first `panics` times that it writes the outcomes of jobs.
    pub fn panicking(panics: u32) -> Arc<Self> {
        Self::new(panics, 0)
    }

    /// Returns a store whose first `unrecorded` records cannot be written.
    pub fn unrecorded(unrecorded: u32) -> Arc<Self> {
        Self::new(0, unrecorded)
    }

    /// Returns how often it is still to panic.
    pub fn panics(&self) -> u32 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Lets it panic once more.
    pub fn panic_again(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    fn new(panics: u32, unrecorded: u32) -> Arc<Self> {
        let store = Sqlite::in_memory().unwrap();
        Arc::new(Self { store, panics: AtomicU32::new(panics), unrecorded: AtomicU32::new(unrecorded) })
    }

    fn takes_one(left: &AtomicU32) -> bool {
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl Store for FaultyStore {
    fn identity(&self) -> &str {
        self.store.identity()
    }
    fn create(&self, record: Record) -> StoreFuture<'_, Created> {
        if Self::takes_one(&self.unrecorded) {
            let detail = "an error made on purpose".to_owned();
            return ready(Err(StoreError::Database { fault: Fault::Disk, detail })).boxed();
        }
        self.store.create(record)
    }
    fn update(&self, outcomes: Vec<(String, Outcome)>) -> StoreFuture<'_, ()> {
        assert!(!Self::takes_one(&self.panics), "a panic made on purpose");
        self.store.update(outcomes)
    }
    fn rename(&self, prompt_id: &str, to: &str) -> StoreFuture<'_, bool> {
        self.store.rename(prompt_id, to)
    }
    fn withdraw(&self, prompt_id: &str) -> StoreFuture<'_, bool> {
        self.store.withdraw(prompt_id)
    }
    fn get(&self, prompt_id: &str) -> StoreFuture<'_, Option<Record>> {
        self.store.get(prompt_id)
    }
    fn by_key(&self, key: &str) -> StoreFuture<'_, Option<Record>> {
        self.store.by_key(key)
    }
    fn list(&self, filter: Filter) -> StoreFuture<'_, Page> {
        self.store.list(filter)
    }
    fn open(&self, after: Option<&str>, limit: u32) -> StoreFuture<'_, Vec<Record>> {
        self.store.open(after, limit)
    }
    fn delete(&self, prompt_id: &str) -> StoreFuture<'_, Deleted> {
        self.store.delete(prompt_id)
    }
    fn prune(&self, retention: Retention) -> StoreFuture<'_, usize> {
        self.store.prune(retention)
    }
    fn reserve_event_ids(&self, from: u64, count: u64) -> StoreFuture<'_, u64> {
        self.store.reserve_event_ids(from, count)
    }
    fn add_upload(&self, upload: Upload) -> StoreFuture<'_, ()> {
        self.store.add_upload(upload)
    }
    fn uploads(&self, limit: u32, after: Option<i64>) -> StoreFuture<'_, UploadPage> {
        self.store.uploads(limit, after)
    }
    fn upload_use(&self, filename: &str) -> StoreFuture<'_, UploadUse> {
        self.store.upload_use(filename)
    }
    fn delete_upload(&self, filename: &str) -> StoreFuture<'_, bool> {
        self.store.delete_upload(filename)
    }
    fn uploads_named(&self, filenames: Vec<String>) -> StoreFuture<'_, Vec<Upload>> {
        self.store.uploads_named(filenames)
    }
    fn prune_uploads(&self, before: i64) -> StoreFuture<'_, usize> {
        self.store.prune_uploads(before)
    }
    fn keep_output(&self, prompt_id: &str, kept: KeptOutput) -> StoreFuture<'_, bool> {
        self.store.keep_output(prompt_id, kept)
    }
    fn all_outputs_kept(&self, prompt_id: &str) -> StoreFuture<'_, ()> {
        self.store.all_outputs_kept(prompt_id)
    }
    fn unkept(&self, after: Option<i64>, limit: u32) -> StoreFuture<'_, Vec<UnkeptJob>> {
        self.store.unkept(after, limit)
    }
    fn kept_output(&self, file: &OutputFile) -> StoreFuture<'_, Option<KeptOutput>> {
        self.store.kept_output(file)
    }
    fn record_output_content(
        &self,
        prompt_id: &str,
        file: &OutputFile,
        content: OutputContent,
    ) -> StoreFuture<'_, bool> {
        self.store.record_output_content(prompt_id, file, content)
    }
    fn output_content(&self, prompt_id: &str, file: &OutputFile) -> StoreFuture<'_, Option<OutputContent>> {
        self.store.output_content(prompt_id, file)
    }
    fn add_asset(&self, asset: AssetRecord) -> StoreFuture<'_, ()> {
        self.store.add_asset(asset)
    }
    fn asset(&self, id: &str) -> StoreFuture<'_, Option<AssetRecord>> {
        self.store.asset(id)
    }
    fn asset_with_hash(&self, hash: &str) -> StoreFuture<'_, Option<AssetRecord>> {
        self.store.asset_with_hash(hash)
    }
    fn assets_named(&self, file_paths: Vec<String>) -> StoreFuture<'_, Vec<AssetRecord>> {
        self.store.assets_named(file_paths)
    }
    fn delete_asset(&self, id: &str) -> StoreFuture<'_, bool> {
        self.store.delete_asset(id)
    }
    fn prune_assets(&self, before: i64) -> StoreFuture<'_, usize> {
        self.store.prune_assets(before)
    }
    fn unreferenced(&self, hashes: Vec<String>) -> StoreFuture<'_, Vec<String>> {
        self.store.unreferenced(hashes)
    }
    fn close(&self) -> StoreFuture<'_, ()> {
        self.store.close()
    }
    fn durations(&self, workflow_id: &str) -> StoreFuture<'_, Durations> {
        self.store.durations(workflow_id)
    }
    fn remember_durations(&self, workflow_id: &str, durations: Durations) -> StoreFuture<'_, ()> {
        self.store.remember_durations(workflow_id, durations)
    }
    fn job_times(&self) -> StoreFuture<'_, JobTimes> {
        self.store.job_times()
    }
    fn remember_job_times(&self, times: JobTimes) -> StoreFuture<'_, ()> {
        self.store.remember_job_times(times)
    }
    fn draining(&self) -> StoreFuture<'_, Vec<String>> {
        self.store.draining()
    }
    fn set_draining(&self, comfyui: &str, draining: bool) -> StoreFuture<'_, ()> {
        self.store.set_draining(comfyui, draining)
    }

    fn ended_sessions(&self) -> StoreFuture<'_, Vec<EndedSession>> {
        self.store.ended_sessions()
    }

    fn end_session(&self, session: EndedSession, now: i64) -> StoreFuture<'_, ()> {
        self.store.end_session(session, now)
    }
}
