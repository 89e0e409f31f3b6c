//! The files that callers uploaded, and the files of jobs: listed and deleted.

mod support;

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use comfy_runner::server::{ComfyUiFolders, Server, StartError};
use comfy_runner_api::{DeletedFile, DeletedJob, FileFate, UploadedFiles};
use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::{Api, Form, fixtures, png, settings, simulator, uploaded};

/// A server that knows the folders of its ComfyUI.
fn with_folders(simulator: &Simulator) -> Api {
    let mut settings = settings(&simulator.url());
    let folder = |name: &str| Some(simulator.data_dir().join(name));
    settings.folders = ComfyUiFolders { input: folder("input"), output: folder("output") };
    Api::start_with(&settings, &fixtures().join("workflows"))
}

async fn upload(api: &Api, name: &str) -> String {
    let reply = api.post("/api/run/upload-image", Form::new().file("file", name, &png())).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["filename"].as_str().unwrap().to_owned()
}

async fn listed(api: &Api, query: &str) -> UploadedFiles {
    let reply = api.get(&format!("/api/files{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

async fn delete(api: &Api, filename: &str) -> DeletedFile {
    let reply = api.delete(&format!("/api/files/{filename}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

fn output_files(simulator: &Simulator) -> usize {
    support::files_below(&simulator.data_dir().join("output")).len()
}

#[actix_rt::test]
async fn uploaded_files_are_listed_newest_first_however_they_came() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    assert_eq!(listed(&api, "").await, UploadedFiles::default());
    let first = upload(&api, "first.png").await;
    let form = Form::new().file("input_image", "second.png", &png());
    assert_eq!(api.post("/api/run/image-to-image/build", form).await.status, 200);
    let third = json!({"image": {"base64": BASE64_STANDARD.encode(png())}}).to_string();
    let reply = api.post_body("/api/run/image-to-image/build", "application/json".into(), third).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let files = listed(&api, "").await;
    assert_eq!(files.next_cursor, None);
    let [third, second, older] = &files.files[..] else { panic!("{files:?}") };
    assert!(second.filename.ends_with("_second.png"));
    assert_eq!(third.size, older.size);
    assert_eq!(older.filename, first);
    assert_eq!((older.size, older.media_type.as_str()), (png().len() as u64, "image/png"));
    assert!(older.uploaded_at.is_some());
    assert_eq!(api.get(&older.url).await.body, png());

    let page = listed(&api, "?limit=1").await;
    assert_eq!(page.files, files.files[..1]);
    let cursor = page.next_cursor.unwrap();
    let page = listed(&api, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!((&page.files[..], &page.next_cursor), (&files.files[1..], &None));
    for query in ["?limit=0", "?cursor=x", "?lim=3"] {
        assert_eq!(api.get(&format!("/api/files{query}")).await.status, 400, "{query}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn an_uploaded_file_is_deleted_where_the_server_knows_the_folder() {
    let simulator = simulator();
    let api = with_folders(&simulator);
    let (first, second) = (upload(&api, "first.png").await, upload(&api, "second.png").await);
    let deleted = delete(&api, &first).await;
    assert_eq!(deleted, DeletedFile { filename: first.clone(), file: FileFate::Deleted, reason: None });
    assert_eq!(uploaded(&simulator), [second.as_str()]);
    assert_eq!(listed(&api, "").await.files.len(), 1);
    let again = api.delete(&format!("/api/files/{first}")).await;
    assert_eq!(again.status, 404);
    assert_eq!(again.detail(), format!("no file \"{first}\" was uploaded here"));
    std::fs::remove_file(simulator.data_dir().join("input").join(&second)).unwrap();
    assert_eq!(delete(&api, &second).await.file, FileFate::Missing);
    api.stop().await;
}

#[actix_rt::test]
async fn without_the_folder_the_record_is_deleted_and_the_answer_says_that_the_file_stays() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let name = upload(&api, "a.png").await;
    let deleted = delete(&api, &name).await;
    assert_eq!(deleted.file, FileFate::Kept);
    assert!(deleted.reason.unwrap().contains("--comfyui-input-dir"));
    assert_eq!(listed(&api, "").await.files, []);
    assert_eq!(uploaded(&simulator), [name]);
    api.stop().await;
}

#[actix_rt::test]
async fn only_files_that_were_uploaded_here_can_be_deleted() {
    let simulator = simulator();
    let api = with_folders(&simulator);
    std::fs::write(simulator.data_dir().join("input/others.png"), png()).unwrap();
    std::fs::write(simulator.data_dir().join("secret.png"), png()).unwrap();
    for name in
        ["others.png", "..%2Fsecret.png", "%2E%2E%2Fsecret.png", "..%5Csecret.png", "%2Fetc%2Fpasswd", "."]
    {
        let reply = api
            .send_raw(
                format!("DELETE /api/files/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await;
        assert!(matches!(reply.status.as_u16(), 404 | 405), "{name}: {}", reply.text());
    }
    assert!(simulator.data_dir().join("secret.png").exists());
    assert_eq!(uploaded(&simulator), ["others.png"]);
    api.stop().await;
}

#[actix_rt::test]
async fn a_file_that_a_job_reads_is_deleted_only_after_the_job() {
    let simulator = simulator();
    let shelf = support::Shelf::new();
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "RunnerTestProgress", "inputs": {"image": ["1", 0], "steps": 10_000, "delay_ms": 20,
            "seed": 1, "preview": false}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    shelf.put("w", "id: w\ninputs:\n  - {id: image, type: image, node_id: 1, field: image}\n", &graph);
    let mut settings = settings(&simulator.url());
    settings.folders.input = Some(simulator.data_dir().join("input"));
    let api = Api::start_with(&settings, shelf.path());
    let name = upload(&api, "a.png").await;
    let job = api.execute("w", json!({"_existing_image": name})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    let reply = api.delete(&format!("/api/files/{name}")).await;
    assert_eq!(reply.status, 409);
    assert!(reply.detail().contains(prompt_id), "{}", reply.detail());
    assert_eq!(api.post(&format!("/api/run/cancel/{prompt_id}"), Form::new()).await.status, 200);
    assert_eq!(delete(&api, &name).await.file, FileFate::Deleted);
    api.stop().await;
}

async fn finished_job(api: &Api) -> String {
    let job = api.execute("no-model", json!({})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap().to_owned();
    assert_eq!(api.wait(&prompt_id).await["status"], "completed");
    prompt_id
}

#[actix_rt::test]
async fn the_files_of_a_job_are_deleted_with_its_record() {
    let simulator = simulator();
    let api = with_folders(&simulator);
    let (first, second) = (finished_job(&api).await, finished_job(&api).await);
    let all = output_files(&simulator);
    let of_first =
        api.get(&format!("/api/jobs/{first}/files")).await.json()["files"].as_array().unwrap().len();
    let reply = api.delete(&format!("/api/jobs/{first}?files=true")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let deleted: DeletedJob = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((deleted.prompt_id.as_str(), deleted.deleted_files), (first.as_str(), of_first as u64));
    assert_eq!(deleted.kept, []);
    assert_eq!(output_files(&simulator), all - of_first);
    assert_eq!(api.get(&format!("/api/jobs/{first}")).await.status, 404);
    assert_eq!(api.get(&format!("/api/run/result/{second}?output_type=image")).await.status, 200);
    assert_eq!(api.delete(&format!("/api/jobs/{first}?files=true")).await.status, 404);
    assert_eq!(api.delete(&format!("/api/jobs/{second}?files=yes")).await.status, 400);
    assert_eq!(api.delete(&format!("/api/jobs/{second}")).await.status, 204, "without files, they stay");
    assert_eq!(output_files(&simulator), all - of_first);
    api.stop().await;
}

#[actix_rt::test]
async fn files_of_jobs_are_not_deleted_without_the_folder_or_while_the_job_runs() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let job = finished_job(&api).await;
    let reply = api.delete(&format!("/api/jobs/{job}?files=true")).await;
    assert_eq!(reply.status, 501);
    assert!(reply.detail().contains("--comfyui-output-dir"), "{}", reply.detail());
    assert_eq!(api.get(&format!("/api/jobs/{job}")).await.status, 200, "the record stays");
    api.stop().await;

    let api = with_folders(&simulator);
    let before = output_files(&simulator);
    let job = api.execute("test-progress", json!({"steps": 10_000, "delay_ms": 20, "seed": 1})).await;
    let job = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.delete(&format!("/api/jobs/{job}?files=true")).await.status, 409);
    assert_eq!(output_files(&simulator), before);
    api.stop().await;
}

#[actix_rt::test]
async fn the_list_of_files_survives_a_restart() {
    let (simulator, state) = (simulator(), tempfile::tempdir().unwrap());
    let start = |simulator: &Simulator, state: &Path| {
        let mut settings = settings(&simulator.url());
        let store = comfy_runner_store::Sqlite::open(state).unwrap();
        settings.store = std::sync::Arc::new(store);
        (Api::start_with(&settings, &fixtures().join("workflows")), settings.store)
    };
    let (api, store) = start(&simulator, state.path());
    let name = upload(&api, "a.png").await;
    api.stop().await;
    store.close().await.unwrap();
    let (api, _) = start(&simulator, state.path());
    let files: Vec<Value> = api.get("/api/files").await.json()["files"].as_array().unwrap().clone();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0]["filename"], name);
    api.stop().await;
}

#[actix_rt::test]
async fn a_server_does_not_start_with_a_folder_that_is_none() {
    let mut settings = settings("http://127.0.0.1:9");
    settings.folders.output = Some("/no/such/folder".into());
    assert!(matches!(settings.check(), Err(StartError::Folder(_))));
    let workflows = comfy_runner_workflow::Workflows::open(fixtures().join("workflows")).unwrap();
    assert!(matches!(Server::bind(&settings, workflows.into()), Err(StartError::Folder(_))));
}
