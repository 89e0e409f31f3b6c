//! `GET /openapi.json`: what the server says about itself.

mod support;

use comfy_runner::server::Settings;
use support::{Api, Shelf, settings};

const MANIFEST: &str = "id: w\ninputs: [{id: prompt, type: text}]\n";

fn graph() -> serde_json::Value {
    serde_json::json!({"1": {"class_type": "EmptyImage", "inputs": {}}})
}

#[actix_rt::test]
async fn the_document_has_a_tag_and_is_not_sent_again() {
    let api = Api::start("http://127.0.0.1:9");
    let first = api.get("/openapi.json").await;
    assert_eq!((first.status.as_u16(), first.header("content-type")), (200, "application/json"));
    assert_eq!(first.json()["openapi"], "3.1.0");
    let tag = first.header("etag");
    for known in [tag, &format!("W/{tag}"), &format!("\"other\", {tag}")] {
        let again = api.get_with("/openapi.json", &[("If-None-Match", known)]).await;
        assert_eq!((again.status.as_u16(), again.header("etag"), again.body.len()), (304, tag, 0), "{known}");
    }
    let other = api.get_with("/openapi.json", &[("If-None-Match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn the_document_needs_a_key_when_the_server_has_one() {
    let settings = Settings { api_keys: vec!["key".to_owned()], ..settings("http://127.0.0.1:9") };
    let shelf = Shelf::new();
    shelf.put("w", MANIFEST, &graph());
    let api = Api::start_with(&settings, shelf.path());
    assert_eq!(api.get("/openapi.json").await.status, 401);
    let document = api.get_with("/openapi.json", &[("X-API-Key", "key")]).await.json();
    let security = &document["paths"]["/api/jobs"]["get"]["security"];
    assert_eq!(*security, serde_json::json!([{"ApiKey": []}]));
    api.stop().await;
}
