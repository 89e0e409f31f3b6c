//! Assets of the Comfy API v2: uploads by their content, and outputs of jobs as inputs of others.

mod support;

use std::sync::Arc;

use comfy_runner_files::{ContentHash, Location, ObjectFiles};
use comfy_runner_jobs::FilesConfig;
use serde_json::{Value, json};
use support::api_v2::{UNKNOWN, id, post};
use support::{Api, Form, Reply, eventually, fixtures, png, settings, simulator, uploaded};

fn hash(bytes: &[u8]) -> String {
    format!("blake3:{}", ContentHash::of(bytes))
}

fn form(file_path: &str, bytes: &[u8]) -> Form {
    Form::new()
        .text("content_type", "image/png")
        .text("file_path", file_path)
        .text("expected_hash", &hash(bytes))
        .text("tags", "input")
        .file("file", file_path, bytes)
}

async fn upload(api: &Api, file_path: &str, bytes: &[u8]) -> Value {
    let reply = api.post("/api/v2/assets", form(file_path, bytes)).await;
    assert!(matches!(reply.status.as_u16(), 200 | 201), "{}", reply.text());
    reply.json()
}

fn code(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.json()["error"]["code"].as_str().unwrap().to_owned())
}

fn reference(asset: &Value) -> Value {
    json!({"__type": "core/ASSET", "info": {"id": asset["id"]}})
}

fn loads(image: Value) -> Value {
    json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": image}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "v2/inverted"}},
    })
}

/// Runs a graph and returns the job.
async fn run(api: &Api, workflow: Value) -> Value {
    let reply = post(api, "/api/v2/jobs", &json!({"workflow": workflow})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let submitted = reply.json();
    let url = format!("/api/run/status/{}", id(&submitted));
    loop {
        let status = api.get(&url).await.json();
        if !matches!(status["status"].as_str().unwrap(), "pending" | "running") {
            break;
        }
    }
    let job = api.get(&format!("/api/v2/jobs/{}", id(&submitted))).await.json();
    assert_eq!(job["status"], "succeeded", "{job}");
    job
}

async fn bytes(api: &Api, asset: &Value) -> Vec<u8> {
    let reply = api.get(asset["url"].as_str().unwrap().strip_prefix(api.base.as_str()).unwrap()).await;
    assert_eq!(reply.status, 200);
    reply.body
}

#[actix_rt::test]
async fn an_upload_is_stored_once_by_its_content_and_each_asset_has_its_own_name() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let png = png();
    let by_hash = format!("/api/v2/assets/by-hash/{}", hash(&png));
    assert_eq!(api.head(&by_hash).await.status, 404);
    let first = api.post("/api/v2/assets", form("red.png", &png)).await;
    assert_eq!(first.status, 201, "{}", first.text());
    let first = first.json();
    assert_eq!((&first["created_new"], &first["hash"]), (&json!(true), &json!(hash(&png))));
    assert_eq!((&first["size_bytes"], &first["expires_at"]), (&json!(png.len()), &Value::Null));
    assert_eq!(api.head(&by_hash).await.status, 200);
    assert_eq!(api.head(&by_hash.replace("blake3:", "blake3%3A")).await.status, 200);
    let again = api.post("/api/v2/assets", form("other.png", &png)).await;
    assert_eq!(again.status, 200);
    let again = again.json();
    assert_eq!((&again["created_new"], &again["file_path"]), (&json!(false), &json!("other.png")));
    assert_ne!(again["id"], first["id"]);
    let body =
        json!({"hash": hash(&png).to_uppercase().replace("BLAKE3", "blake3"), "file_path": "third.png"});
    let minted = post(&api, "/api/v2/assets/from-hash", &body).await;
    assert_eq!(minted.status, 201);
    let minted = minted.json();
    assert_eq!((&minted["file_path"], &minted["created_new"]), (&json!("third.png"), &json!(false)));
    // The same name of the same bytes is the same asset.
    let same = post(&api, "/api/v2/assets/from-hash", &body).await;
    assert_eq!((same.status.as_u16(), same.json()["id"].clone()), (200, minted["id"].clone()));
    // Each is deleted alone, and the bytes stay for the others.
    for asset in [&first, &again] {
        let path = format!("/api/v2/assets/{}", id(asset));
        assert_eq!(api.get(&path).await.json()["file_path"], asset["file_path"]);
        assert_eq!(api.delete(&path).await.status, 204);
        assert_eq!(code(&api.delete(&path).await), (404, "not_found".to_owned()));
        assert_eq!(code(&api.get(&path).await), (404, "not_found".to_owned()));
    }
    assert_eq!(bytes(&api, &minted).await, png);
    assert_eq!(api.delete(&format!("/api/v2/assets/{}", id(&minted))).await.status, 204);
    assert_eq!(api.head(&by_hash).await.status, 404);
    assert!(uploaded(&simulator).is_empty(), "ComfyUI has nothing to do with it");
    api.stop().await;
}

/// 23, 27: names in graphs, also of bytes that ComfyUI lost.
#[actix_rt::test]
async fn an_asset_is_an_input_wherever_a_graph_names_it() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let asset = upload(&api, "photo of me.png", &png()).await;
    let job = run(&api, loads(reference(&asset))).await;
    let inverted = job["outputs"][0].clone();
    // An output of that job is the input of the next.
    let back = run(&api, loads(reference(&inverted))).await;
    let first = image::load_from_memory(&png()).unwrap().to_rgb8();
    let twice = image::load_from_memory(&bytes(&api, &back["outputs"][0]).await).unwrap().to_rgb8();
    assert_eq!(first, twice, "inverted twice");
    let graph = api.get(&format!("/api/v2/jobs/{}/workflow", id(&job))).await.json();
    let name = graph["workflow"]["1"]["inputs"]["image"].as_str().unwrap().to_owned();
    assert!(uploaded(&simulator).contains(&name), "{name}");
    // By its name, as the hosted API does.
    run(&api, loads(json!("photo of me.png"))).await;
    // The same bytes are sent once.
    assert_eq!(uploaded(&simulator).len(), 2, "{:?}", uploaded(&simulator));
    // A ComfyUI that lost the file gets it again.
    std::fs::remove_file(simulator.data_dir().join("input").join(&name)).unwrap();
    let mut other = loads(reference(&asset));
    other["3"]["inputs"]["filename_prefix"] = json!("v2/again");
    run(&api, other).await;
    let in_params = json!({"__type": "runner/WORKFLOW", "id": "image-to-image",
                           "params": {"prompt": "a fox", "image": reference(&asset)}});
    let manifest = api.get("/api/run/image-to-image").await.json();
    let input = manifest["inputs"].as_array().unwrap().iter().find(|input| input["type"] == "image").unwrap();
    let mut in_params = in_params;
    let image = in_params["params"]["image"].take();
    in_params["params"] = json!({"prompt": "a fox"});
    in_params["params"][input["id"].as_str().unwrap()] = image;
    run(&api, in_params).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_reference_that_leads_nowhere_is_a_missing_asset() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let asset = upload(&api, "red.png", &png()).await;
    api.delete(&format!("/api/v2/assets/{}", id(&asset))).await;
    let graph = json!({"workflow": {
        "1": {"class_type": "LoadImage", "inputs": {"image": reference(&json!({"id": UNKNOWN}))}},
        "2": {"class_type": "LoadImage", "inputs": {"image": {"__type": "core/ASSET"}}},
        "3": {"class_type": "LoadImage", "inputs": {"image": [[reference(&asset)]]}},
    }});
    let reply = post(&api, "/api/v2/jobs", &graph).await;
    assert_eq!(code(&reply), (422, "missing_asset".to_owned()));
    let missing = reply.json()["error"]["details"]["missing_ids"].as_array().unwrap().clone();
    assert!(missing.contains(&json!(UNKNOWN)) && missing.contains(&asset["id"]), "{missing:?}");
    assert_eq!(missing.len(), 3);
    assert_eq!(api.get("/api/v2/jobs").await.json()["jobs"], json!([]));
    api.stop().await;
}

#[actix_rt::test]
async fn what_is_wrong_with_an_upload_is_said_and_nothing_is_kept() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let png = png();
    let named = |path: &str| Form::new().text("content_type", "image/png").text("file_path", path);
    let mismatch = named("a.png").text("expected_hash", &hash(b"other")).file("file", "a.png", &png);
    let expiry = |seconds: &str| named("a.png").text("expires_in", seconds).file("file", "a.png", &png);
    for (form, status, expected) in [
        (mismatch, 409, "hash_mismatch"),
        (Form::new().file("file", "a.png", &png), 422, "invalid_request"),
        (named("a.png"), 422, "invalid_request"),
        (named("../a.png").file("file", "a.png", &png), 422, "invalid_request"),
        (named("models/loras/a.png").file("file", "a.png", &png), 422, "invalid_request"),
        (named("a.png").text("expected_hash", "sha256:1").file("file", "a", &png), 422, "invalid_request"),
        (expiry("59"), 422, "invalid_request"),
        (expiry("soon"), 422, "invalid_request"),
        (named("a.png").file("file", "a.png", &vec![0; (1 << 20) + 1]), 413, "payload_too_large"),
    ] {
        let reply = api.post("/api/v2/assets", form).await;
        assert_eq!(code(&reply), (status, expected.to_owned()), "{}", reply.text());
    }
    let json = post(&api, "/api/v2/assets", &json!({"file_path": "b.png"})).await;
    assert_eq!(code(&json), (422, "invalid_request".to_owned()));
    assert_eq!(api.head(&format!("/api/v2/assets/by-hash/{}", hash(&png))).await.status, 404);
    for (body, status, expected) in [
        (json!({"hash": hash(b"nothing")}), 404, "blob_not_found"),
        (json!({"hash": "md5:1"}), 404, "blob_not_found"),
        (json!({"file_path": "x"}), 422, "invalid_request"),
        (json!({"hash": hash(&png), "file_path": "../x"}), 422, "invalid_request"),
        (json!("x"), 400, "invalid_request"),
    ] {
        let reply = post(&api, "/api/v2/assets/from-hash", &body).await;
        assert_eq!(code(&reply), (status, expected.to_owned()), "{body}");
    }
    let kept = upload(&api, "a.png", &png).await;
    let expires = api.post("/api/v2/assets", expiry("60")).await.json();
    assert!(expires["expires_at"].is_string() && kept["expires_at"].is_null());
    api.stop().await;
}

/// 18, 21, 22: files are streamed, with ranges.
#[actix_rt::test]
async fn an_upload_has_ranges_and_its_declared_type_and_is_no_page() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.max_upload = 8 << 20;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let page = b"<script>alert(1)</script>".repeat(100_000);
    let form = Form::new().text("content_type", "text/html").text("file_path", "page.html");
    let asset = api.post("/api/v2/assets", form.file("file", "page.html", &page)).await.json();
    let content = format!("/api/v2/assets/{}/content", id(&asset));
    let whole = api.get(&content).await;
    assert_eq!((whole.status.as_u16(), &whole.body), (200, &page));
    assert_eq!(whole.header("content-type"), "text/html");
    assert!(whole.header("content-disposition").starts_with("attachment"));
    let part = api.get_with(&content, &[("range", "bytes=1-6")]).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"script"[..]));
    let outside = api.get_with(&content, &[("range", "bytes=99999999-")]).await;
    assert_eq!(code(&outside), (416, "range_not_satisfiable".to_owned()));
    let etag = whole.header("etag").to_owned();
    assert_eq!(api.get_with(&content, &[("if-none-match", &etag)]).await.status, 304);
    let head = api.head(&content).await;
    assert_eq!((head.body.len(), head.header("content-length")), (0, page.len().to_string().as_str()));
    let image = upload(&api, "input/sub/red.png", &png()).await;
    let shown = api.get(&format!("/api/v2/assets/{}/content", id(&image))).await;
    assert_eq!(shown.header("content-disposition"), "inline; filename=\"red.png\"");
    api.stop().await;
}

/// 13: assets outlive the process.
#[actix_rt::test]
async fn assets_survive_a_restart() {
    let simulator = simulator();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(&simulator.url());
    let location = Location::Folder(folder.path().join("files"));
    settings.files = FilesConfig::new(Arc::new(ObjectFiles::open(&location).unwrap()));
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let asset = upload(&api, "red.png", &png()).await;
    api.stop_gracefully().await;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    assert_eq!(bytes_at(&api, id(&asset)).await, png());
    run(&api, loads(reference(&asset))).await;
    eventually("ComfyUI has the file", || uploaded(&simulator).len() == 1).await;
    api.stop().await;
}

async fn bytes_at(api: &Api, id: &str) -> Vec<u8> {
    api.get(&format!("/api/v2/assets/{id}/content")).await.body
}

/// An output cannot be deleted without its job.
#[actix_rt::test]
async fn an_output_goes_with_its_job() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let asset = upload(&api, "red.png", &png()).await;
    let job = run(&api, loads(reference(&asset))).await;
    let output = format!("/api/v2/assets/{}", id(&job["outputs"][0]));
    assert_eq!(code(&api.delete(&output).await), (409, "asset_in_use".to_owned()));
    assert_eq!(api.delete(&format!("/api/jobs/{}", id(&job))).await.status, 204);
    assert_eq!(code(&api.get(&output).await), (404, "not_found".to_owned()));
    assert_eq!(code(&api.get(&format!("/api/v2/jobs/{}", id(&job))).await), (404, "not_found".to_owned()));
    api.stop().await;
}
