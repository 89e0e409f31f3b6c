//! A workflow that a caller adds to the library.

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
}
