//! Dynamic workflows through the HTTP API: the samples run on the simulator, and callers hear what is wrong.

mod support;

use serde_json::{Value, json};
use support::{Api, Form, Shelf, png, settings, simulator};

fn gif_frames(bytes: &[u8]) -> usize {
    use image::AnimationDecoder as _;
    let decoder = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
    decoder.into_frames().collect_frames().unwrap().len()
}

#[actix_rt::test]
async fn the_studio_makes_a_batch_in_high_resolution_from_an_uploaded_image() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let params = json!({"seed": 7, "batch": 2, "steps": 2, "resolution": "128x64", "hires_enabled": true, "strength": 0.5,
        "loras": [{"file": "add_detail.safetensors", "strength": 0.5}]});
    let form = Form::new().params(params).file("input_image", "cat.png", &png());
    let reply = api.post("/api/run/text-to-image-studio/execute", form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    assert_eq!(reply["seeds"], json!({"seed": 7, "batch_1": 7, "batch_2": 8}));
    let prompt_id = reply["prompt_id"].as_str().unwrap();
    let status = api.wait(prompt_id).await;
    assert_eq!(status["status"], "completed", "{status}");

    let images: Vec<_> = support::files_below(&simulator.data_dir().join("output"));
    assert_eq!(images.len(), 2);
    // 128x64, larger by the default scale of 1.5.
    let result = api.get(&format!("/api/run/result/{prompt_id}")).await;
    let result = image::load_from_memory(&result.body).unwrap();
    assert_eq!((result.width(), result.height()), (192, 96));
    api.stop().await;
}

#[actix_rt::test]
async fn the_film_has_the_frames_of_all_its_scenes() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let scenes = json!([{"prompt": "waves", "duration": 0.25}, {"prompt": "dusk", "duration": 0.5}, {"prompt": "night", "duration": 0.25}]);
    let params = json!({"scenes": scenes, "seed": 10, "steps": 1, "resolution": "64x64"});
    let form = Form::new().params(params).file("image", "first.png", &png());
    let reply = api.post("/api/run/multi-scene-video/execute", form).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    assert_eq!(reply["seeds"], json!({"seed": 10, "scene_1": 10, "scene_2": 11, "scene_3": 12}));
    let prompt_id = reply["prompt_id"].as_str().unwrap();
    let status = api.wait(prompt_id).await;
    assert_eq!(status["status"], "completed", "{status}");
    let video = api.get(&format!("/api/run/result/{prompt_id}?output_type=video")).await;
    assert_eq!(video.status, 200, "{}", video.text());
    // duration * 16 + 1 of each scene.
    assert_eq!(gif_frames(&video.body), 5 + 9 + 5);
    api.stop().await;
}

#[actix_rt::test]
async fn build_gives_the_graph_of_a_dynamic_workflow_and_its_form_is_the_manifest() {
    let api = Api::start("http://127.0.0.1:9");
    let manifest = api.get("/api/run/text-to-image-studio").await.json();
    assert_eq!((&manifest["type"], &manifest["pipeline"][0]["block"]), (&json!("dynamic"), &json!("model")));
    let params = json!({"prompt": "{{seed}} {{ 1 + 1 }}", "seed": 18_446_744_073_709_551_615u64, "hires_enabled": "true"});
    let built = api.post("/api/run/text-to-image-studio/build?format=api", Form::new().params(params)).await;
    assert_eq!(built.status, 200, "{}", built.text());
    let graph = built.json();
    assert_eq!(
        graph["prompt_0_positive"]["inputs"]["text"], "{{seed}} {{ 1 + 1 }}",
        "a caller's value is data"
    );
    assert_eq!(graph["sample_0_sampler"]["inputs"]["seed"], json!(18_446_744_073_709_551_615u64));
    assert!(graph.get("hires_0_sampler").is_some() && graph.get("picture_0_load").is_none(), "{graph}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_refusal_names_the_value_or_the_stage_and_nothing_is_sent() {
    let simulator = simulator();
    let shelf = Shelf::new();
    let manifest = "
id: tiles
type: dynamic
inputs:
  - {id: count, type: int, default: 1}
  - {id: kind, type: text, default: plain}
pipeline:
  - {block: tile, repeat: count, switch: kind, cases: {plain: tile.json, framed: framed.json}}
";
    shelf.put_manifest("tiles", manifest);
    shelf.put_block(
        "tiles",
        "tile.json",
        &json!({"nodes": {
            "make": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": "{{index}}"}},
            "save": {"class_type": "SaveImage", "inputs": {"images": ["make", 0], "filename_prefix": "tile"}}}}),
    );
    shelf.put_block(
        "tiles",
        "framed.json",
        &json!({"imports": ["frame"], "nodes": {
            "save": {"class_type": "SaveImage", "inputs": {"images": ["frame", 0], "filename_prefix": "tile"}}}}),
    );
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let cases: [(Value, u16, &[&str]); 5] = [
        (json!({"count": 101}), 400, &["stage \"tile\"", "101", "100"]),
        (json!({"count": -1}), 400, &["stage \"tile\"", "-1"]),
        (json!({"count": "many"}), 400, &["\"count\"", "a whole number"]),
        (json!({"kind": "odd"}), 400, &["stage \"tile\"", "no stage applies to this request"]),
        (json!({"kind": "framed"}), 500, &["framed.json", "node \"save\"", "`images`", "\"frame\""]),
    ];
    for (params, status, said) in cases {
        for call in ["build", "execute"] {
            let reply = api.post(&format!("/api/run/tiles/{call}"), Form::new().params(params.clone())).await;
            let detail = reply.detail();
            assert!(said.iter().all(|part| detail.contains(part)), "{params}: {detail}");
            assert_eq!(reply.status.as_u16(), status, "{params}: {detail}");
        }
    }
    let taken = api.execute("tiles", json!({"count": 3})).await;
    assert_eq!(api.wait(taken["prompt_id"].as_str().unwrap()).await["status"], "completed");
    assert_eq!(support::files_below(&simulator.data_dir().join("output")).len(), 3);
    api.stop().await;
}

#[actix_rt::test]
async fn an_edited_block_counts_from_the_next_request_on_and_a_broken_one_says_where() {
    let shelf = Shelf::new();
    shelf.put_manifest("one", "id: one\ntype: dynamic\npipeline:\n  - {block: a, file: a.json}\n");
    let block = |text: &str| json!({"nodes": {"n": {"class_type": "Show", "inputs": {"text": text}}}});
    shelf.put_block("one", "a.json", &block("first"));
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    let text = async || {
        let reply = api.post("/api/run/one/build", Form::new()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["a_0_n"]["inputs"]["text"].clone()
    };
    assert_eq!(text().await, "first");
    shelf.put_block("one", "a.json", &block("another"));
    assert_eq!(text().await, "another");
    shelf.put_block("one", "a.json", &block("{{nobody}}"));
    let broken = api.post("/api/run/one/build", Form::new()).await;
    assert_eq!(broken.status, 500, "{}", broken.text());
    let detail = broken.detail();
    assert!(detail.contains("a.json") && detail.contains("nobody"), "{detail}");
    api.stop().await;
}
