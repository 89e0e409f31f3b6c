//! The encodings of a request's params. No ComfyUI is needed for them.

mod support;

use serde_json::{Value, json};
use support::{Api, Form, Reply, Shelf, settings};

fn serve() -> (Api, Shelf) {
    let shelf = Shelf::new();
    let manifest = r#"
id: plate
name: Plate
inputs:
  - {id: width, type: int, node_id: 1, field: width, default: 64}
  - {id: photo, type: image, node_id: 2, field: image}
"#;
    let graph = json!({
        "1": {"class_type": "Empty", "inputs": {"width": 1}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    });
    shelf.put("plate", manifest, &graph);
    (Api::start_with(&settings("http://127.0.0.1:9"), shelf.path()), shelf)
}

async fn post(api: &Api, content_type: &str, body: &str) -> Reply {
    api.post_body("/api/run/plate/build", content_type.to_owned(), body.to_owned()).await
}

fn width(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["1"]["inputs"]["width"].clone()
}

#[actix_rt::test]
async fn params_come_as_json_as_a_url_encoded_form_or_as_a_multipart_form() {
    let (api, _shelf) = serve();
    assert_eq!(width(&post(&api, "application/json", r#"{"width": 7}"#).await), 7);
    assert_eq!(width(&post(&api, "application/json; charset=utf-8", r#"{"params": {"width": 8}}"#).await), 8);
    assert_eq!(width(&post(&api, "application/json", "").await), 64);
    let form = "application/x-www-form-urlencoded";
    assert_eq!(width(&post(&api, form, "params=%7B%22width%22%3A+9%7D").await), 9);
    let multipart = Form::new().params(json!({"width": 10}));
    assert_eq!(width(&api.post("/api/run/plate/build", multipart).await), 10);
    api.stop().await;
}

#[actix_rt::test]
async fn a_json_request_names_an_uploaded_file() {
    let (api, _shelf) = serve();
    let reply = post(&api, "application/json", r#"{"_existing_photo": "mine.png"}"#).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["2"]["inputs"]["image"], "mine.png");
    api.stop().await;
}

#[actix_rt::test]
async fn a_body_that_is_wrong_is_refused_with_what_would_be_right() {
    let (api, _shelf) = serve();
    let cases = [
        ("application/json", "[1]", "the body must be a JSON object"),
        ("application/json", "{\"width\": }", "the body is not valid JSON"),
        ("application/json", r#"{"params": {}, "width": 1}"#, "\"width\" beside `params`"),
        ("application/json", r#"{"width": "wide"}"#, "\"width\""),
        ("application/x-www-form-urlencoded", "width=7", "a field \"width\""),
        ("application/x-www-form-urlencoded", "params=7", "`params` must be a JSON object"),
    ];
    for (content_type, body, part) in cases {
        let reply = post(&api, content_type, body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text());
        assert!(reply.detail().contains(part), "{}", reply.detail());
    }
    let large = format!("{{\"prompt\": \"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(post(&api, "application/json", &large).await.status, 413);
    api.stop().await;
}

#[actix_rt::test]
async fn an_unsupported_content_type_is_answered_with_requests_that_work() {
    let (api, _shelf) = serve();
    for path in ["/api/run/plate/build", "/api/run/plate/execute"] {
        let reply = api.post_body(path, "text/plain".to_owned(), "width=7").await;
        assert_eq!(reply.status, 415, "{}", reply.text());
        for part in ["\"text/plain\"", "curl -X POST", "requests.post(", path] {
            assert!(reply.detail().contains(part), "{}", reply.detail());
        }
    }
    for path in ["/api/run/upload-image", "/api/workflows/inspect"] {
        let reply = api.post_body(path, "application/json".to_owned(), "{}").await;
        assert_eq!(reply.status, 415, "{}", reply.text());
        assert!(reply.detail().contains("curl -F file=@"), "{}", reply.detail());
    }
    api.stop().await;
}
