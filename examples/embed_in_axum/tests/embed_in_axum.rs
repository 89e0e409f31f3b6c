//! The example against the simulator.

use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use comfy_runner_runner::Runner;
use comfy_runner_simulator::Simulator;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Sends a request, and returns the status, the content type and the body.
async fn send(app: &Router, request: Request<Body>) -> (StatusCode, String, Vec<u8>) {
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, content_type, body.to_vec())
}

async fn post(app: &Router, params: &Value) -> (StatusCode, Value) {
    let request = Request::post("/images").header(CONTENT_TYPE, "application/json");
    let (status, _, body) = send(app, request.body(Body::from(params.to_string())).unwrap()).await;
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(app: &Router, id: &str) -> (StatusCode, String, Vec<u8>) {
    send(app, Request::get(format!("/images/{id}")).body(Body::empty()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_made_and_fetched() {
    let simulator = Simulator::builder().step_delay(Duration::ZERO).start().unwrap();
    let workflows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/workflows");
    let runner = Runner::builder(simulator.url()).workflows(workflows).start().unwrap();
    let app = embed_in_axum::app(runner.clone());

    let (status, body) = post(&app, &json!({"prompt": "a red fox", "steps": 4})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{body}");
    let id = body["id"].as_str().unwrap();
    runner.job(id).await.unwrap().wait().await.unwrap();
    let (status, content_type, image) = get(&app, id).await;
    assert_eq!((status, content_type.as_str()), (StatusCode::OK, "image/png"));
    assert!(image.starts_with(b"\x89PNG"));

    let (status, body) = post(&app, &json!({"promt": "a red fox"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["error"].as_str().unwrap().contains("promt"), "{body}");
    assert_eq!(get(&app, "0a1b2c3d-0000-4000-8000-00000000000f").await.0, StatusCode::NOT_FOUND);

    runner.shutdown().await.unwrap();
    assert_eq!(get(&app, id).await.0, StatusCode::SERVICE_UNAVAILABLE);
}
