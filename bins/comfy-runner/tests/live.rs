//! Against a real ComfyUI with `fixtures/comfyui_test_nodes` installed, when `COMFYUI_URL` names one:
//! `COMFYUI_URL=http://127.0.0.1:8188 just test-live`. The test of a restart also wants `COMFYUI_RESTART`, a shell
//! command that restarts that ComfyUI and returns at once.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Api, Form, png, settings};
use tempfile::TempDir;

/// The real ComfyUI, or nothing and a word about it.
fn comfyui() -> Option<String> {
    let url = std::env::var("COMFYUI_URL").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        eprintln!("SKIPPED: COMFYUI_URL is not set");
    }
    url
}

/// A number that no earlier run used, so that nothing is cached unless a test wants it to be.
fn fresh() -> u64 {
    u64::from(rand::random::<u32>())
}

fn write_workflow(library: &Path, id: &str, manifest: &str, graph: &Value) {
    let folder = library.join(id);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("manifest.yaml"), format!("id: {id}\nname: {id}\n{manifest}")).unwrap();
    std::fs::write(folder.join("workflow.json"), graph.to_string()).unwrap();
}

fn library() -> TempDir {
    let library = tempfile::tempdir().unwrap();
    let empty = |frames: u32| json!({"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": frames, "color": 255}});
    let work = json!({"class_type": "RunnerTestProgress", "_meta": {"title": "Work"}, "inputs":
        {"image": ["1", 0], "steps": "{{steps}}", "delay_ms": "{{delay_ms}}", "seed": "{{seed}}", "preview": true}});
    let save = |from: &str| json!({"class_type": "SaveImage", "_meta": {"title": "Save"}, "inputs": {"images": [from, 0], "filename_prefix": "x"}});
    let inputs = "inputs:\n  - {id: steps, type: int, default: 5}\n  - {id: delay_ms, type: int, default: 20}\n  \
                  - {id: seed, type: seed, default: -1}\n";
    write_workflow(library.path(), "work", inputs, &json!({"1": empty(1), "2": work, "3": save("2")}));
    let fails = json!({"class_type": "RunnerTestFail", "_meta": {"title": "Breaks"}, "inputs": {"image": ["2", 0], "message": "it broke"}});
    write_workflow(
        library.path(),
        "fails",
        inputs,
        &json!({"1": empty(1), "2": work, "3": fails, "4": save("3")}),
    );
    let scale = json!({"class_type": "ImageScale", "_meta": {"title": "Resize"}, "inputs":
        {"image": ["1", 0], "upscale_method": "nope", "width": 8, "height": 8, "crop": "disabled"}});
    write_workflow(library.path(), "refused", "", &json!({"1": empty(1), "2": scale, "3": save("2")}));
    write_workflow(
        library.path(),
        "partly",
        inputs,
        &json!({"1": empty(1), "2": work, "3": save("2"), "4": scale, "5": save("4")}),
    );
    let videos = json!({
        "1": empty(12),
        "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 6.0}},
        "3": {"class_type": "SaveVideo", "inputs": {"video": ["2", 0], "filename_prefix": "x", "format": "mp4", "codec": "h264"}},
        "4": {"class_type": "SaveWEBM", "inputs": {"images": ["1", 0], "filename_prefix": "x", "codec": "vp9", "fps": 6.0, "crf": 32.0}},
        "5": {"class_type": "SaveAnimatedWEBP", "inputs": {"images": ["1", 0], "filename_prefix": "x", "fps": 6.0, "lossless": true, "quality": 80, "method": "default"}},
    });
    for (id, node) in [("mp4", "3"), ("webm", "4"), ("webp", "5")] {
        write_workflow(
            library.path(),
            id,
            &format!("outputs:\n  - {{type: video, node_id: {node}}}\n"),
            &videos,
        );
    }
    write_workflow(
        library.path(),
        "load",
        "inputs:\n  - {id: photo, type: image, required: true, node_id: 1, field: image}\n",
        &json!({"1": {"class_type": "LoadImage", "inputs": {"image": "none.png"}}, "2": save("1")}),
    );
    library
}

fn id_of(job: &Value) -> &str {
    job["prompt_id"].as_str().unwrap()
}

#[actix_rt::test]
async fn a_workflow_runs_with_progress_and_again_from_the_cache() {
    let Some(url) = comfyui() else { return };
    let library = library();
    let api = Api::start_with(&settings(&url), library.path());
    assert_eq!(api.get("/ready").await.status, 200);
    let params = json!({"steps": 40, "delay_ms": 20, "seed": fresh()});

    let job = api.execute("work", params.clone()).await;
    let running = api.wait_until(id_of(&job), |status| status["step"].as_u64() > Some(3)).await;
    assert_eq!((running["node_title"].as_str(), running["total_steps"].as_u64()), (Some("Work"), Some(40)));
    let done = api.wait(id_of(&job)).await;
    assert_eq!(done["outputs"]["image"]["filename"], "final_00001_.png", "{done}");
    let result = api.get(&format!("/api/run/result/{}", id_of(&job))).await;
    assert_eq!((result.status.as_u16(), result.header("content-type")), (200, "image/png"));

    // The same again into a folder of its own: all but the last node is cached.
    let again = api.execute("work", params).await;
    assert_eq!(api.wait(id_of(&again)).await["status"], "completed");
    // Another server knows both from ComfyUI's history alone.
    let other = Api::start_with(&settings(&url), library.path());
    assert_eq!(other.get(&format!("/api/run/status/{}", id_of(&job))).await.json(), done);
    api.stop().await;
    other.stop().await;
}

#[actix_rt::test]
async fn a_failing_node_is_an_error_that_names_it() {
    let Some(url) = comfyui() else { return };
    let library = library();
    let api = Api::start_with(&settings(&url), library.path());
    let job = api.execute("fails", json!({"seed": fresh()})).await;
    let status = api.wait(id_of(&job)).await;
    assert_eq!(status["status"], "error");
    let error = status["error"].as_str().unwrap();
    assert!(error.contains("Breaks") && error.contains("it broke") && !error.contains(".py"), "{error}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_graph_that_comfyui_refuses_is_400_and_one_that_it_takes_in_part_warns() {
    let Some(url) = comfyui() else { return };
    let library = library();
    let api = Api::start_with(&settings(&url), library.path());
    let refused = api.post("/api/run/refused/execute", Form::new()).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.detail().contains("\"Resize\"") && refused.detail().contains("upscale_method"),
        "{}",
        refused.detail()
    );
    assert_eq!(refused.json()["node_errors"]["2"]["errors"][0]["type"], "value_not_in_list");

    let partly = api.execute("partly", json!({"seed": fresh()})).await;
    assert!(partly["warnings"][0].as_str().unwrap().contains("Resize"), "{partly}");
    assert_eq!(api.wait(id_of(&partly)).await["status"], "completed");
    api.stop().await;
}

#[actix_rt::test]
async fn films_are_films_whatever_they_are_reported_as_and_a_browser_can_seek_in_them() {
    let Some(url) = comfyui() else { return };
    let library = library();
    let api = Api::start_with(&settings(&url), library.path());
    for (id, media_type, magic) in [
        ("mp4", "video/mp4", &b"ftyp"[..]),
        ("webm", "video/webm", b"\x1aE\xdf\xa3"),
        ("webp", "image/webp", b"WEBP"),
    ] {
        let job = api.execute(id, json!({})).await;
        let status = api.wait(id_of(&job)).await;
        assert_eq!(status["status"], "completed", "{status}");
        assert!(status["outputs"]["video"]["filename"].is_string(), "{status}");
        let path = format!("/api/run/result/{}", id_of(&job));
        let whole = api.get(&path).await;
        assert_eq!((whole.status.as_u16(), whole.header("content-type")), (200, media_type));
        assert!(whole.body[..16].windows(magic.len()).any(|window| window == magic), "{id}");
        let part = api.get_with(&path, &[("range", "bytes=4-11")]).await;
        assert_eq!(part.status, 206, "{id}");
        assert_eq!(part.header("content-range"), format!("bytes 4-11/{}", whole.body.len()));
        assert_eq!(part.body, whole.body[4..12]);
        let head = api.head(&path).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        let fresh = api.get_with(&path, &[("if-none-match", whole.header("etag"))]).await;
        assert_eq!(fresh.status, 304, "{id}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn an_upload_reaches_comfyui_and_runs() {
    let Some(url) = comfyui() else { return };
    let library = library();
    let api = Api::start_with(&settings(&url), library.path());
    let form = Form::new().params(json!({})).file("photo", "my photo.png", &png());
    let reply = api.post("/api/run/load/execute", form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(api.wait(id_of(&reply.json())).await["status"], "completed");

    let uploaded =
        api.post("/api/run/upload-image", Form::new().file("file", "my photo.png", &png())).await.json();
    let name = uploaded["filename"].as_str().unwrap();
    assert_eq!(api.get(&format!("/api/comfyui/view?filename={name}")).await.body, png());
    let job = api.execute("load", json!({"_existing_input_image": name})).await;
    assert_eq!(api.wait(id_of(&job)).await["status"], "completed");
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_somebody_interrupts_on_comfyui_is_cancelled() {
    let Some(url) = comfyui() else { return };
    let library = library();
    let api = Api::start_with(&settings(&url), library.path());
    let job = api.execute("work", json!({"steps": 500, "delay_ms": 20, "seed": fresh()})).await;
    api.wait_until(id_of(&job), |status| status["step"].as_u64() > Some(1)).await;
    let body = json!({"prompt_id": id_of(&job)});
    assert!(api.http.post(format!("{url}/interrupt")).send_json(&body).await.unwrap().status().is_success());
    assert_eq!(api.wait(id_of(&job)).await["status"], "cancelled");
    api.stop().await;
}

#[actix_rt::test]
async fn a_comfyui_that_restarts_in_the_middle_of_a_job_leaves_no_job_running() {
    let Some(url) = comfyui() else { return };
    let Ok(restart) = std::env::var("COMFYUI_RESTART") else {
        eprintln!("SKIPPED: COMFYUI_RESTART is not set");
        return;
    };
    let library = library();
    let api = Api::start_with(&settings(&url), library.path());
    let job = api.execute("work", json!({"steps": 2000, "delay_ms": 50, "seed": fresh()})).await;
    api.wait_until(id_of(&job), |status| status["step"].as_u64() > Some(1)).await;
    let restarted = std::process::Command::new("sh").args(["-c", &restart]).status().unwrap();
    assert!(restarted.success());
    let status = api.wait(id_of(&job)).await;
    assert_eq!(status["status"], "error");
    assert!(status["error"].as_str().unwrap().contains("restarted"), "{status}");
    // And it goes on as soon as ComfyUI is back.
    let started = Instant::now();
    while api.get("/ready").await.status != 200 {
        assert!(started.elapsed() < Duration::from_secs(120), "ComfyUI did not come back");
        actix_rt::time::sleep(Duration::from_millis(500)).await;
    }
    let job = api.execute("work", json!({"seed": fresh()})).await;
    assert_eq!(api.wait(id_of(&job)).await["status"], "completed");
    api.stop().await;
}
