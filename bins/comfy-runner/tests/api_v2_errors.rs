//! Errors of the Comfy API v2: what is refused, to whom, and what callers are not told.
//!
//! The number before what a test shows is a point of the table in `support/api_v2.rs`.

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::api_v2::{UNKNOWN, code, finished, graph, id, job, path, post, post_with, submit};
use support::{Api, fixtures, settings, simulator};

/// 23, 24, 25: what ComfyUI refuses, in whole or in part.
#[actix_rt::test]
async fn a_refusal_names_nodes_without_tracebacks_and_dropped_outputs_are_told() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut wrong = graph(1, 0, 1);
    wrong["3"]["inputs"]["steps"] = json!(99_999);
    let refused = post(&api, "/api/v2/jobs", &json!({"workflow": wrong})).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (422, "invalid_workflow"));
    let errors = &refused.json()["error"]["details"]["node_errors"];
    assert_eq!(errors["3"]["errors"][0]["type"], "value_bigger_than_max");
    assert!(!refused.text().contains("Traceback") && !refused.text().contains("traceback"));
    let mut partly = graph(1, 0, 1);
    partly["5"] = json!({"class_type": "ImageScale", "inputs": {"image": ["1", 0], "upscale_method": "none",
                         "width": 8, "height": 8, "crop": "disabled"}});
    partly["6"] = json!({"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}});
    let submitted = submit(&api, partly).await;
    let [warning] = &submitted["warnings"].as_array().unwrap()[..] else { panic!("{submitted}") };
    assert!(warning.as_str().unwrap().contains("ImageScale"), "{warning}");
    let logs = api.get(path(&api, &submitted["urls"]["logs"])).await.json();
    assert!(logs["text"].as_str().unwrap().contains("ImageScale"), "{logs}");
    let plain = submit(&api, graph(1, 0, 2)).await;
    assert_eq!(plain["urls"].get("logs"), None);
    assert_eq!(api.get(&format!("/api/v2/jobs/{}/logs", id(&plain))).await.status, 204);
    api.stop().await;
}

/// 25: of what a real ComfyUI said of an exception, the traceback stays here.
#[actix_rt::test]
async fn no_traceback_of_a_refusal_reaches_the_caller() {
    let recording = std::fs::read(fixtures().join("recordings/0.33.0/validation_errors.json")).unwrap();
    let recording: Value = serde_json::from_slice(&recording).unwrap();
    let refused = recording["prompts"].as_array().unwrap().iter();
    let refused = refused.map(|prompt| &prompt["response"]);
    let refusal = refused.into_iter().find(|response| response.to_string().contains("traceback")).unwrap();
    let mut comfyui = mockito::Server::new_async().await;
    let prompt = comfyui.mock("POST", "/prompt").with_status(400).with_body(refusal.to_string());
    prompt.create_async().await;
    let api = Api::start(&comfyui.url());
    let reply = post(&api, "/api/v2/jobs", &json!({"workflow": graph(1, 0, 1)})).await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (422, "invalid_workflow"));
    let errors = &reply.json()["error"]["details"]["node_errors"]["4"]["errors"];
    assert_eq!(errors[0]["extra_info"], json!({"exception_type": "KeyError"}));
    assert!(
        !reply.text().contains("raceback") && !reply.text().contains("/execution.py"),
        "{}",
        reply.text()
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_failed_job_names_its_node_also_after_a_restart() {
    let simulator = simulator();
    let settings = settings(&simulator.url());
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut failing = graph(1, 0, 1);
    failing["5"] =
        json!({"class_type": "RunnerTestFail", "inputs": {"image": ["3", 0], "message": "it broke"}});
    failing["4"]["inputs"]["images"] = json!(["5", 0]);
    let submitted = submit(&api, failing).await;
    let error = finished(&api, id(&submitted)).await["error"].take();
    assert_eq!((&error["code"], &error["node_id"]), (&json!("node_execution_error"), &json!("5")));
    assert_eq!((&error["class_type"], &error["traceback"]), (&json!("RunnerTestFail"), &Value::Null));
    assert!(error["message"].as_str().unwrap().contains("it broke"));
    api.stop_gracefully().await;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let error = job(&api, id(&submitted)).await["error"].take();
    assert_eq!((&error["node_id"], &error["class_type"]), (&json!("5"), &json!("RunnerTestFail")));
    api.stop().await;
}

/// 26: every error has the envelope, from a handler or not.
#[actix_rt::test]
async fn every_error_below_the_api_has_the_envelope() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for (path, expected) in [
        ("/api/v2", "not_found"),
        ("/api/v2/nothing", "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}"), "not_found"),
        ("/api/v2/jobs/word", "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/events"), "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/workflow"), "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/logs"), "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/"), "not_found"),
    ] {
        let reply = api.get(path).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (404, expected), "{path}");
    }
    let cancel = post(&api, &format!("/api/v2/jobs/{UNKNOWN}/cancel"), &json!({})).await;
    assert_eq!((cancel.status.as_u16(), code(&cancel).as_str()), (404, "not_found"));
    let method = api.delete("/api/v2/jobs").await;
    assert_eq!((method.status.as_u16(), code(&method).as_str()), (405, "method_not_allowed"));
    assert_eq!(method.header("allow"), "GET, HEAD, POST");
    for (body, status, expected) in [
        ("[1, 2]", 400, "invalid_request"),
        ("{", 400, "invalid_request"),
        ("", 400, "invalid_request"),
        ("{}", 422, "invalid_workflow"),
        (r#"{"workflow": {"nodes": [], "links": []}}"#, 422, "workflow_format_ui"),
        (r#"{"workflow": {"1": 3}}"#, 422, "invalid_workflow"),
        (r#"{"workflow": {}}"#, 422, "invalid_workflow"),
        (r#"{"workflow": {"1": {"class_type": "X"}}, "metadata": {"a b": "c"}}"#, 422, "metadata_invalid"),
        (r#"{"workflow": {"__type": "runner/WORKFLOW", "id": "nothing"}}"#, 422, "invalid_workflow"),
    ] {
        let reply = api.post_body("/api/v2/jobs", "text/plain".to_owned(), body).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (status, expected), "{body}");
    }
    let large = " ".repeat(17 << 20);
    let reply = api.post_body("/api/v2/jobs", "application/json".to_owned(), large).await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (413, "payload_too_large"));
    // Our own API keeps its form.
    assert!(api.get("/api/nothing").await.json()["detail"].is_string());
    api.stop().await;
}

#[actix_rt::test]
async fn a_bearer_token_is_a_key_on_every_route() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.api_keys = vec!["right".into()];
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    for path in ["/api/v2/jobs", "/api/jobs", "/api/workflows"] {
        for right in
            [("authorization", "Bearer right"), ("authorization", "bEARER right"), ("x-api-key", "right")]
        {
            assert_eq!(api.get_with(path, &[right]).await.status, 200, "{path} {right:?}");
        }
        for wrong in
            [("authorization", "Bearer wrong"), ("authorization", "Basic right"), ("x-api-key", "wrong")]
        {
            assert_eq!(api.get_with(path, &[wrong]).await.status, 401, "{path} {wrong:?}");
        }
    }
    for path in ["/api/v2/jobs", "/api/v2/nothing", &format!("/api/v2/jobs/{UNKNOWN}/events")] {
        let reply = api.get(path).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (401, "unauthorized"), "{path}");
        assert!(reply.text().contains("send your API key"), "{}", reply.text());
    }
    api.stop().await;
}

/// 28: who has no key learns whether ComfyUI answers, and not where it is.
#[actix_rt::test]
async fn health_asks_comfyui_and_names_no_address() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.api_keys = vec!["right".into()];
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let health = async || {
        let reply = api.get("/api/v2/health").await;
        assert_eq!(reply.status, 200);
        reply.json()
    };
    assert_eq!(health().await, json!({"status": "healthy", "upstream": "reachable"}));
    let page = api.get_with("/api/v2/health", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((page.status.as_u16(), code(&page).as_str()), (403, "forbidden"));
    simulator.stop();
    // What was found out is believed for a moment.
    while health().await != json!({"status": "healthy", "upstream": "unreachable"}) {
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    api.stop().await;
}

/// 28, 29: a ComfyUI that is gone is told as such, without its address.
#[actix_rt::test]
async fn a_comfyui_that_cannot_be_reached_is_told_without_its_address() {
    let api = Api::start("http://127.0.0.1:1");
    let body = json!({"workflow": graph(1, 0, 1)});
    // 29: and the key is free again.
    for _ in 0..2 {
        let reply = post_with(&api, &body, &[("Idempotency-Key", "k")]).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "upstream_unreachable"));
        assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
    }
    assert_eq!(api.get("/api/v2/jobs").await.json()["jobs"], json!([]));
    api.stop().await;
}
