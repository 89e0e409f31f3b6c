//! Packs in the dialect of ComfyUI Studio through the HTTP API: small ones of our own, which run on the simulator.

mod support;

use serde_json::{Value, json};
use support::{Api, Form, Shelf, settings, simulator};

/// A block that makes an image and saves it.
fn tile(color: &str) -> Value {
    json!({"nodes": {
        "make": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": color}},
        "save": {"class_type": "SaveImage", "inputs": {"images": ["make", 0], "filename_prefix": "tile"}}}})
}

/// Builds a graph.
async fn build(api: &Api, workflow: &str, params: Value) -> Value {
    let reply = api.post(&format!("/api/run/{workflow}/build"), Form::new().params(params)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Runs a job to its end, and returns the seeds of its submission.
async fn complete(api: &Api, workflow: &str, params: Value) -> Value {
    let taken = api.execute(workflow, params).await;
    let status = api.wait(taken["prompt_id"].as_str().unwrap()).await;
    assert_eq!(status["status"], "completed", "{status}");
    taken["seeds"].clone()
}

#[actix_rt::test]
async fn inputs_in_groups_are_set_like_others_and_the_manifest_keeps_the_groups() {
    let simulator = simulator();
    let shelf = Shelf::new();
    shelf.put_manifest(
        "tiles",
        "id: tiles
type: dynamic
inputs:
- group: Look
  collapsed: true
  items: [{group: Paint, items: [{id: color, type: int, default: 1}]}]
pipeline: [{block: tile, file: tile.json}]
",
    );
    shelf.put_block("tiles", "tile.json", &tile("{{color}}"));
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let manifest = api.get("/api/run/tiles").await.json();
    let input = json!({"id": "color", "type": "int", "default": 1});
    let paint = json!({"group": "Paint", "items": [input]});
    assert_eq!(manifest["inputs"], json!([{"group": "Look", "collapsed": true, "items": [paint]}]));
    let built = build(&api, "tiles", json!({"color": 5})).await;
    assert_eq!(built["tile_0_make"]["inputs"]["color"], 5);
    let refused = api.post("/api/run/tiles/build", Form::new().params(json!({"Paint": 5}))).await;
    assert!(refused.detail().contains("Its inputs are color."), "{}", refused.detail());
    complete(&api, "tiles", json!({"color": 5})).await;
    api.stop().await;
}
