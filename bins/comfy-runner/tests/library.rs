//! A folder of workflows that changes while it is served.

mod support;

use serde_json::{Value, json};
use support::{Api, Form, Shelf, settings};

fn graph() -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
              "_meta": {"title": "Plate"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    })
}

fn serve(shelf: &Shelf) -> Api {
    Api::start_with(&settings("http://127.0.0.1:9"), shelf.path())
}

async fn listed(api: &Api) -> Vec<String> {
    let reply = api.get("/api/workflows").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let listed = reply.json();
    listed.as_array().unwrap().iter().map(|workflow| workflow["id"].as_str().unwrap().to_owned()).collect()
}

#[actix_rt::test]
async fn an_edit_is_seen_by_the_next_request() {
    let shelf = Shelf::new();
    shelf.put("plate", "id: plate\nname: One\n", &graph());
    let api = serve(&shelf);
    assert_eq!(api.get("/api/run/plate").await.json()["name"], "One");
    for (name, width) in [("Two", 16), ("Six", 32), ("A longer one", 64)] {
        let mut graph = graph();
        graph["1"]["inputs"]["width"] = width.into();
        shelf.put("plate", &format!("id: plate\nname: {name}\n"), &graph);
        assert_eq!(api.get("/api/run/plate").await.json()["name"], name);
        assert_eq!(api.get("/api/workflows").await.json()[0]["name"], name);
        let built = api.post("/api/run/plate/build", Form::new()).await.json();
        assert_eq!(built["1"]["inputs"]["width"], width);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_new_folder_appears_and_one_that_is_removed_is_gone() {
    let shelf = Shelf::new();
    shelf.put("first", "id: first\nname: First\n", &graph());
    let api = serve(&shelf);
    assert_eq!(listed(&api).await, ["first"]);
    assert_eq!(api.get("/api/run/second").await.status, 404);
    shelf.put("second", "id: second\nname: Second\n", &graph());
    assert_eq!(api.get("/api/run/second").await.status, 200);
    assert_eq!(listed(&api).await, ["first", "second"]);
    std::fs::remove_dir_all(shelf.path().join("first")).unwrap();
    for reply in [api.get("/api/run/first").await, api.post("/api/run/first/build", Form::new()).await] {
        assert_eq!(reply.status, 404);
        assert!(reply.detail().contains("\"first\""), "{}", reply.detail());
    }
    assert_eq!(listed(&api).await, ["second"]);
    api.stop().await;
}

#[actix_rt::test]
async fn a_broken_folder_says_why_while_others_work_and_works_once_it_is_mended() {
    let shelf = Shelf::new();
    shelf.put("good", "id: good\nname: Good\n", &graph());
    shelf.put(
        "bad",
        "id: bad\nname: Bad\ninputs:\n  - {id: width, type: int, node_id: 1, field: widht}\n",
        &graph(),
    );
    let api = serve(&shelf);
    let replies = [
        api.get("/api/run/bad").await,
        api.post("/api/run/bad/build", Form::new()).await,
        api.post("/api/run/bad/execute", Form::new()).await,
    ];
    for reply in replies {
        assert_eq!(reply.status, 500);
        let detail = reply.detail();
        for part in
            ["\"bad\" is broken", "manifest.yaml:4", "\"width\"", "`widht`", "Did you mean \"width\"?"]
        {
            assert!(detail.contains(part), "{part}: {detail}");
        }
        assert!(!detail.contains(shelf.path().to_str().unwrap()), "a path of the server: {detail}");
    }
    assert_eq!(listed(&api).await, ["good"]);
    assert_eq!(api.post("/api/run/good/build", Form::new()).await.status, 200);
    let broken = api.get("/api/broken-workflows").await.json();
    assert_eq!(broken.as_array().unwrap().len(), 1, "{broken}");
    let finding = &broken[0]["findings"][0];
    assert_eq!(
        (&broken[0]["id"], &finding["file"], &finding["line"]),
        (&json!("bad"), &json!("manifest.yaml"), &json!(4))
    );
    assert!(finding["message"].as_str().unwrap().contains("`widht`"), "{finding}");

    shelf.put(
        "bad",
        "id: bad\nname: Bad\ninputs:\n  - {id: width, type: int, node_id: 1, field: width}\n",
        &graph(),
    );
    let built = api.post("/api/run/bad/build", Form::new().params(json!({"width": 24}))).await;
    assert_eq!((built.status.as_u16(), &built.json()["1"]["inputs"]["width"]), (200, &json!(24)));
    assert_eq!(listed(&api).await, ["bad", "good"]);
    assert_eq!(api.get("/api/broken-workflows").await.json(), json!([]));

    // And broken again, this time by its graph.
    std::fs::write(shelf.path().join("bad/workflow.json"), "{\"1\": ").unwrap();
    let reply = api.get("/api/run/bad").await;
    assert_eq!(reply.status, 500);
    assert!(reply.detail().contains("workflow.json:1"), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn folders_that_are_no_workflows_are_passed_over() {
    let shelf = Shelf::new();
    shelf.put("good", "id: good\nname: Good\n", &graph());
    std::fs::create_dir(shelf.path().join("empty")).unwrap();
    std::fs::create_dir(shelf.path().join(".git")).unwrap();
    std::fs::write(shelf.path().join("README.md"), "notes").unwrap();
    let api = serve(&shelf);
    assert_eq!(listed(&api).await, ["good"]);
    for id in
        ["empty", ".git", "README.md", "..", "good%2F..%2Fgood", "%2e%2e%2fgood", "good%00", "g%C3%B6od"]
    {
        let reply = api.get_raw(&format!("/api/run/{id}")).await;
        assert_eq!(reply.status, 404, "{id}: {}", reply.text());
        assert!(!reply.detail().is_empty());
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_workflow_cannot_take_a_path_of_the_api_itself() {
    let shelf = Shelf::new();
    for id in ["upload-image", "status", "result"] {
        shelf.put(id, &format!("id: {id}\nname: Reserved\n"), &graph());
    }
    shelf.put("other", "id: other\nname: Other\n", &graph());
    let api = serve(&shelf);
    assert_eq!(listed(&api).await, ["other"]);
    for id in ["status", "result"] {
        let reply = api.get(&format!("/api/run/{id}")).await;
        assert_eq!(reply.status, 500);
        assert!(reply.detail().contains("choose another id"), "{}", reply.detail());
    }
    api.stop().await;
}

#[actix_rt::test]
async fn each_mistake_in_a_manifest_has_a_message_of_its_own_with_its_line() {
    let input = |text: &str| format!("id: broken\nname: Broken\ninputs:\n  - {text}\n");
    let cases: [(&str, String, &[&str]); 14] = [
        ("no map", "- just\n- a list\n".to_owned(), &["manifest.yaml", "map"]),
        ("no YAML", "id: broken\nname: [\n".to_owned(), &["manifest.yaml:"]),
        ("empty", String::new(), &["manifest.yaml", "map"]),
        ("no id", "name: Broken\n".to_owned(), &["`id` is missing", "id: broken"]),
        (
            "another's id",
            "id: other\nname: Broken\n".to_owned(),
            &["manifest.yaml:1", "\"other\"", "\"broken\""],
        ),
        ("input without id", input("{type: int, node_id: 1, field: width}"), &["manifest.yaml:4", "id"]),
        (
            "twice the same id",
            input(
                "{id: width, type: int, node_id: 1, field: width}\n  - {id: width, type: int, node_id: 1, field: height}",
            ),
            &["manifest.yaml:5", "\"width\""],
        ),
        (
            "min above max",
            input("{id: width, type: int, node_id: 1, field: width, min: 9, max: 3}"),
            &["manifest.yaml:4", "\"width\"", "min", "9", "max", "3"],
        ),
        (
            "default out of range",
            input("{id: width, type: int, node_id: 1, field: width, min: 1, max: 3, default: 7}"),
            &["manifest.yaml:4", "\"width\"", "default", "from 1 to 3", "7"],
        ),
        (
            "default of another type",
            input("{id: width, type: int, node_id: 1, field: width, default: wide}"),
            &["manifest.yaml:4", "default", "whole number", "\"wide\""],
        ),
        (
            "a node that is not there",
            input("{id: width, type: int, node_id: 7, field: width}"),
            &["manifest.yaml:4", "\"width\"", "node \"7\"", "it has 1"],
        ),
        (
            "a field that is not there",
            input("{id: width, type: int, node_id: 1, field: breadth}"),
            &["manifest.yaml:4", "`breadth`", "it has width, height"],
        ),
        (
            "an output that is not there",
            "id: broken\nname: Broken\noutputs:\n  - {type: image, node_id: 9}\n".to_owned(),
            &["manifest.yaml:4", "node \"9\""],
        ),
        (
            "dynamic",
            "id: broken\nname: Broken\ntype: dynamic\n".to_owned(),
            &["manifest.yaml", "needs `pipeline`"],
        ),
    ];
    let shelf = Shelf::new();
    shelf.put("broken", "id: broken\nname: Broken\n", &graph());
    let api = serve(&shelf);
    let mut messages = std::collections::HashSet::new();
    for (what, manifest, parts) in cases {
        shelf.put_manifest("broken", &manifest);
        let reply = api.get("/api/run/broken").await;
        assert_eq!(reply.status, 500, "{what}: {}", reply.text());
        let detail = reply.detail();
        for part in parts {
            assert!(detail.contains(part), "{what}: {part} is not in: {detail}");
        }
        assert!(messages.insert(detail.clone()), "{what}: said before: {detail}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_placeholder_that_nothing_fills_and_a_graph_that_is_none_are_named() {
    let mut unfilled = graph();
    unfilled["1"]["inputs"]["width"] = "{{widht}}".into();
    let mut dangling = graph();
    dangling["2"]["inputs"]["images"] = json!(["7", 0]);
    let ui_format = json!({"nodes": [{"id": 1}], "links": [], "version": 0.4});
    let cases = [
        (unfilled, vec!["workflow.json", "{{widht}}", "Did you mean \"width\"?"]),
        (dangling, vec!["workflow.json", "\"7\"", "does not exist"]),
        (ui_format, vec!["workflow.json", "UI format", "node 1", "`type`"]),
        (json!([]), vec!["workflow.json"]),
        (json!({}), vec!["workflow.json", "no nodes"]),
    ];
    let shelf = Shelf::new();
    let manifest =
        "id: broken\nname: Broken\ninputs:\n  - {id: width, type: int, node_id: 1, field: height}\n";
    let api = serve(&shelf);
    for (graph, parts) in cases {
        shelf.put("broken", manifest, &graph);
        let reply = api.get("/api/run/broken").await;
        assert_eq!(reply.status, 500, "{}", reply.text());
        let detail = reply.detail();
        for part in parts {
            assert!(detail.contains(part), "{part} is not in: {detail}");
        }
    }
    std::fs::remove_file(shelf.path().join("broken/workflow.json")).unwrap();
    let reply = api.get("/api/run/broken").await;
    assert!(
        reply.detail().contains("workflow.json: ") && reply.detail().contains("does not exist"),
        "{}",
        reply.detail()
    );
    api.stop().await;
}

/// Opening a FIFO would block, and open brackets took minutes to parse.
#[cfg(unix)]
#[actix_rt::test]
async fn folders_that_would_hold_up_a_reader_are_broken_and_delay_no_other() {
    let shelf = Shelf::new();
    shelf.put("good", "id: good\nname: Good\n", &graph());
    shelf.put("deep", &"[".repeat(1 << 20), &graph());
    shelf.put("fifo", "id: fifo\n", &graph());
    shelf.put("pipe", "id: pipe\n", &graph());
    for file in ["fifo/manifest.yaml", "pipe/workflow.json"] {
        let file = shelf.path().join(file);
        std::fs::remove_file(&file).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    }
    let api = serve(&shelf);
    for (id, reason) in
        [("fifo", "not a regular file"), ("pipe", "not a regular file"), ("deep", "not valid YAML")]
    {
        let reply = api.get(&format!("/api/run/{id}")).await;
        assert_eq!(reply.status, 500, "{id}");
        assert!(reply.detail().contains(reason), "{id}: {}", reply.detail());
    }
    assert_eq!(listed(&api).await, ["good"]);
    assert_eq!(api.post("/api/run/good/build", Form::new()).await.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn a_thousand_unknown_params_are_answered_with_ten_and_a_count() {
    let shelf = Shelf::new();
    shelf.put("good", "id: good\nname: Good\n", &graph());
    let api = serve(&shelf);
    let params: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("key_{n}"), json!(n))).collect();
    let reply = api.post("/api/run/good/build", Form::new().params(params.into())).await;
    assert_eq!(reply.status, 400);
    let detail = reply.detail();
    assert!(detail.contains("\"key_9\"") && !detail.contains("\"key_10\""), "{detail}");
    assert!(detail.ends_with("; and 990 more"), "{detail}");
    api.stop().await;
}
