//! Workflows that a caller adds to the library, edits, and runs without adding them.

mod support;

use comfy_runner::server::Settings;
use serde_json::{Value, json};
use support::{Api, Reply, Shelf, settings, simulator};

const MANIFEST: &str = "# Kept as it is.\nid: plate\nname: Plate\ninputs:\n  - {id: color, type: int, node_id: 1, field: color}\n";

fn graph() -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "plate"}},
    })
}

async fn put(api: &Api, id: &str, body: &Value) -> Reply {
    let request = api.http.put(format!("{}/api/workflows/{id}", api.base));
    Reply::from_response(request.send_json(body).await.unwrap()).await
}

async fn post(api: &Api, path: &str, body: &Value) -> Reply {
    api.post_body(path, "application/json".to_owned(), body.to_string()).await
}

fn start(comfyui: &str, shelf: &Shelf) -> Api {
    Api::start_with(&Settings { allow_edit: true, ..settings(comfyui) }, shelf.path())
}

#[actix_rt::test]
async fn an_added_workflow_runs_at_once_and_its_manifest_is_the_text_that_was_sent() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    let api = start(&simulator.url(), &shelf);
    let reply = put(&api, "plate", &json!({"manifest": MANIFEST, "graph": graph()})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!((&reply.json()["id"], &reply.json()["ready"]), (&json!("plate"), &json!(true)));
    let written = std::fs::read_to_string(shelf.path().join("plate/manifest.yaml")).unwrap();
    assert_eq!(written, MANIFEST);
    let job = api.execute("plate", json!({"color": 7})).await;
    assert_eq!(api.wait(job["prompt_id"].as_str().unwrap()).await["status"], "completed");
    let again = put(&api, "plate", &json!({"manifest": "id: plate\n", "graph": graph()})).await;
    assert_eq!(again.status, 409);
    assert_eq!(std::fs::read_to_string(shelf.path().join("plate/manifest.yaml")).unwrap(), MANIFEST);
}

#[actix_rt::test]
async fn what_is_no_workflow_is_refused_and_leaves_nothing() {
    let shelf = Shelf::new();
    let api = start("http://127.0.0.1:9", &shelf);
    let wrong = [
        ("plate", json!({"manifest": MANIFEST}), "graph"),
        ("plate", json!({"manifest": MANIFEST, "graph": {}, "more": 1}), "more"),
        ("other", json!({"manifest": MANIFEST, "graph": graph()}), "plate"),
        ("plate", json!({"manifest": "id: plate\ninputs: 7\n", "graph": graph()}), "inputs"),
        (
            "plate",
            json!({"manifest": MANIFEST, "graph": {"9": {"class_type": "SaveImage", "inputs": {}}}}),
            "node",
        ),
        (
            "plate",
            json!({"manifest": "id: plate\ntype: dynamic\npipeline: [{block: a, file: a.json}]\n", "graph": graph()}),
            "blocks",
        ),
        ("result", json!({"manifest": "id: result\n", "graph": graph()}), "result"),
        ("..", json!({"manifest": "id: ..\n", "graph": graph()}), ""),
    ];
    for (id, body, named) in wrong {
        let reply = put(&api, id, &body).await;
        assert!(matches!(reply.status.as_u16(), 400 | 404 | 405), "{id} {body}: {}", reply.status);
        assert!(reply.detail().contains(named), "{}", reply.text());
    }
    assert_eq!(std::fs::read_dir(shelf.path()).unwrap().count(), 0);
}

#[actix_rt::test]
async fn without_the_option_nobody_adds_a_workflow() {
    let shelf = Shelf::new();
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    let reply = put(&api, "plate", &json!({"manifest": MANIFEST, "graph": graph()})).await;
    assert_eq!(reply.status, 403);
    assert!(reply.detail().contains("--allow-edit"));
    assert_eq!(std::fs::read_dir(shelf.path()).unwrap().count(), 0);
    let read = api.get("/api/workflows/plate/manifest").await;
    let written = put_manifest(&api, "plate", MANIFEST, Some("*")).await;
    assert_eq!((read.status.as_u16(), written.status.as_u16()), (403, 403));
    assert_eq!(api.get("/api/session").await.json()["allow_edit"], false);
}

/// The text of a manifest, and its tag.
async fn manifest_text(api: &Api, id: &str) -> (String, String) {
    let request = api.http.get(format!("{}/api/workflows/{id}/manifest", api.base));
    let reply = Reply::from_response(request.send().await.unwrap()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("content-type"), "application/yaml");
    (reply.text(), reply.header("etag").to_owned())
}

async fn put_manifest(api: &Api, id: &str, text: &str, if_match: Option<&str>) -> Reply {
    let mut request = api.http.put(format!("{}/api/workflows/{id}/manifest", api.base));
    if let Some(tag) = if_match {
        request = request.insert_header(("If-Match", tag));
    }
    Reply::from_response(request.send_body(text.to_owned()).await.unwrap()).await
}

#[actix_rt::test]
async fn a_manifest_is_replaced_only_by_who_has_read_the_present_text() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    let api = start(&simulator.url(), &shelf);
    put(&api, "plate", &json!({"manifest": MANIFEST, "graph": graph()})).await;
    let (text, tag) = manifest_text(&api, "plate").await;
    assert_eq!(text, MANIFEST);

    let edit = json!({"yaml": text, "manifest": {"id": "plate", "name": "Plate", "inputs": [
        {"id": "color", "type": "int", "node_id": 1, "field": "color", "max": 9}]}});
    let edited = post(&api, "/api/manifest/edit", &edit).await;
    assert_eq!(edited.status, 200, "{}", edited.text());
    assert_eq!(edited.json()["findings"], json!([]));
    let text = edited.json()["yaml"].as_str().unwrap().to_owned();
    assert_eq!(text, MANIFEST.replace("color}", "color, max: 9}"));

    let unread = put_manifest(&api, "plate", &text, None).await;
    assert_eq!((unread.status.as_u16(), unread.detail().contains("If-Match")), (428, true));
    let replaced = put_manifest(&api, "plate", &text, Some(&tag)).await;
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    assert_eq!((&replaced.json()["id"], &replaced.json()["ready"]), (&json!("plate"), &json!(true)));
    let (now, newer) = manifest_text(&api, "plate").await;
    assert_eq!((now, replaced.header("etag")), (text.clone(), newer.as_str()));
    let lost = put_manifest(&api, "plate", MANIFEST, Some(&tag)).await;
    assert_eq!((lost.status.as_u16(), lost.detail().contains("has been changed")), (412, true));

    let refused = post(&api, "/api/run/plate/execute", &json!({"params": {"color": 10}})).await;
    assert_eq!((refused.status.as_u16(), refused.detail().contains("9")), (400, true));
    // What is no workflow replaces nothing.
    for (wrong, named) in [
        ("id: other\n", "plate"),
        ("id: plate\ninputs: [{id: a, type: int, node_id: 7, field: x}]\n", "7"),
        ("id: plate\ninputs: [", "YAML"),
    ] {
        let reply = put_manifest(&api, "plate", wrong, Some(&newer)).await;
        assert_eq!(reply.status, 400, "{wrong}");
        assert!(reply.detail().contains(named), "{}", reply.text());
    }
    assert_eq!(std::fs::read_to_string(shelf.path().join("plate/manifest.yaml")).unwrap(), text);
    assert_eq!(std::fs::read_dir(shelf.path().join("plate")).unwrap().count(), 2);
    assert_eq!(put_manifest(&api, "none", MANIFEST, Some("*")).await.status, 404);
}

#[actix_rt::test]
async fn a_broken_manifest_is_read_and_mended_and_a_dynamic_one_is_checked_with_its_blocks() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    let api = start(&simulator.url(), &shelf);
    put(&api, "plate", &json!({"manifest": MANIFEST, "graph": graph()})).await;
    std::fs::write(shelf.path().join("plate/manifest.yaml"), "id: plate\ninputs: 7\n").unwrap();
    let (text, tag) = manifest_text(&api, "plate").await;
    assert_eq!(text, "id: plate\ninputs: 7\n");
    assert_eq!(put_manifest(&api, "plate", MANIFEST, Some(&tag)).await.status, 200);

    let graph_of = api.get("/api/workflows/plate/graph").await;
    assert_eq!(graph_of.json(), graph());

    std::fs::create_dir_all(shelf.path().join("blocky/blocks")).unwrap();
    let manifest = "id: blocky\ntype: dynamic\npipeline:\n  - {block: a, file: a.json}\n";
    std::fs::write(shelf.path().join("blocky/manifest.yaml"), manifest).unwrap();
    let block =
        json!({"nodes": {"1": {"class_type": "EmptyImage", "inputs": {}}}, "inputs": {}, "outputs": {}});
    std::fs::write(shelf.path().join("blocky/blocks/a.json"), block.to_string()).unwrap();
    let (_, tag) = manifest_text(&api, "blocky").await;
    let missing = put_manifest(&api, "blocky", &manifest.replace("a.json", "b.json"), Some(&tag)).await;
    assert_eq!(
        (missing.status.as_u16(), missing.detail().contains("b.json")),
        (400, true),
        "{}",
        missing.text()
    );
    let named = put_manifest(&api, "blocky", &format!("{manifest}name: Blocky\n"), Some(&tag)).await;
    assert_eq!(named.status, 200, "{}", named.text());
    let no_graph = api.get("/api/workflows/blocky/graph").await;
    assert_eq!((no_graph.status.as_u16(), no_graph.detail().contains("blocks")), (404, true));
}

#[actix_rt::test]
async fn a_manifest_and_a_graph_run_without_being_added() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    // Nothing is stored, so this needs no permission.
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let run = |params: Value| json!({"manifest": MANIFEST, "graph": graph(), "params": params});
    let submitted = post(&api, "/api/manifest/execute", &run(json!({"color": 7}))).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text());
    let id = submitted.json()["prompt_id"].as_str().unwrap().to_owned();
    assert_eq!(api.wait(&id).await["status"], "completed");
    let record = api.get(&format!("/api/jobs/{id}")).await.json();
    assert_eq!((&record["workflow_name"], &record["params"]), (&json!("Plate"), &json!({"color": 7})));
    assert_eq!(record["graph"]["1"]["inputs"]["color"], 7);
    let wrong = post(&api, "/api/manifest/execute", &run(json!({"color": "red"}))).await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["param_errors"]["color"].is_string()), (400, true));
    assert_eq!(post(&api, "/api/manifest/execute", &json!({"manifest": "id: a\n"})).await.status, 400);
    assert_eq!(std::fs::read_dir(shelf.path()).unwrap().count(), 0);
}

#[actix_rt::test]
async fn values_that_a_text_cannot_take_are_refused() {
    let shelf = Shelf::new();
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    let edit = async |yaml: &str, manifest: Value| {
        post(&api, "/api/manifest/edit", &json!({"yaml": yaml, "manifest": manifest})).await
    };
    let anchors = edit("id: a\nx: &x 1\ny: *x\n", json!({"id": "a", "x": 2, "y": 1})).await;
    assert_eq!((anchors.status.as_u16(), anchors.detail().contains("by hand")), (400, true));
    assert_eq!(edit("id: [", json!({})).await.status, 400);
    assert_eq!(edit("- a\n", json!({"id": "a"})).await.status, 400);
    let found = edit("id: a\n", json!({"id": "a", "inputs": 7})).await;
    assert_eq!(found.json()["findings"][0]["severity"], "error", "{}", found.text());
}
