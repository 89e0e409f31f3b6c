//! Packs in the dialect of ComfyUI Studio: each test has a small one of our own, which must load without a change.

mod blocks;

use blocks::{block, graph, inputs, node, workflow};
use comfy_runner_manifest::Manifest;
use comfy_runner_workflow::Workflow;
use serde_json::{Value, json};

/// Compiles a manifest in the folder `w` and its graph.
fn static_workflow(manifest: &str, graph: Value) -> Workflow {
    let (manifest, warnings) = Manifest::parse(manifest, "w").unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let compiled = Workflow::new(manifest, &graph.to_string(), None).unwrap();
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    compiled.workflow
}

const GROUPS: &str = "inputs:
- group: Model
  collapsed: true
  items:
  - {id: steps, type: int, default: 4, node_id: 1, field: steps}
  - group: More
    items: [{id: cfg, type: float, default: 7.5, node_id: 1, field: cfg}]
";

#[test]
fn inputs_in_groups_are_bound_like_others() {
    let sampler = json!({"1": node("KSampler", json!({"steps": 1, "cfg": 1.0}))});
    let bound = static_workflow(&format!("id: w\n{GROUPS}"), sampler);
    assert_eq!(inputs(&bound, json!({"cfg": 3}), "1"), json!({"steps": 4, "cfg": 3.0}));

    let manifest = format!(
        "{GROUPS}pipeline: [{{block: a, file: a.json, condition: cfg > 5}}, {{block: b, file: b.json}}]\n"
    );
    let steps = || block(json!({"n": "{{steps}}"}), &[], "x");
    let dynamic = workflow(&manifest, &[("a.json", steps()), ("b.json", steps())]);
    assert_eq!(graph(&dynamic, json!({"cfg": 2, "steps": 9})), json!({"b_0_n": ["T", {"n": 9}]}));
}
