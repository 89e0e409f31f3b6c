//! Outputs of jobs in the Comfy API v2: when they appear, what is reported about them, and their contents.
//!
//! The number before what a test shows is a point of the table in `support/api_v2.rs`.

mod support;

use std::sync::Arc;

use comfy_runner_store::Sqlite;
use mockito::Matcher;
use serde_json::{Value, json};
use support::api_v2::{
    UNKNOWN, code, events, finished, graph, id, job, many_outputs, path, statuses, submit, until,
};
use support::{Api, fixtures, settings, simulator};

/// 9, 10: outputs of every kind, in the graph's order, before the last status, with true sizes and hashes.
#[actix_rt::test]
async fn outputs_come_before_the_last_status_with_types_sizes_and_hashes() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, many_outputs(0)).await;
    let events = events(&api, id(&submitted)).await.all().await;
    assert_eq!(events.last().unwrap().data["status"], "succeeded");
    let told: Vec<_> =
        events.iter().filter(|event| event.name == "output").map(|event| &event.data).collect();
    let job = job(&api, id(&submitted)).await;
    let outputs = job["outputs"].as_array().unwrap();
    assert_eq!(told.len(), outputs.len());
    assert!(outputs.iter().all(|output| told.contains(&output)), "{told:?}");
    let kinds: Vec<_> = outputs
        .iter()
        .map(|output| (output["node_id"].as_str().unwrap(), output["type"].as_str().unwrap()))
        .collect();
    let expected = [
        ("20", "image"),
        ("20", "image"),
        ("3", "text"),
        ("4", "image"),
        ("5", "image"),
        ("5", "image"),
        ("7", "video"),
        ("9", "image"),
        ("9", "image"),
    ];
    assert_eq!(kinds, expected);
    for output in outputs {
        let content = api.get(path(&api, &output["url"])).await;
        assert_eq!(content.status, 200);
        assert_eq!(output["size_bytes"], content.body.len());
        let hash = comfy_runner_files::ContentHash::of(&content.body);
        assert_eq!(output["hash"], format!("blake3:{hash}"));
    }
    let text = outputs.iter().find(|output| output["type"] == "text").unwrap();
    let content = api.get(path(&api, &text["url"])).await;
    assert_eq!(content.text(), "line\u{2028}sep\u{85}ü");
    assert_eq!(content.header("content-type"), "text/plain; charset=utf-8");
    api.stop().await;
}

/// A ComfyUI that has run each prompt at once and says that it made these outputs.
async fn made(outputs: Value) -> mockito::ServerGuard {
    let mut comfyui = mockito::Server::new_async().await;
    comfyui
        .mock("POST", "/prompt")
        .with_body_from_request(|request| {
            let prompt: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            let accepted = json!({"prompt_id": prompt["prompt_id"], "number": 1, "node_errors": {}});
            accepted.to_string().into()
        })
        .create_async()
        .await;
    let empty = json!({"queue_running": [], "queue_pending": []});
    comfyui.mock("GET", "/queue").with_body(empty.to_string()).create_async().await;
    comfyui
        .mock("GET", Matcher::Regex("^/history/".to_owned()))
        .with_body_from_request(move |request| {
            let id = request.path().strip_prefix("/history/").unwrap();
            let entry = json!({"prompt": [1, id, {}, {}, []], "outputs": outputs,
                               "status": {"status_str": "success", "completed": true, "messages": []}});
            json!({id: entry}).to_string().into()
        })
        .create_async()
        .await;
    comfyui.mock("GET", Matcher::Regex("^/view".to_owned())).with_body("the bytes").create_async().await;
    comfyui
}

/// 10: the type of an output is that of its file, whatever key ComfyUI reports it under.
#[actix_rt::test]
async fn outputs_of_every_kind_have_their_own_type() {
    let kinds = [
        ("2", "a.png", "image", "image/png"),
        ("4", "a.webp", "image", "image/webp"),
        ("5", "a.webm", "video", "video/webm"),
        ("8", "a.mp4", "video", "video/mp4"),
        ("10", "a.latent", "latent", "application/octet-stream"),
        ("12", "a.flac", "audio", "audio/flac"),
        ("13", "a.txt", "text", "text/plain; charset=utf-8"),
        ("14", "a.glb", "file", "model/gltf-binary"),
    ];
    let (mut workflow, mut reported) = (json!({}), json!({}));
    for (node, name, ..) in kinds {
        workflow[node] = json!({"class_type": "Saves", "inputs": {}});
        let file = json!({"filename": name, "subfolder": "", "type": "output"});
        let key = if name == "a.latent" { "latents" } else { "images" };
        reported[node] = json!({key: [file], "animated": [true]});
    }
    let comfyui = made(reported).await;
    let api = Api::start(&comfyui.url());
    let submitted = submit(&api, workflow).await;
    let done = finished(&api, id(&submitted)).await;
    let outputs = done["outputs"].as_array().unwrap();
    let found: Vec<_> = outputs
        .iter()
        .map(|output| ["node_id", "name", "type", "content_type"].map(|name| output[name].as_str().unwrap()))
        .map(|[node, name, kind, content_type]| (node, name, kind, content_type))
        .collect();
    assert_eq!(found, kinds);
    assert!(outputs.iter().all(|output| output["size_bytes"] == 9 && output["hash"].is_string()), "{done}");
    api.stop().await;
}

/// 8: an output is there while the job still runs.
#[actix_rt::test]
async fn outputs_appear_while_the_job_runs() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, many_outputs(60_000)).await;
    let id = id(&submitted);
    let running = until(&api, id, "an output", |job| !job["outputs"].as_array().unwrap().is_empty()).await;
    assert_eq!(running["status"], "running");
    let mut stream = events(&api, id).await;
    let output = loop {
        let event = stream.next().await.unwrap();
        if event.name == "output" {
            break event.data;
        }
    };
    assert_eq!(api.get(path(&api, &output["url"])).await.status, 200);
    api.post_body(&format!("/api/v2/jobs/{id}/cancel"), String::new(), "").await;
    api.stop().await;
}

/// 16: a ComfyUI that forgets a finished job changes nothing.
#[actix_rt::test]
async fn a_finished_job_that_comfyui_forgets_stays_succeeded_with_its_outputs() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, graph(1, 0, 1)).await;
    let before = finished(&api, id(&submitted)).await;
    simulator.forget();
    simulator.drop_sockets();
    assert_eq!(job(&api, id(&submitted)).await, before);
    let content = api.get(path(&api, &before["outputs"][0]["url"])).await;
    assert_eq!((content.status.as_u16(), content.header("content-type")), (200, "image/png"));
    let events = events(&api, id(&submitted)).await.all().await;
    assert_eq!(statuses(&events), ["succeeded"]);
    assert!(events.iter().any(|event| event.name == "output"));
    api.stop().await;
}

/// Sizes and hashes of outputs are recorded with the job, so that the files need not be read again.
#[actix_rt::test]
async fn outputs_are_described_after_a_restart_without_comfyui() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.store = Arc::new(Sqlite::in_memory().unwrap());
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let submitted = submit(&api, many_outputs(0)).await;
    let before = finished(&api, id(&submitted)).await;
    api.stop_gracefully().await;
    simulator.stop();
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut after = job(&api, id(&submitted)).await;
    let mut before = before["outputs"].clone();
    assert_eq!(before.as_array().unwrap().len(), 9);
    for output in before.as_array_mut().unwrap().iter_mut().chain(after["outputs"].as_array_mut().unwrap()) {
        // The address is that of the process.
        output.as_object_mut().unwrap().remove("url");
    }
    assert_eq!(after["outputs"], before);
    api.stop().await;
}

/// 21, 22: HEAD without a body, ranges and conditions.
#[actix_rt::test]
async fn contents_have_ranges_conditions_and_heads_without_a_body() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut with_text = graph(1, 0, 1);
    with_text["5"] =
        json!({"class_type": "RunnerTestText", "inputs": {"image": ["1", 0], "text": "0123456789"}});
    let done = finished(&api, id(&submit(&api, with_text).await)).await;
    for output in done["outputs"].as_array().unwrap() {
        let content = path(&api, &output["url"]);
        let whole = api.get(content).await;
        assert_eq!(whole.header("accept-ranges"), "bytes");
        assert_eq!(whole.header("x-content-type-options"), "nosniff");
        assert!(whole.header("content-disposition").contains("filename"), "{output}");
        let part = api.get_with(content, &[("range", "bytes=2-5")]).await;
        assert_eq!((part.status.as_u16(), &part.body[..]), (206, &whole.body[2..6]));
        assert_eq!(part.header("content-range"), format!("bytes 2-5/{}", whole.body.len()));
        let suffix = api.get_with(content, &[("range", "bytes=-3")]).await;
        assert_eq!((suffix.status.as_u16(), &suffix.body[..]), (206, &whole.body[whole.body.len() - 3..]));
        let outside = api.get_with(content, &[("range", "bytes=100000-100001")]).await;
        assert_eq!((outside.status.as_u16(), code(&outside).as_str()), (416, "range_not_satisfiable"));
        assert_eq!(outside.header("content-range"), format!("bytes */{}", whole.body.len()));
        // Several parts are answered with the whole.
        let two = api.get_with(content, &[("range", "bytes=0-1,4-5")]).await;
        assert_eq!((two.status.as_u16(), &two.body), (200, &whole.body));
        // The answer to HEAD ends with its head: the next answer on the connection follows.
        let requests = format!(
            "HEAD {content} HTTP/1.1\r\nHost: localhost\r\n\r\n\
             GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        let answers = api.send_raw(requests.as_bytes()).await;
        assert_eq!(answers.header("content-length"), whole.body.len().to_string());
        assert!(answers.body.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", answers.text());
        let etag = whole.header("etag").to_owned();
        assert_eq!(api.get_with(content, &[("if-none-match", &etag)]).await.status, 304);
        let head = api.head(content).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), whole.body.len().to_string());
        let asset = api.get(&format!("/api/v2/assets/{}", output["id"].as_str().unwrap())).await.json();
        assert_eq!((&asset["hash"], &asset["size_bytes"]), (&output["hash"], &output["size_bytes"]));
        assert_eq!((&asset["job_id"], &asset["file_path"]), (&done["id"], &output["name"]));
    }
    for forged in
        [format!("{}.0000000000000000", id(&done)), format!("{UNKNOWN}.0000000000000000"), "x".to_owned()]
    {
        for below in ["", "/content"] {
            let reply = api.get(&format!("/api/v2/assets/{forged}{below}")).await;
            assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (404, "not_found"), "{forged}");
        }
    }
    api.stop().await;
}
