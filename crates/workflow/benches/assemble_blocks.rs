//! How long a request's graph takes to put together from blocks: 200 nodes of ten scenes, and from 10 to 1,000 nodes.

use std::hint::black_box;

use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Manifest, Params, Uploads};
use comfy_runner_workflow::{OutputFolder, Workflow};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

const MANIFEST: &str = "
id: bench
type: dynamic
inputs:
- {id: scenes, type: scene_list, per_scene: [{id: prompt, type: text}, {id: duration, type: float, default: 5}]}
- {id: steps, type: int, default: 20}
- {id: seed, type: seed}
- {id: size, type: resolution_picker, default: 832x480}
computed: {strong: steps * 2}
pipeline:
- {block: scene, file: scene.json, repeat: scenes, chain: true, chain_imports: {before: last}}
";

/// A block of this many nodes: ten kinds of inputs, each node linked to the one before it.
fn block(nodes: usize) -> Value {
    let mut map = Map::new();
    for n in 0..nodes {
        let before = if n == 0 { json!("{{start}}") } else { json!([format!("n{}", n - 1), 0]) };
        let inputs = json!({"seed": "{{seed}}", "steps": "{{steps}}", "cfg": 7.0, "sampler_name": "euler", "in": before,
            "text": "{{prompt}}, scene {{scene_num}}", "length": "{{duration_frames}}", "width": "{{ width // 2 }}"});
        map.insert(
            format!("n{n}"),
            json!({"class_type": "T", "inputs": inputs, "_meta": {"title": "N {{scene_num}}"}}),
        );
    }
    // The first scene begins with its own prompt, as nothing comes before it.
    map["n0"]["inputs"]["in"] = json!("{{prompt}}");
    json!({"nodes": map, "exports": {"last": {"node": format!("n{}", nodes - 1), "output": 0}}, "imports": ["before"]})
}

fn workflow(nodes_per_scene: usize) -> Workflow {
    let text = block(nodes_per_scene).to_string();
    let mut read = |file: &str| {
        let missing = || Diagnostic::error(DiagnosticKind::File, file, "there is one block");
        (file == "blocks/scene.json").then(|| text.clone()).ok_or_else(missing)
    };
    let manifest = Manifest::parse(MANIFEST, "bench").expect("the manifest is sound").0;
    Workflow::from_blocks(manifest, &mut read).expect("the blocks are sound").workflow
}

fn params(workflow: &Workflow, scenes: usize) -> Params {
    let scenes: Vec<Value> =
        (0..scenes).map(|_| json!({"prompt": "a lighthouse on a cliff at dusk"})).collect();
    let given = json!({"scenes": scenes, "seed": 7});
    let given = given.as_object().expect("an object");
    Params::check(workflow.manifest(), given, &Uploads::new(), &mut || 4711).expect("sound params")
}

fn assemble(c: &mut Criterion) {
    let folder = OutputFolder::new(OffsetDateTime::UNIX_EPOCH, 0xa1b2c3);
    let twenty = workflow(20);
    let ten_scenes = params(&twenty, 10);
    assert_eq!(twenty.assemble(&ten_scenes, &folder).expect("a graph").graph.len(), 200);
    c.bench_function("200 nodes of ten scenes", |b| {
        b.iter(|| black_box(twenty.assemble(&ten_scenes, &folder)))
    });

    let mut group = c.benchmark_group("growth");
    let ten = workflow(10);
    for scenes in [1, 5, 10, 50, 100] {
        let params = params(&ten, scenes);
        let nodes = ten.assemble(&params, &folder).expect("a graph").graph.len();
        group.throughput(Throughput::Elements(nodes as u64));
        group.bench_function(BenchmarkId::from_parameter(nodes), |b| {
            b.iter(|| black_box(ten.assemble(&params, &folder)))
        });
    }
    group.finish();
    c.bench_function("compile, alternatives included", |b| b.iter(|| black_box(workflow(20))));
}

criterion_group!(benches, assemble);
criterion_main!(benches);
