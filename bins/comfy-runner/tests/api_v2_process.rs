//! The Comfy API v2 of a server that is a process of its own: what it needs of memory, and what is left of a job when it is
//! killed.

mod support;

use std::sync::Mutex;
use std::sync::mpsc;

use actix_web::web::Bytes;
use comfy_runner_files::ContentHash;
use futures::{StreamExt as _, stream};
use mockito::Matcher;
use serde_json::{Value, json};
use support::process::Served;
use support::{Form, PATIENCE, Reply, simulator};

fn http() -> awc::Client {
    awc::Client::builder().timeout(PATIENCE).disable_redirects().finish()
}

/// A graph of about 4.9 KB that no job had before.
fn graph(color: u64) -> Value {
    let mut graph = json!({"1": {"class_type": "EmptyImage", "inputs": {
        "width": 16, "height": 16, "batch_size": 1, "color": color}}});
    for number in 2..37 {
        graph[number.to_string()] = json!({"class_type": "ImageInvert",
            "_meta": {"title": format!("Invert Image, the step with the number {number} of this graph")},
            "inputs": {"image": [(number - 1).to_string(), 0]}});
    }
    graph["save"] = json!({"class_type": "SaveImage", "inputs": {"images": ["36", 0], "filename_prefix": "memory/final"}});
    graph
}

/// Runs a job with each of these colours, eight at once.
async fn run_jobs(http: &awc::Client, base: &str, colors: std::ops::Range<u64>) {
    let run = |color| async move {
        let body = json!({"workflow": graph(color)});
        let sent = http.post(format!("{base}/api/v2/jobs")).send_json(&body).await.unwrap();
        let job = Reply::from_response(sent).await.json();
        let url = format!("{base}/api/v2/jobs/{}", job["id"].as_str().unwrap());
        loop {
            let job = Reply::from_response(http.get(&url).send().await.unwrap()).await.json();
            match job["status"].as_str().unwrap() {
                "queued" | "running" => actix_rt::time::sleep(std::time::Duration::from_millis(20)).await,
                status => break assert_eq!(status, "succeeded", "{job}"),
            }
        }
    };
    stream::iter(colors).map(run).buffer_unordered(8).collect::<Vec<()>>().await;
}

/// 17: jobs that are over are on the disk.
#[cfg(target_os = "linux")]
#[actix_rt::test]
async fn graphs_of_finished_jobs_do_not_stay_in_memory() {
    const JOBS: u64 = 500;
    let size = graph(1).to_string().len();
    assert!((4900..5300).contains(&size), "{size}");
    let (simulator, state) = (simulator(), tempfile::tempdir().unwrap());
    let server = Served::start(&simulator.url(), state.path(), &[]);
    let http = http();
    // Buffers and caches are filled before anything counts.
    run_jobs(&http, &server.base, 0..450).await;
    let before = server.memory().resident;
    run_jobs(&http, &server.base, 450..450 + JOBS).await;
    let grown = server.memory().resident.saturating_sub(before);
    println!("{:.2} KiB per job", grown as f64 / JOBS as f64);
    // A fifth of what the official front needs, which is 26 KiB.
    assert!(grown * 10 <= JOBS * 52, "{grown} KiB for {JOBS} jobs");
}

/// 18: an upload is streamed into the file store.
#[cfg(target_os = "linux")]
#[actix_rt::test]
async fn large_uploads_do_not_grow_the_memory() {
    const SIZE: usize = 90 << 20;
    let (simulator, state) = (simulator(), tempfile::tempdir().unwrap());
    let server = Served::start(&simulator.url(), state.path(), &[]);
    let http = http();
    let file = vec![7; SIZE];
    let hash = format!("blake3:{}", ContentHash::of(&file));
    let form = Form::new().text("content_type", "application/octet-stream").text("file_path", "large.bin");
    let form = form.text("expected_hash", &hash).file("file", "large.bin", &file);
    drop(file);
    let (content_type, body) = (form.content_type(), Bytes::from(form.body()));
    let before = server.memory().resident;
    for at_once in [1, 4] {
        let upload = |_| {
            let request = http.post(format!("{}/api/v2/assets", server.base)).timeout(10 * PATIENCE);
            let sent = request.content_type(content_type.clone()).send_body(body.clone());
            async move { Reply::from_response(sent.await.unwrap()).await }
        };
        let replies = futures::future::join_all((0..at_once).map(upload)).await;
        for reply in replies {
            assert!(reply.status.is_success(), "{}", reply.text());
            let asset = reply.json();
            assert_eq!((&asset["size_bytes"], &asset["hash"]), (&json!(SIZE), &json!(hash)));
        }
        let grown = server.memory().peak.saturating_sub(before);
        println!("{at_once} at once: {grown} KiB");
        assert!(grown < 32 << 10, "{at_once} at once: {grown} KiB");
    }
}

/// 14: the record and the key are there before ComfyUI hears of the job.
#[actix_rt::test]
async fn a_job_that_comfyui_is_getting_when_the_server_is_killed_is_known_afterwards() {
    let mut comfyui = mockito::Server::new_async().await;
    let (arrived, arrival) = mpsc::channel();
    let (gate, closed) = mpsc::channel::<()>();
    let closed = Mutex::new(closed);
    comfyui
        .mock("POST", "/prompt")
        .with_body_from_request(move |request| {
            let prompt: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            arrived.send(prompt["prompt_id"].as_str().unwrap().to_owned()).unwrap();
            // The answer never comes.
            let _ = closed.lock().unwrap().recv();
            Vec::new()
        })
        .create_async()
        .await;
    let empty = json!({"queue_running": [], "queue_pending": []});
    comfyui.mock("GET", "/queue").with_body(empty.to_string()).create_async().await;
    comfyui.mock("GET", Matcher::Regex("^/history/".to_owned())).with_body("{}").create_async().await;
    let (state, http) = (tempfile::tempdir().unwrap(), http());
    let mut server = Served::start(&comfyui.url(), state.path(), &[]);
    let submit = |base: &str| {
        let request = http.post(format!("{base}/api/v2/jobs")).insert_header(("Idempotency-Key", "once"));
        request.send_json(&json!({"workflow": graph(1)}))
    };
    let submitting = actix_rt::spawn(submit(&server.base));
    let wait = move || arrival.recv_timeout(PATIENCE);
    let prompt_id = actix_web::rt::task::spawn_blocking(wait).await.unwrap().unwrap();
    server.kill();
    assert!(submitting.await.unwrap().is_err(), "nobody was answered");
    drop(gate);

    let server = Served::start(&comfyui.url(), state.path(), &[]);
    let get = async |path: &str| {
        Reply::from_response(http.get(format!("{}{path}", server.base)).send().await.unwrap()).await.json()
    };
    let listed = get("/api/v2/jobs").await;
    let ids: Vec<_> = listed["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect();
    assert_eq!(ids, [json!(prompt_id)], "the client finds it in the list");
    let again = Reply::from_response(submit(&server.base).await.unwrap()).await;
    assert_eq!(again.json()["error"]["code"], "idempotency_key_reuse");
    let workflow = get(&format!("/api/v2/jobs/{prompt_id}/workflow")).await;
    assert_eq!(workflow["workflow"], graph(1));
}
