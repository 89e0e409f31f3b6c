//! Every request that the contract shows answers in the contract's shape.

mod support;

use comfy_runner_api::{Manifest, RESERVED_IDS, WorkflowList};
use serde_json::{Value, json};
use support::{Api, Form, png, simulator};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[actix_rt::test]
async fn the_manifest_is_answered_as_the_contract_shows_it() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let reply = api.get("/api/run/wan-i2v-14b").await;
    assert_eq!(reply.status, 200);
    let manifest = reply.json();
    assert_eq!(manifest["id"], "wan-i2v-14b");
    assert_eq!(manifest["name"], "WAN 2.1 I2V 14B");
    assert_eq!(manifest["type"], "static");
    assert_eq!(manifest["category"], "video");
    assert_eq!(manifest["description"], "Image-to-video with WAN 2.1 14B");
    let input = |id: &str| {
        let inputs = manifest["inputs"].as_array().unwrap();
        inputs.iter().find(|input| input["id"] == id).unwrap_or_else(|| panic!("{id}: {inputs:?}")).clone()
    };
    assert_eq!(
        input("image"),
        json!({"id": "image", "type": "image", "label": "Input Image", "node_id": 1, "field": "image"})
    );
    assert_eq!(
        input("prompt"),
        json!({"id": "prompt", "type": "text", "label": "Prompt", "node_id": 5, "field": "text", "default": ""})
    );
    assert_eq!(
        input("steps"),
        json!({"id": "steps", "type": "int", "label": "Steps", "node_id": 10, "field": "steps", "default": 30, "min": 1,
               "max": 100})
    );
    assert_eq!(
        input("seed"),
        json!({"id": "seed", "type": "seed", "label": "Seed", "node_id": 12, "field": "seed", "default": -1})
    );
    assert!(manifest["outputs"].as_array().unwrap().iter().any(|output| output["type"] == "video"));
    assert_eq!(manifest["required_models"][0], "wan2.1_i2v_720p_14B_fp16.safetensors");

    let missing = api.get("/api/run/wan-i2v-14c").await;
    assert_eq!(missing.status, 404);
    assert!(missing.detail().contains("did you mean \"wan-i2v-14b\"?"), "{}", missing.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn an_uploaded_image_gets_a_unique_name() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let upload = || async {
        let reply = api.post("/api/run/upload-image", Form::new().file("file", "my-image.png", &png())).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(keys(&reply.json()), ["filename"]);
        reply.json()["filename"].as_str().unwrap().to_owned()
    };
    let (first, second) = (upload().await, upload().await);
    assert_ne!(first, second);
    let parts: Vec<_> = first.splitn(4, '_').collect();
    let [date, time, random, name] = parts[..] else { panic!("{first}") };
    let digits = |text: &str, n: usize| text.len() == n && text.bytes().all(|byte| byte.is_ascii_digit());
    assert!(digits(date, 8) && digits(time, 6), "{first}");
    assert!(random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_hexdigit()), "{first}");
    assert_eq!(name, "my-image.png");

    let view = api.get(&format!("/api/comfyui/view?filename={first}&type=input")).await;
    assert_eq!((view.status.as_u16(), view.header("content-type")), (200, "image/png"));
    assert_eq!(view.body, png());
    api.stop().await;
}

#[actix_rt::test]
async fn an_upload_that_comfyui_does_not_take_is_a_500_that_says_so() {
    let api = Api::start("http://127.0.0.1:9");
    let reply = api.post("/api/run/upload-image", Form::new().file("file", "my-image.png", &png())).await;
    assert_eq!(reply.status, 500);
    assert!(reply.detail().starts_with("Upload failed: "), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn a_build_is_a_flat_map_of_nodes_and_needs_no_comfyui() {
    let api = Api::start("http://127.0.0.1:9");
    let params = json!({"prompt": "a cat walking", "steps": 30, "seed": -1});
    let path = "/api/run/wan-i2v-14b/build";
    for query in ["?format=api", ""] {
        let reply = api.post(&format!("{path}{query}"), Form::new().params(params.clone())).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let graph = reply.json();
        assert!(graph.as_object().unwrap().values().all(|node| node["class_type"].is_string()), "{graph}");
        assert_eq!(graph["5"]["inputs"]["text"], "a cat walking");
        assert_eq!(graph["10"]["inputs"]["steps"], 30);
        assert!(graph["12"]["inputs"]["seed"].as_u64().unwrap() < 1 << 53);
    }
    let reply = api.post(&format!("{path}?format=workflow"), Form::new().params(params.clone())).await;
    // The conversion needs ComfyUI's node schemas.
    assert_eq!(reply.status, 500);
    assert!(reply.detail().contains("node schemas"), "{}", reply.detail());
    let reply = api.post(&format!("{path}?format=png"), Form::new().params(params)).await;
    assert_eq!(reply.status, 400);
    assert!(reply.detail().contains("\"png\""));
    assert_eq!(api.post("/api/run/none/build", Form::new()).await.status, 404);
    api.stop().await;
}

#[actix_rt::test]
async fn a_build_with_an_image_names_it_in_the_graph() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let form = Form::new().params(json!({"prompt": "a cat"})).file("input_image", "my-image.png", &png());
    let graph = api.post("/api/run/wan-i2v-14b/build", form).await.json();
    assert!(graph["1"]["inputs"]["image"].as_str().unwrap().ends_with("_my-image.png"), "{}", graph["1"]);
    api.stop().await;
}

#[actix_rt::test]
async fn a_workflow_runs_with_an_image_and_its_result_is_the_file_it_made() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let form = Form::new()
        .params(json!({"prompt": "a cat walking on the beach", "steps": 4, "seed": -1}))
        .file("input_image", "my-image.png", &png());
    let reply = api.post("/api/run/wan-i2v-14b/execute", form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let job = reply.json();
    assert_eq!(keys(&job), ["prompt_id", "client_id", "seeds"]);
    let (prompt_id, client_id) = (job["prompt_id"].as_str().unwrap(), job["client_id"].as_str().unwrap());
    assert_eq!((prompt_id.len(), client_id.len()), (36, 32));
    assert!(client_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(job["seeds"]["seed"].as_u64().unwrap() < 1 << 53);

    let status = api.wait(prompt_id).await;
    assert_eq!(keys(&status), ["status", "outputs", "percent"], "{status}");
    assert_eq!(status["status"], "completed");
    let video = &status["outputs"]["video"];
    assert_eq!(keys(video), ["filename", "subfolder", "type"]);
    assert_eq!(video["type"], "output");
    let subfolder = video["subfolder"].as_str().unwrap();
    assert!(
        subfolder.ends_with("/final") && subfolder.len() == "20260324_143052_a1b2c3/final".len(),
        "{subfolder}"
    );
    assert!(video["filename"].as_str().unwrap().starts_with("final_00001"), "{video}");

    let result = api.get(&format!("/api/run/result/{prompt_id}")).await;
    assert_eq!(result.status, 200);
    assert_eq!(
        result.header("content-disposition"),
        format!("inline; filename=\"{}\"", video["filename"].as_str().unwrap())
    );
    assert!(result.body.starts_with(b"GIF8"));
    api.stop().await;
}

#[actix_rt::test]
async fn a_workflow_runs_with_an_image_that_was_uploaded_before() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let upload = api.post("/api/run/upload-image", Form::new().file("file", "my-image.png", &png())).await;
    let params = json!({"prompt": "a cat", "_existing_input_image": upload.json()["filename"]});
    let job = api.execute("image-to-image", params).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    let result = api.get(&format!("/api/run/result/{prompt_id}?output_type=image")).await;
    assert_eq!((result.status.as_u16(), result.header("content-type")), (200, "image/png"));
    api.stop().await;
}

#[actix_rt::test]
async fn a_running_job_tells_what_the_contract_says_it_tells() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let job = api.execute("test-progress", json!({"steps": 1000, "delay_ms": 20, "seed": 5})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    // The first messages may have come before the socket was open: a rate needs two later ones.
    let has_rate = |status: &serde_json::Value| status["step_rate"].as_f64() > Some(0.0);
    let status =
        api.wait_until(prompt_id, |status| status["step"].as_u64() > Some(2) && has_rate(status)).await;
    let fields = [
        "status",
        "node_title",
        "node_type",
        "step",
        "total_steps",
        "percent",
        "nodes_done",
        "total_nodes",
        "effective_total",
        "cached_count",
        "eta_seconds",
        "step_rate",
        "node_outputs",
    ];
    assert_eq!(keys(&status), fields);
    assert_eq!((status["status"].as_str(), status["total_steps"].as_u64()), (Some("running"), Some(1000)));
    assert_eq!(status["node_type"], "RunnerTestProgress");
    let (percent, eta) = (status["percent"].as_u64().unwrap(), status["eta_seconds"].as_u64());
    assert!(percent < 100 && eta.is_some(), "{status}");

    // The second waits behind the first.
    let waiting = api.execute("test-progress", json!({"steps": 1, "seed": 6})).await;
    let status = api.get(&format!("/api/run/status/{}", waiting["prompt_id"].as_str().unwrap())).await.json();
    assert_eq!(status, json!({"status": "pending", "step": 0, "total_steps": 0, "percent": 0}));
    let result = api.get(&format!("/api/run/result/{prompt_id}")).await;
    assert_eq!(result.status, 404);
    assert!(result.detail().contains("running"));
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_nobody_knows_is_404() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for id in ["abc12345-6789-0def-ghij-klmnopqrstuv", "..%2F..%2Fetc", "x y"] {
        let id = id.replace(' ', "%20");
        let status = api.get(&format!("/api/run/status/{id}")).await;
        assert_eq!(status.status, 404, "{id}");
        assert!(status.detail().contains("there is no job"), "{}", status.detail());
        assert_eq!(api.get(&format!("/api/run/result/{id}")).await.status, 404);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_failing_node_makes_a_status_of_error_without_traceback() {
    let simulator = simulator();
    let workflows = tempfile::tempdir().unwrap();
    let folder = workflows.path().join("failing");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("manifest.yaml"), "id: failing\nname: Failing\n").unwrap();
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestFail", "inputs": {"image": ["1", 0], "message": "it broke"},
              "_meta": {"title": "Breaks"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    std::fs::write(folder.join("workflow.json"), graph.to_string()).unwrap();
    let api = Api::start_with(&support::settings(&simulator.url()), workflows.path());
    let job = api.execute("failing", json!({})).await;
    assert_eq!(job["seeds"], json!({}));
    let prompt_id = job["prompt_id"].as_str().unwrap();
    let status = api.wait(prompt_id).await;
    assert_eq!(keys(&status), ["status", "error", "percent"]);
    let error = status["error"].as_str().unwrap();
    assert!(error.contains("Breaks") && error.contains("it broke"), "{error}");
    assert!(!error.contains("Traceback") && !error.contains(".py"), "{error}");
    let result = api.get(&format!("/api/run/result/{prompt_id}")).await;
    assert_eq!(result.status, 404);
    assert!(result.detail().contains("it broke"));
    api.stop().await;
}

#[actix_rt::test]
async fn health_is_always_there_and_readiness_says_why_not() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    assert_eq!(api.get("/health").await.json()["status"], "ok");
    assert_eq!(api.get("/ready").await.status, 200);
    let listed = api.get("/api/workflows").await.json();
    let first = &listed.as_array().unwrap()[0];
    assert_eq!(keys(first)[..5], ["id", "name", "type", "category", "description"]);
    api.stop().await;

    let alone = Api::start("http://127.0.0.1:9");
    assert_eq!(alone.get("/health").await.status, 200);
    let ready = alone.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.detail(),
        "ComfyUI cannot be reached: connection refused (is ComfyUI running, and is this its port?)"
    );
    alone.stop().await;
}

#[actix_rt::test]
async fn what_is_not_there_or_not_that_way_is_a_clear_error_too() {
    let api = Api::start("http://127.0.0.1:9");
    assert_eq!(api.get("/nowhere").await.status, 404);
    assert!(api.get("/api/nowhere").await.detail().contains("/api/nowhere"));
    let wrong = api.get("/api/run/wan-i2v-14b/execute").await;
    assert_eq!(wrong.status, 405);
    assert!(wrong.detail().contains("GET"));
    assert_eq!(api.get("/api/comfyui/view").await.status, 400);
    let text = api.post_body("/api/run/wan-i2v-14b/build", "text/plain".into(), "{}").await;
    assert_eq!(text.status, 415);
    assert!(text.detail().contains("text/plain"), "{}", text.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn every_manifest_is_read_as_the_type_of_the_api_and_nothing_of_it_is_lost() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let workflows: WorkflowList = serde_json::from_slice(&api.get("/api/workflows").await.body).unwrap();
    assert!(workflows.len() > 5);
    for workflow in workflows {
        let answered = api.get(&format!("/api/run/{}", workflow.id)).await.json();
        let manifest: Manifest = serde_json::from_value(answered.clone()).unwrap();
        assert_eq!(serde_json::to_value(&manifest).unwrap(), answered);
        assert_eq!((&manifest.id, manifest.kind), (&workflow.id, workflow.kind));
    }
    api.stop().await;
}

#[test]
fn no_workflow_can_have_an_id_that_the_api_reserves() {
    assert_eq!(RESERVED_IDS, comfy_runner_manifest::RESERVED_IDS);
}
