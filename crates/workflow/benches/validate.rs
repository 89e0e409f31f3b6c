//! How long a verdict takes: a graph of 100 nodes, all of whose inputs are there, and the largest official template.

use std::hint::black_box;

use comfy_runner_editor::UiGraph;
use comfy_runner_editor::to_api::to_api;
use comfy_runner_protocol::{Graph, ObjectInfo};
use comfy_runner_workflow::Validator;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};

/// A chain of samplers, each with prompts, latent and decoder of its own.
fn graph(nodes: usize) -> Graph {
    let mut prompt = Map::new();
    prompt.insert(
        "model".to_owned(),
        json!({"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x"}}),
    );
    let mut add = |id: String, class: &str, inputs: Value| {
        prompt.insert(id, json!({"class_type": class, "inputs": inputs}));
    };
    for part in 0..nodes / 6 {
        let id = |name: &str| format!("{part}:{name}");
        let clip = json!({"clip": ["model", 1], "text": "a lighthouse"});
        add(id("positive"), "CLIPTextEncode", clip.clone());
        add(id("negative"), "CLIPTextEncode", clip);
        add(id("latent"), "EmptyLatentImage", json!({"width": 512, "height": 512, "batch_size": 1}));
        add(
            id("sampler"),
            "KSampler",
            json!({
                "model": ["model", 0], "positive": [id("positive"), 0], "negative": [id("negative"), 0],
                "latent_image": [id("latent"), 0], "seed": 1, "steps": 20, "cfg": 8.0, "sampler_name": "euler",
                "scheduler": "normal", "denoise": 1.0,
            }),
        );
        add(id("decode"), "VAEDecode", json!({"samples": [id("sampler"), 0], "vae": ["model", 2]}));
        add(id("save"), "SaveImage", json!({"images": [id("decode"), 0], "filename_prefix": "x"}));
    }
    Graph::from_value(Value::Object(prompt)).expect("a graph")
}

fn benchmark(c: &mut Criterion) {
    let info = include_str!("../../../fixtures/object_info/0.33.0.json");
    let mut info: ObjectInfo = serde_json::from_str(info).expect("schemas");
    // The model is installed, so that all outputs are valid.
    let loader = info.get_mut("CheckpointLoaderSimple").expect("the loader");
    loader.input.required.insert("ckpt_name".to_owned(), json!([["x"], {}]).into());
    let validator = Validator::new(&info);
    let graph = graph(100);
    assert!(!validator.validate(&graph).is_refused());
    c.bench_function("validate 100 nodes", |b| b.iter(|| validator.validate(black_box(&graph))));
    c.bench_function("validate 100 nodes, with a validator of its own", |b| {
        b.iter(|| Validator::new(&info).validate(black_box(&graph)));
    });
}

/// The largest official template of ComfyUI 0.33.0; see the benchmark of the conversion.
const TEMPLATE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/frontend/0.33.0/comfyui_workflow_templates_json/templates/",
    "templates-1_click_multiple_character_angles-v1.0.json"
);

fn largest_template(c: &mut Criterion) {
    let Ok(text) = std::fs::read_to_string(TEMPLATE) else {
        println!("skipped: the largest template; run `just test-frontend 0.33.0`, which fetches it");
        return;
    };
    let info: ObjectInfo =
        serde_json::from_str(include_str!("../../../fixtures/object_info/0.33.0.json")).expect("schemas");
    let template: UiGraph = serde_json::from_str(&text).expect("a graph");
    let prompt = to_api(&template, &info).expect("it converts");
    let validator = Validator::new(&info);
    c.bench_function("the largest official template/validate", |b| {
        b.iter(|| validator.validate(black_box(&prompt)));
    });
}

criterion_group!(benches, benchmark, largest_template);
criterion_main!(benches);
