//! How long a request's graph takes to assemble: checking the params, and putting them into 30 nodes.

use std::hint::black_box;

use comfy_runner_manifest::{Manifest, Params, Uploads};
use comfy_runner_workflow::{OutputFolder, Workflow};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

const MANIFEST: &str = "
id: bench
inputs:
- {id: prompt, type: text}
- {id: steps, type: int, default: 20, min: 1, max: 100, targets: [{node_id: s0, field: steps}, {node_id: s1, field: steps}]}
- {id: seed, type: seed, default: -1, node_id: s0, field: seed}
- {id: size, type: resolution_picker, default: 512x512, node_id: latent}
";

/// A checkpoint, a latent, four passes of seven nodes each: 30 in all.
fn graph() -> Value {
    let mut nodes = Map::new();
    let mut add = |id: String, class: &str, inputs: Value| {
        nodes.insert(id.clone(), json!({"class_type": class, "inputs": inputs, "_meta": {"title": id}}));
    };
    add("model".into(), "CheckpointLoaderSimple", json!({"ckpt_name": "model.safetensors"}));
    add("latent".into(), "EmptyLatentImage", json!({"width": 512, "height": 512, "batch_size": 1}));
    for n in 0..4 {
        let link = |name: &str| json!([format!("{name}{n}"), 0]);
        add(format!("p{n}"), "CLIPTextEncode", json!({"text": "{{prompt}}, pass", "clip": ["model", 1]}));
        add(format!("n{n}"), "CLIPTextEncode", json!({"text": "blurry", "clip": ["model", 1]}));
        add(
            format!("s{n}"),
            "KSampler",
            json!({"seed": 0, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
                "model": ["model", 0], "positive": link("p"), "negative": link("n"), "latent_image": ["latent", 0]}),
        );
        add(format!("d{n}"), "VAEDecode", json!({"samples": link("s"), "vae": ["model", 2]}));
        add(
            format!("u{n}"),
            "ImageScale",
            json!({"image": link("d"), "upscale_method": "lanczos", "width": "{{width}}", "height": "{{height}}", "crop": "disabled"}),
        );
        add(format!("i{n}"), "ImageInvert", json!({"image": link("u")}));
        add(format!("o{n}"), "SaveImage", json!({"images": link("i"), "filename_prefix": "x"}));
    }
    nodes.into()
}

fn assemble(c: &mut Criterion) {
    let manifest = Manifest::parse(MANIFEST, "bench").expect("the manifest is sound").0;
    let workflow = Workflow::new(manifest, &graph().to_string(), None).expect("the graph is sound").workflow;
    assert_eq!(workflow.graph().map(|graph| graph.len()), Some(30));
    let given = json!({"prompt": "a lighthouse on a cliff at dusk", "steps": "30", "size": "832x1216"});
    let given = given.as_object().expect("an object").clone();
    let folder = OutputFolder::new(OffsetDateTime::UNIX_EPOCH, 0xa1b2c3);
    let check =
        || Params::check(workflow.manifest(), &given, &Uploads::new(), &mut || 4711).expect("sound params");
    let params = check();
    c.bench_function("check params", |b| b.iter(|| black_box(check())));
    c.bench_function("assemble 30 nodes", |b| b.iter(|| black_box(workflow.assemble(&params, &folder))));
    c.bench_function("check and assemble 30 nodes", |b| {
        b.iter(|| black_box(workflow.assemble(&check(), &folder)))
    });
}

criterion_group!(benches, assemble);
criterion_main!(benches);
