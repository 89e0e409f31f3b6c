//! Files in the file store: uploads on their way to ComfyUI, and outputs that ComfyUI no longer has.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use comfy_runner::server::Settings;
use comfy_runner_client::Config;
use comfy_runner_files::{FileStore as _, Location, ObjectFiles};
use comfy_runner_jobs::{ComfyUi, FilesConfig, JobsConfig};
use comfy_runner_simulator::Simulator;
use comfy_runner_store::{Sqlite, Store as _};
use futures::StreamExt as _;
use serde_json::{Value, json};
use support::{Api, Form, Reply, eventually, files_below, fixtures, png, settings, simulator, uploaded};
use tempfile::TempDir;

/// A server's state that outlives it.
struct State {
    folder: TempDir,
    store: Sqlite,
}

impl State {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap(), store: Sqlite::in_memory().unwrap() }
    }

    fn files(&self) -> ObjectFiles {
        ObjectFiles::open(&Location::Folder(self.folder.path().join("files"))).unwrap()
    }

    fn settings(&self, comfyui: &str) -> Settings {
        let files = FilesConfig::new(Arc::new(self.files()));
        Settings { store: Arc::new(self.store.clone()), files, ..settings(comfyui) }
    }

    /// Starts a server that stores uploads.
    fn with_uploads(&self, comfyui: &str) -> Api {
        let mut settings = self.settings(comfyui);
        settings.files = settings.files.with_uploads(true);
        start(&settings)
    }

    /// Starts a server that copies outputs.
    fn with_outputs(&self, comfyui: &str) -> Api {
        let mut settings = self.settings(comfyui);
        settings.files = settings.files.with_outputs(true);
        start(&settings)
    }

    fn stored(&self) -> usize {
        files_below(&self.folder.path().join("files")).len()
    }
}

fn start(settings: &Settings) -> Api {
    Api::start_with(settings, &fixtures().join("workflows"))
}

async fn upload(api: &Api, name: &str) -> String {
    let reply = api.post("/api/run/upload-image", Form::new().file("file", name, &png())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["filename"].as_str().unwrap().to_owned()
}

/// Runs a job that reads an upload.
async fn run(api: &Api, upload: &str, seed: u32) -> Value {
    let job = api
        .execute("image-to-image", json!({"prompt": "a fox", "seed": seed, "_existing_image": upload}))
        .await;
    let status = api.wait(job["prompt_id"].as_str().unwrap()).await;
    assert_eq!(status["status"], "completed", "{status}");
    job
}

fn view(name: &str) -> String {
    format!("/api/comfyui/view?type=input&filename={name}")
}

fn delete_inputs(simulator: &Simulator) {
    for name in uploaded(simulator) {
        std::fs::remove_file(simulator.data_dir().join("input").join(name)).unwrap();
    }
}

#[actix_rt::test]
async fn an_upload_is_sent_to_comfyui_when_a_job_needs_it_and_once() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let name = upload(&api, "fox.png").await;
    assert!(name.ends_with("_fox.png"), "{name}");
    assert!(uploaded(&simulator).is_empty(), "no job needs it yet");
    let shown = api.get(&view(&name)).await;
    assert_eq!((shown.status.as_u16(), shown.header("content-type")), (200, "image/png"));
    assert_eq!(shown.body, png());

    run(&api, &name, 1).await;
    assert_eq!(uploaded(&simulator), [name.as_str()]);
    let path = simulator.data_dir().join("input").join(&name);
    assert_eq!(std::fs::read(&path).unwrap(), png());
    let sent = std::fs::metadata(&path).unwrap().modified().unwrap();
    run(&api, &name, 2).await;
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), sent, "it was not sent again");
    api.stop().await;

    // The next server does not know what ComfyUI has, and asks.
    let api = state.with_uploads(&simulator.url());
    run(&api, &name, 3).await;
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), sent);
    api.stop().await;
}

#[actix_rt::test]
async fn the_same_content_is_stored_and_sent_once_whatever_it_is_called() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let (first, second) = (upload(&api, "fox.png").await, upload(&api, "dog.png").await);
    assert_ne!(first, second);
    assert_eq!(state.stored(), 1);
    let job = run(&api, &first, 1).await;
    let again = run(&api, &second, 1).await;
    assert_eq!(uploaded(&simulator), [first.as_str()]);
    // The record names the file as its caller does.
    let record = api.get(&format!("/api/jobs/{}", again["prompt_id"].as_str().unwrap())).await.json();
    assert_eq!(record["input_files"], json!([second]));
    assert!(record["graph"].to_string().contains(&second), "{record}");
    assert_ne!(job["prompt_id"], again["prompt_id"]);
    api.stop().await;
}

#[actix_rt::test]
async fn jobs_that_need_a_file_at_the_same_time_send_it_once() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let names = [upload(&api, "a.png").await, upload(&api, "b.png").await, upload(&api, "c.png").await];
    let jobs = (0..9).map(|n| run(&api, &names[n % 3], n as u32));
    futures::future::join_all(jobs).await;
    assert_eq!(uploaded(&simulator).len(), 1);
    api.stop().await;
}

#[actix_rt::test]
async fn with_several_comfyuis_an_upload_is_on_each_that_runs_a_job_with_it() {
    let (simulators, state) = ([simulator(), simulator()], State::new());
    let mut settings = state.settings("http://127.0.0.1:9");
    settings.comfyuis = ["a", "b"]
        .iter()
        .zip(&simulators)
        .map(|(name, simulator)| {
            ComfyUi::new(name, Config::new(simulator.url().parse().unwrap())).unwrap().with_depth(1)
        })
        .collect();
    settings.api_keys = vec!["secret".into()];
    // No `--files`: there are two ComfyUIs, which is reason enough.
    let api = start(&settings);
    let form = Form::new().file("file", "fox.png", &png());
    let request =
        api.http.post(format!("{}/api/run/upload-image", api.base)).content_type(form.content_type());
    let reply = Reply::from_response(
        request.insert_header(("x-api-key", "secret")).send_body(form.body()).await.unwrap(),
    )
    .await;
    let name = reply.json()["filename"].as_str().unwrap().to_owned();
    assert!(simulators.iter().all(|simulator| uploaded(simulator).is_empty()));
    let upload = state.store.uploads_named(vec![name.clone()]).await.unwrap().remove(0);
    assert!(upload.hash.is_some() && upload.caller.is_some_and(|caller| !caller.contains("secret")));

    let call = async |request: awc::ClientRequest, body: String| {
        let request = request.insert_header(("x-api-key", "secret")).content_type("application/json");
        Reply::from_response(request.send_body(body).await.unwrap()).await
    };
    let mut jobs = Vec::new();
    for seed in 0..12 {
        let params =
            json!({"prompt": "a fox", "seed": seed, "steps": 4, "_existing_image": name}).to_string();
        let reply = call(api.http.post(format!("{}/api/run/image-to-image/execute", api.base)), params).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        jobs.push(reply.json()["prompt_id"].as_str().unwrap().to_owned());
    }
    for prompt_id in jobs {
        let status = format!("{}/api/run/status/{prompt_id}", api.base);
        loop {
            let status = call(api.http.get(&status), String::new()).await.json();
            match status["status"].as_str() {
                Some("completed") => break,
                Some("pending" | "running") => actix_rt::time::sleep(Duration::from_millis(5)).await,
                _ => panic!("{status}"),
            }
        }
    }
    for simulator in &simulators {
        assert_eq!(uploaded(simulator), [name.as_str()]);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_file_that_comfyui_lost_is_sent_again() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let name = upload(&api, "fox.png").await;
    run(&api, &name, 1).await;
    delete_inputs(&simulator);
    run(&api, &name, 2).await;
    assert_eq!(uploaded(&simulator), [name]);
    api.stop().await;
}

#[actix_rt::test]
async fn a_file_that_was_never_uploaded_is_refused_by_comfyui_as_without_a_store() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let form = Form::new().params(json!({"prompt": "a fox", "_existing_image": "nowhere.png"}));
    let reply = api.post("/api/run/image-to-image/execute", form).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("nowhere.png"), "{}", reply.text());
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_whose_file_is_gone_from_the_store_is_not_accepted() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let name = upload(&api, "fox.png").await;
    for file in files_below(&state.folder.path().join("files")) {
        std::fs::remove_file(file).unwrap();
    }
    let form = Form::new().params(json!({"prompt": "a fox", "_existing_image": name}));
    let reply = api.post("/api/run/image-to-image/execute", form).await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    assert!(reply.detail().contains("upload it again"), "{}", reply.detail());
    assert_eq!(api.get("/api/jobs").await.json()["jobs"], json!([]));
    api.stop().await;
}

#[actix_rt::test]
async fn an_upload_that_is_too_large_or_no_media_is_not_stored() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let mut large = png();
    large.resize(2 << 20, 0);
    for (name, bytes, status) in
        [("large.png", large, 413), ("empty.png", vec![], 400), ("page.png", b"<html>".to_vec(), 400)]
    {
        let reply =
            api.post_unmeasured("/api/run/upload-image", Form::new().file("file", name, &bytes)).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
    }
    eventually("nothing is left", || state.stored() == 0).await;
    assert_eq!(api.get("/api/files").await.json()["files"], json!([]));
    api.stop().await;
}

/// Waits until this many outputs are copied.
async fn copied(state: &State, files: usize) {
    let (store, all) = (state.files(), std::cell::Cell::new(0));
    while all.get() < files {
        all.set(store.list().count().await);
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    // The record is written after the file.
    let unkept = async || state.store.unkept(None, 10).await.unwrap().len();
    while unkept().await > 0 {
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The paths by which a job's files can be downloaded.
async fn paths(api: &Api, prompt_id: &str) -> Vec<String> {
    let files = api.get(&format!("/api/jobs/{prompt_id}/files")).await.json();
    let url = files["files"][0]["url"].as_str().unwrap().to_owned();
    vec![format!("/api/run/result/{prompt_id}"), url]
}

fn range_headers(reply: &Reply) -> (u16, &str, &str) {
    (reply.status.as_u16(), reply.header("content-range"), reply.header("content-length"))
}

#[actix_rt::test]
async fn outputs_outlive_their_comfyui() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_outputs(&simulator.url());
    let job = api.execute("no-model", json!({})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    let paths = paths(&api, prompt_id).await;
    let made = files_below(&simulator.data_dir().join("output"));
    let made = std::fs::read(&made[0]).unwrap();
    copied(&state, 1).await;
    drop(simulator);

    for path in &paths {
        let whole = api.get(path).await;
        assert_eq!(
            (whole.status.as_u16(), whole.header("content-type")),
            (200, "image/png"),
            "{}",
            whole.text()
        );
        assert!(whole.header("content-disposition").starts_with("inline; filename="));
        assert_eq!(whole.body, made);
        let length = made.len();

        let part = api.get_with(path, &[("range", "bytes=10-19")]).await;
        assert_eq!(range_headers(&part), (206, format!("bytes 10-19/{length}").as_str(), "10"));
        assert_eq!(part.body, made[10..20]);
        let beyond = api.get_with(path, &[("range", "bytes=99999999-")]).await;
        assert_eq!(
            (beyond.status.as_u16(), beyond.header("content-range")),
            (416, &*format!("bytes */{length}"))
        );

        let head = api.head(path).await;
        assert_eq!((head.status.as_u16(), head.header("content-length")), (200, &*length.to_string()));
        let etag = whole.header("etag");
        assert_eq!(api.get_with(path, &[("if-none-match", etag)]).await.status, 304);
        let changed = api.get_with(path, &[("range", "bytes=0-3"), ("if-range", "\"other\"")]).await;
        assert_eq!(changed.status, 200);
    }
    let package = api.get(&format!("/api/jobs/{prompt_id}/package")).await;
    assert_eq!(package.status, 200);
    assert!(package.body.windows(made.len()).any(|window| window == made), "the package has the file");
    assert!(!String::from_utf8_lossy(&package.body).contains("missing.json"));
    api.stop().await;
}

#[actix_rt::test]
async fn outputs_of_an_earlier_process_are_copied_at_the_start() {
    let (simulator, state) = (simulator(), State::new());
    let api = start(&state.settings(&simulator.url()));
    let mut jobs = Vec::new();
    for n in 0..3 {
        let job = api.execute("test-progress", json!({"steps": 1 + n, "delay_ms": 0, "seed": n})).await;
        let prompt_id = job["prompt_id"].as_str().unwrap().to_owned();
        assert_eq!(api.wait(&prompt_id).await["status"], "completed");
        jobs.push(prompt_id);
    }
    api.stop_gracefully().await;
    assert_eq!(state.stored(), 0);
    assert_eq!(state.store.unkept(None, 10).await.unwrap().len(), 3);
    // The file of one is gone meanwhile, which does not keep the others from being copied.
    let gone = files_below(&simulator.data_dir().join("output")).pop().unwrap();
    std::fs::remove_file(gone).unwrap();

    let api = state.with_outputs(&simulator.url());
    copied(&state, 1).await;
    drop(simulator);
    let mut found = 0;
    for prompt_id in &jobs {
        found += usize::from(api.get(&format!("/api/run/result/{prompt_id}")).await.status == 200);
    }
    assert_eq!(found, 2);
    api.stop().await;
}

/// Makes every stored file look as if it had been stored two hours ago.
fn age(folder: &Path) {
    for path in files_below(folder) {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    }
}

async fn gc(api: &Api, query: &str) -> Value {
    let reply = api.post_body(&format!("/api/files/gc{query}"), "application/json".into(), "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

#[actix_rt::test]
async fn a_file_is_deleted_when_its_last_record_is_gone_and_it_is_not_new() {
    let (simulator, state) = (simulator(), State::new());
    let api = state.with_uploads(&simulator.url());
    let (first, second) = (upload(&api, "fox.png").await, upload(&api, "dog.png").await);
    let size = png().len();
    age(state.folder.path());
    assert_eq!(api.delete(&format!("/api/files/{first}")).await.status, 200);
    let nothing = json!({"dry_run": false, "files": 0, "bytes": 0, "unfinished": 0, "kept_files": 1, "kept_bytes": size});
    assert_eq!(gc(&api, "").await, nothing);
    assert_eq!(api.delete(&format!("/api/files/{second}")).await.status, 200);
    assert_eq!(state.stored(), 0, "the last record took the file with it");

    // A record that disappears in another way.
    let third = upload(&api, "cat.png").await;
    assert!(state.store.delete_upload(&third).await.unwrap());
    assert_eq!(gc(&api, "").await, nothing, "its record may be about to be written");
    age(state.folder.path());
    let something = json!({"dry_run": true, "files": 1, "bytes": size, "unfinished": 0, "kept_files": 0, "kept_bytes": 0});
    assert_eq!(gc(&api, "?dry_run=true").await, something);
    assert_eq!(state.stored(), 1);
    assert_eq!(gc(&api, "").await["files"], 1);
    assert_eq!(state.stored(), 0);
    assert_eq!(api.post_body("/api/files/gc?dry_run=maybe", "".into(), "").await.status, 400);
    api.stop().await;
}

#[actix_rt::test]
async fn old_uploads_go_when_no_recorded_job_reads_them() {
    let (simulator, state) = (simulator(), State::new());
    let mut settings = state.settings(&simulator.url());
    settings.files = settings.files.with_uploads(true);
    // Every record is too old at once.
    settings.jobs = JobsConfig::default().with_retention(Some(Duration::ZERO), None);
    let api = start(&settings);
    let (read, unread) = (upload(&api, "fox.png").await, upload(&api, "dog.png").await);
    let form = Form::new().params(json!({"prompt": "a fox", "steps": 2, "_existing_image": read}));
    let job = api.post("/api/run/image-to-image/execute", form).await.json();
    api.wait(job["prompt_id"].as_str().unwrap()).await;
    age(state.folder.path());
    gc(&api, "").await;
    let left = api.get("/api/files").await.json();
    assert!(left.to_string().contains(&read) && !left.to_string().contains(&unread), "{left}");
    assert_eq!(api.get(&view(&read)).await.body, png(), "the same content is still needed");
    assert_eq!(api.delete(&format!("/api/jobs/{}", job["prompt_id"].as_str().unwrap())).await.status, 204);
    assert_eq!(gc(&api, "").await["files"], 1);
    assert_eq!(state.stored(), 0);
    api.stop().await;
}
