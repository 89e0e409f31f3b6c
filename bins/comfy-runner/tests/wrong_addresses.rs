//! Addresses at which no ComfyUI, or no comfy-runner, answers.

mod support;

use std::process::Output;

use serde_json::json;
use support::process::{Caller, Served, comfy_runner};
use support::{Api, Form, Shelf, fixtures, settings, simulator};

/// Runs a command with the sample workflows to its end.
fn run(args: &[&str]) -> Output {
    comfy_runner().args(args).env("COMFY_RUNNER_WORKFLOWS", fixtures().join("workflows")).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The error of a URL below which a ComfyUI answers.
fn not_the_root(url: &str) -> String {
    format!("{url} does not look like a ComfyUI (GET {url}/system_stats: 404); give its root URL")
}

fn serve(comfyui: &str) -> Output {
    run(&["serve", "--listen", "127.0.0.1:0", "--state-dir", ":memory:", "--comfyui", comfyui])
}

#[test]
fn a_server_does_not_start_when_something_else_answers() {
    let simulator = simulator();
    let url = format!("{}/prompt", simulator.url());
    let wrong = serve(&url);
    assert_eq!(wrong.status.code(), Some(1));
    // A line of the log about the workflows may come after it.
    assert!(stderr(&wrong).contains(&format!("error: {}\n", not_the_root(&url))), "{}", stderr(&wrong));

    let state = tempfile::tempdir().unwrap();
    let other = Served::start(&simulator.url(), state.path(), &["--api-key", "secret"]);
    for url in [other.base.clone(), format!("{}/api", other.base)] {
        let ours = serve(&url);
        assert_eq!(ours.status.code(), Some(1));
        let error = format!(
            "error: {url} is a comfy-runner server, not a ComfyUI; give the URL of the ComfyUI that it uses\n"
        );
        assert!(stderr(&ours).contains(&error), "{}", stderr(&ours));
    }
}

#[actix_rt::test]
async fn a_server_starts_while_comfyui_is_down() {
    let state = tempfile::tempdir().unwrap();
    let mut server = Served::start("http://127.0.0.1:9", state.path(), &[]);
    let health = Caller::new().get(&format!("{}/health", server.base)).await;
    assert_eq!((health.status.as_u16(), &health.json()["program"]), (200, &json!("comfy-runner")));
    assert!(server.terminate().success());
}

#[actix_rt::test]
async fn a_job_for_a_wrong_url_is_refused_and_leaves_nothing_behind() {
    let simulator = simulator();
    let url = format!("{}/prompt", simulator.url());
    let api = Api::start(&url);
    let reply =
        api.post("/api/run/text-to-image/execute", Form::new().params(json!({"prompt": "a fox"}))).await;
    assert_eq!((reply.status.as_u16(), reply.detail()), (500, not_the_root(&url)));
    assert_eq!(api.get("/api/jobs").await.json()["jobs"], json!([]));
    let ready = api.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(
        ready.detail(),
        "the configured URL does not look like a ComfyUI (GET /system_stats: 404); give its root URL"
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_prompt_that_is_answered_with_4xx_is_no_job() {
    let graph = json!({"1": {"class_type": "SaveImage", "inputs": {}}});
    for status in [401, 403, 404, 405, 413, 422, 429] {
        let mut comfyui = mockito::Server::new_async().await;
        comfyui.mock("POST", "/prompt").with_status(status).create_async().await;
        // Nothing tells whether ComfyUI has the prompt: all other requests are answered with 501.
        let shelf = Shelf::new();
        shelf.put("only", "id: only\nname: Only\n", &graph);
        let api = Api::start_with(&settings(&comfyui.url()), shelf.path());
        let reply = api.post("/api/run/only/execute", Form::new()).await;
        assert_eq!(reply.status, 500);
        let detail = reply.detail();
        assert!(detail.contains(&format!("answered POST /prompt with {status}")), "{detail}");
        assert!(!detail.contains("all the same"), "{detail}");
        assert_eq!(api.get("/api/jobs").await.json()["jobs"], json!([]));
        api.stop().await;
    }
}

#[test]
fn every_command_that_asks_comfyui_names_a_wrong_url() {
    let (simulator, folder) = (simulator(), tempfile::tempdir().unwrap());
    let url = format!("{}/prompt", simulator.url());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (graph, ui_graph, out) = (path("graph.json"), path("ui_graph.json"), path("out"));
    let nodes = json!({"1": {"class_type": "EmptyImage", "inputs": {}}});
    std::fs::write(&graph, nodes.to_string()).unwrap();
    std::fs::write(&ui_graph, json!({"nodes": [], "links": [], "version": 0.4}).to_string()).unwrap();
    for args in [
        vec!["run", "text-to-image", "-p", "prompt=x", "-o", &out],
        vec!["run", "no-model", "-o", &out],
        vec!["validate"],
        vec!["validate", &graph],
        vec!["init", "mine", &graph, "--workflows", &out],
        vec!["convert", &ui_graph, "--to", "api"],
        vec!["build", "text-to-image", "-p", "prompt=x", "--format", "workflow"],
    ] {
        let output = run(&[&args[..], &["--comfyui", &url]].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = stderr(&output);
        assert!(error.ends_with(&format!("{}\n", not_the_root(&url))), "{args:?}: {error}");
        assert_eq!((error.lines().count(), error.starts_with("error: ")), (1, true), "{args:?}: {error}");
    }
}

#[test]
fn a_server_address_that_is_not_ours_is_named() {
    let simulator = simulator();
    let address = simulator.url().replace("http://", "");
    let id = "7973ab12-6789-4def-8123-456789abcdef";
    for args in [["show", id], ["watch", id], ["cancel", id]] {
        let output = run(&[&["jobs", "--server", &simulator.url()], &args[..]].concat());
        assert_eq!(output.status.code(), Some(1));
        let error = format!("{address} does not answer like comfy-runner; check --server");
        assert!(stderr(&output).contains(&error), "{args:?}: {}", stderr(&output));
    }
}
