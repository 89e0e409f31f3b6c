//! Files that params bring: by a URL, or in base64.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comfy_runner::server::Settings;
use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::{Api, Form, Reply, fixtures, png, settings, simulator, uploaded};

const EXECUTE: &str = "/api/run/image-to-image/execute";

fn serve(simulator: &Simulator) -> Api {
    let allowed = Settings { allow_input_hosts: vec!["127.0.0.1".to_owned()], ..settings(&simulator.url()) };
    Api::start_with(&allowed, &fixtures().join("workflows"))
}

async fn execute(api: &Api, params: Value) -> Reply {
    api.post_body(EXECUTE, "application/json".to_owned(), params.to_string()).await
}

/// A server with an image at `/fox.png`.
async fn web() -> mockito::ServerGuard {
    let mut web = mockito::Server::new_async().await;
    web.mock("GET", "/fox.png").with_body(png()).create_async().await;
    web
}

#[actix_rt::test]
async fn an_image_is_fetched_from_its_url() {
    let (simulator, web) = (simulator(), web().await);
    let api = serve(&simulator);
    let reply = execute(&api, json!({"steps": 1, "image": {"url": format!("{}/fox.png", web.url())}})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(api.wait(reply.json()["prompt_id"].as_str().unwrap()).await["status"], "completed");
    let [name] = &uploaded(&simulator)[..] else { panic!("one file") };
    assert!(name.ends_with("_fox.png"), "{name}");
    assert_eq!(std::fs::read(simulator.data_dir().join("input").join(name)).unwrap(), png());
    api.stop().await;
}

#[actix_rt::test]
async fn an_image_comes_in_base64_also_when_it_is_larger_than_params_may_be() {
    let simulator = simulator();
    let api = Api::start_with(
        &Settings { max_upload: 4 << 20, ..settings(&simulator.url()) },
        &fixtures().join("workflows"),
    );
    // What follows the image is not read by a decoder.
    let mut image = png();
    image.resize(3 << 20, 0);
    for source in [
        json!({"base64": STANDARD.encode(png())}),
        json!({"url": format!("data:image/png;base64,{}", STANDARD.encode(&image))}),
    ] {
        let reply = execute(&api, json!({"steps": 1, "image": source})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(api.wait(reply.json()["prompt_id"].as_str().unwrap()).await["status"], "completed");
    }
    assert_eq!(uploaded(&simulator).len(), 2);
    api.stop().await;
}

#[actix_rt::test]
async fn a_form_may_name_a_url_too_but_not_beside_a_file() {
    let (simulator, web) = (simulator(), web().await);
    let api = serve(&simulator);
    let params = json!({"image": {"url": format!("{}/fox.png", web.url())}});
    let form = || Form::new().params(params.clone());
    assert_eq!(api.post("/api/run/image-to-image/build", form()).await.status, 200);
    let reply = api.post(EXECUTE, form().file("image", "a.png", &png())).await;
    assert_eq!(reply.status, 400);
    assert!(reply.detail().contains("by its id and as a file; send one"), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn what_cannot_be_used_is_refused_with_the_reason_and_nothing_is_uploaded() {
    let (simulator, mut web) = (simulator(), web().await);
    web.mock("GET", "/page.png").with_body("<!DOCTYPE html><html>").create_async().await;
    web.mock("GET", "/large.png").with_body([png(), vec![0; 2 << 20]].concat()).create_async().await;
    let api = serve(&simulator);
    let url = |path: &str| json!({"url": format!("{}{path}", web.url())});
    let cases = [
        (url("/missing.png"), 400, "answered 501"),
        (url("/page.png"), 400, "text/html"),
        (url("/large.png"), 413, "larger than the limit"),
        (json!({"url": "http://localhost/a.png"}), 400, "\"localhost\" has no public address"),
        (json!({"url": "file:///etc/passwd"}), 400, "only http and https"),
        (json!({"base64": "not base64"}), 400, "not valid base64"),
        (json!({"base64": STANDARD.encode("hello")}), 400, "of no kind that is known"),
        (
            json!({"base64": STANDARD.encode(b"\0\0\0\x18ftypisom\0\0\0\0isommp41")}),
            400,
            "is video/mp4, not an image",
        ),
        (json!({"path": "/etc/passwd"}), 400, "write {\"url\""),
    ];
    for (image, status, part) in cases {
        let reply = execute(&api, json!({"image": image})).await;
        assert_eq!(reply.status, status, "{image}: {}", reply.text());
        assert!(reply.detail().contains(part), "{image}: {}", reply.detail());
    }
    // Wrong params are refused before a file is fetched.
    let reply = execute(&api, json!({"stepz": 1, "image": url("/missing.png")})).await;
    assert!(reply.detail().contains("stepz"), "{}", reply.detail());
    assert!(uploaded(&simulator).is_empty());
    api.stop().await;
}

#[actix_rt::test]
async fn params_may_not_be_longer_because_a_file_may() {
    let simulator = simulator();
    let api = serve(&simulator);
    let many: Vec<_> = (0..600_000).collect();
    let reply = execute(&api, json!({"image": {"base64": "aGk="}, "_note": many})).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert!(reply.detail().contains("`params` is larger than"), "{}", reply.detail());
    let reply = execute(&api, json!({"image": {"base64": "A".repeat(17 << 20)}})).await;
    assert_eq!(reply.status, 413, "{}", reply.text());
    assert!(reply.detail().contains("multipart/form-data"), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn a_repeated_request_with_a_key_is_the_same_job_and_fetches_nothing_again() {
    let (simulator, mut web) = (simulator(), mockito::Server::new_async().await);
    let fetched = web.mock("GET", "/fox.png").with_body(png()).expect(1).create_async().await;
    let api = serve(&simulator);
    let form = |url: &str| Form::new().params(json!({"steps": 1, "image": {"url": url}}));
    let url = format!("{}/fox.png", web.url());
    let first = api.post_with_key(EXECUTE, "once", form(&url)).await;
    let second = api.post_with_key(EXECUTE, "once", form(&url)).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(first.json()["prompt_id"], second.json()["prompt_id"]);
    let other = api.post_with_key(EXECUTE, "once", form("https://example.com/other.png")).await;
    assert_eq!(other.status, 409, "{}", other.text());
    fetched.assert_async().await;
    api.stop().await;
}
