//! Tasks that follow jobs and fail: started again, or the end of the server, and known to `/ready` meanwhile.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use comfy_runner::server::{ServeError, Server};
use comfy_runner_progress::Durations;
use comfy_runner_protocol::OutputFile;
use comfy_runner_scheduler::JobTimes;
use comfy_runner_store::{
    AssetRecord, Created, Deleted, Filter, KeptOutput, Outcome, Page, Record, Retention, Sqlite, Store,
    StoreFuture, UnkeptJob, Upload, UploadPage, UploadUse,
};
use comfy_runner_workflow::Workflows;
use serde_json::json;
use support::{Api, fixtures, settings, simulator};

/// A store that panics as often as it is to when it is to write what became of jobs.
struct Panicking {
    store: Sqlite,
    panics: AtomicU32,
}

impl Panicking {
    fn new(panics: u32) -> Arc<Self> {
        Arc::new(Self { store: Sqlite::in_memory().unwrap(), panics: AtomicU32::new(panics) })
    }
}

impl Store for Panicking {
    fn identity(&self) -> &str {
        self.store.identity()
    }
    fn create(&self, record: Record) -> StoreFuture<'_, Created> {
        self.store.create(record)
    }
    fn update(&self, outcomes: Vec<(String, Outcome)>) -> StoreFuture<'_, ()> {
        let left = self.panics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "a panic made on purpose");
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
    fn durations(&self, workflow_id: &str) -> StoreFuture<'_, Durations> {
        self.store.durations(workflow_id)
    }
    fn remember_durations(&self, workflow_id: &str, durations: Durations) -> StoreFuture<'_, ()> {
        self.store.remember_durations(workflow_id, durations)
    }
}

#[actix_rt::test]
async fn a_task_that_panics_is_started_again_and_readiness_says_so_meanwhile() {
    let simulator = simulator();
    let store = Panicking::new(1);
    let mut settings = settings(&simulator.url());
    settings.store = Arc::clone(&store) as _;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    assert_eq!(api.get("/ready").await.status, 200);
    let job = api.execute("test-progress", json!({"steps": 2, "delay_ms": 0, "seed": 1})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    let ready = loop {
        let ready = api.get("/ready").await;
        if ready.status == 503 {
            break ready;
        }
    };
    assert_eq!(
        ready.detail(),
        "the task that writes what became of jobs has failed and is being started again"
    );
    while api.get("/ready").await.status != 200 {
        actix_rt::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let record = store.get(prompt_id).await.unwrap().unwrap();
    assert_eq!(
        record.summary.outcome.status.as_str(),
        "completed",
        "the task that was started again wrote it"
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_task_that_panics_again_and_again_ends_the_server_with_an_error() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.store = Panicking::new(6);
    let workflows = Arc::new(Workflows::open(fixtures().join("workflows")).unwrap());
    let server = Server::bind(&settings, workflows).unwrap();
    let base = format!("http://{}", server.address());
    let running = actix_rt::spawn(server.run());
    let form = support::Form::new().params(json!({"steps": 1, "delay_ms": 0, "seed": 1}));
    let request = awc::Client::new().post(format!("{base}/api/run/test-progress/execute"));
    let reply = request.content_type(form.content_type()).send_body(form.body()).await.unwrap();
    assert_eq!(reply.status(), 200);
    let Err(ServeError::Follow(error)) = running.await.unwrap() else { panic!("it ended well") };
    assert_eq!(error.task, "writes what became of jobs");
}
