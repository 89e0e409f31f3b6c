//! Conversion in both directions: the largest official template, the largest recorded graph, generated rows of samplers.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;

use comfy_runner_editor::{Annotations, UiGraph, from_api, to_api};
use comfy_runner_protocol::graph::Graph;
use comfy_runner_protocol::object_info::ObjectInfo;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

fn fixture(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path);
    serde_json::from_str(&fs::read_to_string(path).expect("the fixture is there")).expect("it is JSON")
}

/// Samplers one after another, each with prompts and an image of its own: five nodes each.
fn generated(nodes: usize) -> Graph {
    let mut graph = serde_json::Map::new();
    graph.insert(
        "loader".to_owned(),
        json!({"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "c"}}),
    );
    graph.insert(
        "latent".to_owned(),
        json!({"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64}}),
    );
    for at in 0..nodes / 5 {
        let latent = if at == 0 { "latent".to_owned() } else { format!("sample_{}", at - 1) };
        let text = |words: &str| json!({"class_type": "CLIPTextEncode", "inputs": {"text": words, "clip": ["loader", 1]}});
        graph.insert(format!("good_{at}"), text("a hut by the sea"));
        graph.insert(format!("bad_{at}"), text("blurry"));
        graph.insert(format!("sample_{at}"), json!({"class_type": "KSampler", "inputs": {"seed": at, "steps": 20, "cfg": 7.0,
            "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0, "model": ["loader", 0],
            "positive": [format!("good_{at}"), 0], "negative": [format!("bad_{at}"), 0], "latent_image": [latent, 0]}}));
        graph.insert(
            format!("decode_{at}"),
            json!({"class_type": "VAEDecode", "inputs":
            {"samples": [format!("sample_{at}"), 0], "vae": ["loader", 2]}}),
        );
        graph.insert(
            format!("save_{at}"),
            json!({"class_type": "SaveImage", "inputs":
            {"images": [format!("decode_{at}"), 0], "filename_prefix": "a"}}),
        );
    }
    Graph::from_value(Value::Object(graph)).expect("it is a graph")
}

/// The largest official template of ComfyUI 0.33.0: 193 nodes in its prompt. It is not ours to ship; `just test-frontend`
/// fetches it.
const TEMPLATE: &str = "templates-1_click_multiple_character_angles-v1.0.json";
const TEMPLATES: &str = "../../target/frontend/0.33.0/comfyui_workflow_templates_json/templates";

fn largest_template(criterion: &mut Criterion) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(TEMPLATES).join(TEMPLATE);
    let Ok(text) = fs::read_to_string(&path) else {
        println!(
            "skipped: the largest template. {} is missing; run `just test-frontend 0.33.0`",
            path.display()
        );
        return;
    };
    let schemas: ObjectInfo =
        serde_json::from_value(fixture("object_info/0.33.0.json")).expect("they are schemas");
    let template: UiGraph = serde_json::from_str(&text).expect("it is a graph");
    let prompt = to_api(&template, &schemas).expect("it converts");
    let mut group = criterion.benchmark_group("the largest official template");
    group.throughput(Throughput::Elements(prompt.len() as u64));
    group.bench_function("parse", |b| b.iter(|| serde_json::from_str::<UiGraph>(black_box(&text))));
    group.bench_function("ui to api", |b| b.iter(|| to_api(black_box(&template), &schemas)));
    let annotations = Annotations::default();
    group.bench_function("api to ui", |b| b.iter(|| from_api(black_box(&prompt), &schemas, &annotations)));
    group.finish();
}

fn both_ways(criterion: &mut Criterion) {
    let schemas: ObjectInfo =
        serde_json::from_value(fixture("object_info/0.3.64.json")).expect("they are schemas");
    let annotations = Annotations::default();
    let mut group = criterion.benchmark_group("ui format");

    let largest: UiGraph =
        serde_json::from_value(fixture("ui/flux1_dev_uso_reference_image_gen.0.3.64.workflow.json"))
            .expect("it is a graph");
    let prompt = to_api(&largest, &schemas).expect("it converts");
    group.bench_function("ui to api, the largest recorded", |b| {
        b.iter(|| to_api(black_box(&largest), &schemas))
    });
    group.bench_function("api to ui, the largest recorded", |b| {
        b.iter(|| from_api(black_box(&prompt), &schemas, &annotations))
    });

    for nodes in [200, 2_000, 20_000] {
        let prompt = generated(nodes);
        let converted = from_api(&prompt, &schemas, &annotations).expect("it converts").graph;
        group.throughput(Throughput::Elements(nodes as u64));
        group.bench_with_input(
            BenchmarkId::new("ui to api, generated", nodes),
            &converted,
            |b, converted| {
                b.iter(|| to_api(black_box(converted), &schemas));
            },
        );
        group.bench_with_input(BenchmarkId::new("api to ui, generated", nodes), &prompt, |b, prompt| {
            b.iter(|| from_api(black_box(prompt), &schemas, &annotations));
        });
    }
    group.finish();
}

criterion_group!(benches, largest_template, both_ways);
criterion_main!(benches);
