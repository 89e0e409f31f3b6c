//! Graphs in the editor's format: built ones go out in it, and folders may have one that the editor saved.

mod support;

use comfy_runner_editor::{UiGraph, to_api};
use comfy_runner_protocol::object_info::ObjectInfo;
use serde_json::{Value, json};
use support::{Api, Form, Shelf, fixtures, png, settings, simulator};

fn fixture(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixtures().join(path)).unwrap()).unwrap()
}

fn api_format(ui_graph: &Value) -> Value {
    let schemas: ObjectInfo = serde_json::from_value(fixture("object_info/0.3.64.json")).unwrap();
    let graph: UiGraph = serde_json::from_value(ui_graph.clone()).unwrap();
    serde_json::to_value(to_api(&graph, &schemas).unwrap()).unwrap()
}

#[actix_rt::test]
async fn a_static_workflow_is_drawn_with_its_inputs_in_a_frame_and_a_note_that_explains_it() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let params = json!({"prompt": "a red {fox}", "seed": 7, "resolution": "128x64"});
    let path = "/api/run/text-to-image/build";
    let graph = api.post(&format!("{path}?format=api"), Form::new().params(params.clone())).await.json();
    let reply = api.post(&format!("{path}?format=workflow"), Form::new().params(params)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let ui_graph = reply.json();
    let back = api_format(&ui_graph);
    for (id, node) in graph.as_object().unwrap() {
        let mut inputs = node["inputs"].clone();
        let mut converted = back[id]["inputs"].clone();
        for inputs in [&mut inputs, &mut converted] {
            // Each build has a folder of its own.
            inputs.as_object_mut().unwrap().remove("filename_prefix");
        }
        // What the graph leaves to the node's default is a value in the editor.
        for (name, value) in inputs.as_object().unwrap() {
            // JavaScript writes 7.0 as 7.
            let same = converted[name] == *value
                || (value.is_number() && converted[name].as_f64() == value.as_f64());
            assert!(same, "node {id}: {name}: {} for {value}", converted[name]);
        }
    }
    assert_eq!(ui_graph["groups"][0]["title"], "Inputs");
    let nodes = ui_graph["nodes"].as_array().unwrap();
    let note = nodes.iter().find(|node| node["type"] == "MarkdownNote").unwrap();
    let text = note["widgets_values"][0].as_str().unwrap();
    assert!(text.contains("# Text to image") && text.contains("`prompt` Prompt (text, required)"), "{text}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_dynamic_workflow_is_drawn_with_a_frame_around_each_block() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let scenes = json!([{"prompt": "waves", "duration": 0.25}, {"prompt": "dusk", "duration": 0.5}]);
    let form = Form::new().params(json!({"scenes": scenes, "seed": 10, "steps": 1})).file(
        "image",
        "first.png",
        &png(),
    );
    let reply = api.post("/api/run/multi-scene-video/build?format=workflow", form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let ui_graph = reply.json();
    let titles: Vec<&str> =
        ui_graph["groups"].as_array().unwrap().iter().map(|group| group["title"].as_str().unwrap()).collect();
    assert!(titles.len() >= 3 && titles.iter().any(|title| title.ends_with("_0")), "{titles:?}");
    assert!(ui_graph["nodes"].as_array().unwrap().iter().any(|node| node["id"].is_string()));
    api.stop().await;
}

#[actix_rt::test]
async fn without_a_comfyui_there_is_no_drawing_and_the_answer_says_why() {
    let api = Api::start("http://127.0.0.1:9");
    let form = Form::new().params(json!({"prompt": "a"}));
    let reply = api.post("/api/run/text-to-image/build?format=workflow", form).await;
    assert_eq!(reply.status, 500);
    assert!(reply.detail().contains("node schemas"), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn nodes_that_comfyui_does_not_know_are_drawn_as_far_as_they_can_be_and_listed() {
    let simulator = simulator();
    let shelf = Shelf::new();
    shelf.put(
        "odd",
        "id: odd",
        &json!({"1": {"class_type": "FromElsewhere", "inputs": {"strength": 2}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}}}),
    );
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let reply = api.post("/api/run/odd/build?format=workflow", Form::new()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let ui_graph = reply.json();
    let remark = ui_graph["extra"]["comfy_runner"]["remarks"][0].as_str().unwrap();
    assert!(remark.contains("node 1: type \"FromElsewhere\" has no schema"), "{remark}");
    assert_eq!(ui_graph["nodes"][0]["outputs"][0]["links"], json!([1]));
    api.stop().await;
}

fn saved_in_the_editor() -> Shelf {
    let shelf = Shelf::new();
    let manifest = "id: saved\ninputs:\n  - {id: prompt, type: text, node_id: 6, field: text}\n  \
        - {id: seed, type: seed, node_id: 3, field: seed, default: -1}\n  \
        - {id: steps, type: int, node_id: 3, field: steps, default: 2}\n  \
        - {id: size, type: int, targets: [{node_id: 5, field: width}, {node_id: 5, field: height}], default: 64}";
    shelf.put("saved", manifest, &fixture("ui/default.0.3.64.workflow.json"));
    shelf
}

#[actix_rt::test]
async fn a_folder_may_hold_the_graph_as_the_editor_saved_it() {
    let simulator = simulator();
    let shelf = saved_in_the_editor();
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let listed = api.get("/api/workflows").await.json();
    assert_eq!(listed[0]["id"], "saved", "{listed}");
    let graph = api
        .post("/api/run/saved/build", Form::new().params(json!({"prompt": "a hut", "seed": 9})))
        .await
        .json();
    assert_eq!(graph["6"]["inputs"]["text"], "a hut");
    assert_eq!(graph["3"]["inputs"]["seed"], 9);
    assert_eq!(graph["5"]["inputs"]["width"], 64);
    let job = api.execute("saved", json!({"prompt": "a hut"})).await;
    let status = api.wait(job["prompt_id"].as_str().unwrap()).await;
    assert_eq!(status["status"], "completed", "{status}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_saved_graph_without_node_schemas_is_an_error_that_says_what_is_missing() {
    let shelf = saved_in_the_editor();
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    let reply = api.post("/api/run/saved/build", Form::new()).await;
    assert_eq!(reply.status, 500);
    assert!(reply.detail().contains("node schemas"), "{}", reply.detail());
    assert_eq!(api.get("/api/workflows").await.json(), json!([]));
    api.stop().await;
}

fn comfy_runner(arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_comfy-runner"));
    command.args(arguments).env_remove("COMFYUI_URL").env_remove("COMFY_RUNNER_OBJECT_INFO");
    command.output().unwrap()
}

#[test]
fn build_draws_a_graph_and_reads_one_that_was_saved_in_the_editor() {
    let schemas = fixtures().join("object_info/0.3.64.json");
    let (schemas, shelf) = (schemas.to_str().unwrap(), saved_in_the_editor());
    let folder = shelf.path().to_str().unwrap();
    let build = ["build", "saved", "--workflows", folder, "-p", "prompt=a hut", "-p", "seed=5"];
    let refused = comfy_runner(&build);
    let reported = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    assert!(
        reported.contains("\"saved\" is in ComfyUI's UI format") && reported.contains("--object-info FILE"),
        "{reported}"
    );

    let with_schemas = [&build[..], &["--object-info", schemas]].concat();
    let api = comfy_runner(&with_schemas);
    let graph: Value = serde_json::from_slice(&api.stdout).unwrap();
    assert_eq!(graph["6"]["inputs"]["text"], "a hut");
    let converted = comfy_runner(&[&with_schemas[..], &["--format", "workflow"]].concat());
    assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
    let ui_graph: Value = serde_json::from_slice(&converted.stdout).unwrap();
    assert_eq!(api_format(&ui_graph)["3"]["inputs"]["seed"], 5);
    assert_eq!(ui_graph["groups"][0]["title"], "Inputs");

    // The schemas are of a ComfyUI without models: it is the graph that is looked at, and only that is missing.
    let validate = comfy_runner(&["validate", folder, "--object-info", schemas]);
    let reported = String::from_utf8_lossy(&validate.stdout).into_owned();
    assert!(
        reported.contains("node 4 \"Load Checkpoint\"") && reported.contains("1 error, 0 warnings"),
        "{reported}"
    );
}
