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

#[actix_rt::test]
async fn a_pack_of_scenes_runs_with_none_and_with_several() {
    let simulator = simulator();
    let shelf = Shelf::new();
    shelf.put_manifest(
        "scenes",
        "id: scenes
type: dynamic
inputs:
- {id: scenes, type: scene_list, per_scene: [{id: prompt, type: text, required: true}, {id: size, type: int, default: 16}, {id: seed, type: seed, default: -1}]}
- {id: invert, type: select, options: [4x-inv.pth, PLUS (strong)]}
- {id: save, type: boolean, default: true}
pipeline:
- {block: setup, file: setup.json}
- {block: scene_first, file: first.json, repeat: 1}
- {block: scene_extend, file: extend.json, repeat_variable: extra_scenes}
- {block: invert, file: invert.json, condition: invert == PLUS (strong)}
- {block: output, switch: save, cases: {'True': output.json}}
connections:
  chain: {before: prev_scene.frames}
  last: {final: last_scene.frames}
",
    );
    let image = json!({"width": "{{width}}", "height": 8, "batch_size": 1, "color": 3});
    shelf.put_block(
        "scenes",
        "setup.json",
        &json!({"nodes": {"n": {"class_type": "EmptyImage", "inputs": image}}, "exports": {"start": ["n", 0]}}),
    );
    let scale = |from: &str| {
        let inputs = json!({"image": [from, 0], "upscale_method": "nearest-exact", "width": "{{size}}",
            "height": "{{size}}", "crop": "disabled"});
        json!({"nodes": {"n": {"class_type": "ImageScale", "inputs": inputs, "_meta": {"title": "{{scene_num}} {{prompt}}"}}},
            "imports": [from], "exports": {"frames": ["n", 0]}})
    };
    shelf.put_block("scenes", "first.json", &scale("start"));
    shelf.put_block("scenes", "extend.json", &scale("before"));
    shelf.put_block(
        "scenes",
        "invert.json",
        &json!({"nodes": {"n": {"class_type": "ImageInvert", "inputs": {"image": "{{final}}"}}},
            "imports": ["final"], "exports": {"frames": ["n", 0]}}),
    );
    shelf.put_block(
        "scenes",
        "output.json",
        &json!({"nodes": {"n": {"class_type": "SaveImage", "inputs": {"images": "{{final}}", "filename_prefix": "x"}}},
            "imports": ["final"]}),
    );
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let ids = |graph: &Value| graph.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let none = build(&api, "scenes", json!({"scenes": []})).await;
    assert_eq!(ids(&none), ["setup_0_n", "scene_first_0_n", "output_0_n"]);
    assert_eq!(none["setup_0_n"]["inputs"]["width"], 1024);
    assert_eq!(none["scene_first_0_n"]["inputs"]["width"], 16);
    let given = json!({"scenes": [{"prompt": "a", "seed": 5}, {"prompt": "b", "seed": 6}], "invert": "PLUS (strong)"});
    let two = build(&api, "scenes", given.clone()).await;
    assert_eq!(ids(&two), ["setup_0_n", "scene_first_0_n", "scene_extend_0_n", "invert_0_n", "output_0_n"]);
    assert_eq!(two["scene_extend_0_n"]["_meta"]["title"], "2 b");
    assert_eq!(two["output_0_n"]["inputs"]["images"], json!(["invert_0_n", 0]));

    let seeds = complete(&api, "scenes", json!({})).await;
    assert!(seeds["scene_1"].is_u64() && seeds.get("scene_2").is_none(), "{seeds}");
    assert_eq!(complete(&api, "scenes", given).await, json!({"scene_1": 5, "scene_2": 6}));
    let saved = support::files_below(&simulator.data_dir().join("output"));
    let widths = saved.iter().map(|file| image::open(file).unwrap().width()).collect::<Vec<_>>();
    assert_eq!(widths, [16, 16]);
    api.stop().await;
}

#[actix_rt::test]
async fn lora_pairs_beside_the_workflows_are_seen_by_the_next_request() {
    let shelf = Shelf::new();
    shelf.put_manifest(
        "wan",
        "id: wan\ntype: dynamic\ninputs: [{id: pairs, type: lora_picker}]\npipeline: [{block: l, file: l.json, lora_injection: paired}]\n",
    );
    let loader = json!({"class_type": "Power Lora Loader (rgthree)", "inputs": {"lora_1": {"on": true, "lora": "own", "strength": 1}}});
    shelf.put_block("wan", "l.json", &json!({"nodes": {"lora_high": loader, "lora_low": loader}}));
    let api = Api::start_with(&settings("http://127.0.0.1:9"), shelf.path());
    let params = || json!({"pairs": [{"pair_id": "ink", "strength": 0.5}, {"pair_id": ""}]});
    let refused = api.post("/api/run/wan/build", Form::new().params(params())).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.detail().contains("lora_pairs.yaml"), "{}", refused.detail());
    std::fs::write(shelf.path().join("lora_pairs.yaml"), "ink: {high: h.pt, low: l.pt}\n").unwrap();
    let built = build(&api, "wan", params()).await;
    let slot = |file: &str| json!({"on": true, "lora": file, "strength": 0.5});
    assert_eq!(built["l_0_lora_high"]["inputs"]["lora_3"], slot("h.pt"));
    assert_eq!(built["l_0_lora_low"]["inputs"]["lora_3"], slot("l.pt"));
    assert_eq!(built["l_0_lora_high"]["inputs"]["lora_1"]["lora"], "own");
    api.stop().await;
}
