//! Any pipeline either assembles to a graph whose every reference resolves, or gives an error. Nothing panics.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test dynamic_any` is the long run.

mod blocks;

use std::collections::HashMap;

use blocks::folder;
use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Manifest, Params, Uploads};
use comfy_runner_workflow::{Limits, Workflow};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// Few names, so that imports, exports and variables meet often.
const NAMES: [&str; 9] = ["model", "clip", "vae", "image", "a", "b", "n", "scenes", "flag"];

fn name() -> impl Strategy<Value = String> {
    select(&NAMES[..]).prop_map(str::to_owned)
}

fn expression() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => name(),
        1 => (name(), select(vec!["+", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "and", "or", "in"]), name())
            .prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (name(), select(vec!["trim", "int", "length", "default(1)", "upper", "list", "nonsense"]))
            .prop_map(|(a, filter)| format!("{a} | {filter}")),
        1 => select(vec!["!flag", "not flag", "flag == fast", "a != b-c", "index > 0", "scene_num", "text", "seed", "'x' * 99999999",
            "", "}}", "{{", "a b", "batch_num + 1", "n > 1 and flag", "none", "1 / 0"]).prop_map(str::to_owned),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => expression().prop_map(|e| format!("{{{{{e}}}}}")),
        1 => (expression(), expression()).prop_map(|(a, b)| format!("x {{{{ {a} }}}} y {{{{{b}}}}}")),
        1 => name(),
        1 => select(vec!["", "{{", "}}", "{{}}", "lora_1"]).prop_map(str::to_owned),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (name(), 0..4).prop_map(|(name, output)| json!([name, output])),
        2 => text().prop_map(Value::from),
        1 => (text(), 0..3).prop_map(|(text, output)| json!([text, output])),
        1 => (text(), text()).prop_map(|(key, value)| json!({key: [value, 1]})),
        1 => (-2..5).prop_map(Value::from),
    ]
}

fn block() -> impl Strategy<Value = Value> {
    let nodes = prop::collection::vec((name(), prop::collection::vec((text(), value()), 0..4)), 0..4);
    let exports = prop::collection::vec((name(), name(), 0..3), 0..4);
    (nodes, prop::collection::vec(name(), 0..4), exports).prop_map(|(nodes, imports, exports)| {
        let nodes: Map<String, Value> = nodes
            .into_iter()
            .map(|(id, inputs)| {
                let inputs: Map<String, Value> = inputs.into_iter().collect();
                (id, json!({"class_type": "T", "inputs": inputs, "_meta": {"title": "T {{scene_num}}"}}))
            })
            .collect();
        // Most exports are of nodes that are there.
        let ids: Vec<String> = nodes.keys().cloned().collect();
        let exports: Map<String, Value> = exports
            .into_iter()
            .map(|(export, node, output)| {
                let node = if output < 2 { ids.first().cloned().unwrap_or(node) } else { node };
                (export, json!({"node": node, "output": output}))
            })
            .collect();
        json!({"nodes": nodes, "imports": imports, "exports": exports})
    })
}

/// A block that is sound in itself, so that most of these pipelines compile.
fn sound_block() -> impl Strategy<Value = Value> {
    let input = (
        name(),
        prop_oneof![
            name().prop_map(|n| json!([n, 0])),
            Just(json!("{{ n }}")),
            Just(json!("{{flag}} {{seed}}"))
        ],
    );
    let inputs = prop::collection::vec(input, 0..4);
    (inputs, prop::collection::vec((name(), 0..3), 0..4)).prop_map(|(inputs, exports)| {
        let imports: Vec<Value> =
            inputs.iter().filter_map(|(_, value)| Some(value.as_array()?.first()?.clone())).collect();
        let inputs: Map<String, Value> = inputs.into_iter().collect();
        let exports: Map<String, Value> = exports
            .into_iter()
            .map(|(export, output)| (export, json!({"node": "k", "output": output})))
            .collect();
        json!({"nodes": {"k": {"class_type": "T", "inputs": inputs}}, "imports": imports, "exports": exports})
    })
}

fn stage(sound: bool) -> impl Strategy<Value = Value> {
    let odd = move |values: Vec<Value>, odd: Vec<Value>| {
        if sound { select(values) } else { select([values, odd].concat()) }
    };
    let null = Value::Null;
    let condition = odd(
        vec![null.clone(), null.clone(), json!("flag"), json!("!flag"), json!("n > 1")],
        vec![json!("n >"), json!("mystery"), json!("a == b-c"), json!(7)],
    );
    let repeat = odd(
        vec![
            null.clone(),
            null.clone(),
            null.clone(),
            json!(2),
            json!("n"),
            json!("scenes"),
            json!("extra_scenes"),
        ],
        vec![json!(0), json!(101), json!(-1), json!("flag"), json!("mystery"), json!(true), json!([])],
    );
    let injection = odd(
        vec![null.clone(), null.clone(), null.clone()],
        vec![json!(true), json!("chain"), json!("paired"), json!("nonsense")],
    );
    let extra =
        (any::<bool>(), any::<bool>(), odd(vec![null.clone(), null.clone(), json!(0)], vec![json!(3)]));
    (0..4_usize, condition, repeat, injection, extra, (name(), name())).prop_map(
        |(file, condition, repeat, injection, (leave, chain, scene), (import, export))| {
            let mut stage = json!({"file": format!("{file}.json"), "condition": condition, "repeat": repeat,
                "lora_injection": injection, "lora_nodes": [import, "k"], "scene_index": scene});
            if leave {
                stage["in_repeat"] = json!(false);
            }
            if chain {
                stage["chain"] = json!(true);
                stage["chain_imports"] = json!({import: export});
            }
            stage
        },
    )
}

/// Stages, some without what makes them unsound: names that are unlike, chains of imports that are there.
fn pipeline(sound: bool) -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec((stage(sound), 0..5_usize), 1..6).prop_map(move |stages| {
        let named = stages.into_iter().enumerate().map(|(index, (mut stage, block))| {
            let block = if sound { index } else { block };
            stage["block"] = format!("s{block}").into();
            if sound {
                if !stage["repeat"].is_null() {
                    stage["scene_index"] = Value::Null;
                }
                stage["chain_imports"] = json!({});
                stage["chain"] = json!(false);
            }
            stage
        });
        named.collect()
    })
}

fn given() -> impl Strategy<Value = Value> {
    (any::<bool>(), -1..4_i64, 0..4_usize, any::<bool>()).prop_map(|(flag, n, scenes, loras)| {
        let scenes: Vec<Value> = (0..scenes).map(|n| json!({"text": "{{ n }}", "duration": n})).collect();
        let loras = if loras { json!([{"file": "x", "strength": 0.5}, "y"]) } else { Value::Null };
        json!({"flag": flag, "n": n, "scenes": scenes, "loras": loras, "model": "{{ n }}"})
    })
}

fn manifest(pipeline: &[Value]) -> Value {
    json!({"id": "w", "type": "dynamic", "defaults": {"a": 1, "b": ["a", 0], "image": "x"}, "computed": {"twice": "n * 2"},
        "inputs": [{"id": "flag", "type": "boolean", "default": false}, {"id": "n", "type": "int", "default": 1},
            {"id": "scenes", "type": "scene_list", "default": [{"text": "one"}]}, {"id": "seed", "type": "seed"},
            {"id": "loras", "type": "lora_picker_dynamic"}, {"id": "model", "type": "text"}],
        "pipeline": pipeline})
}

/// Compiles and assembles. The number of graphs that came of it, all of them whole.
fn try_all(manifest: &str, files: &HashMap<String, String>, given: &Value) -> usize {
    let Ok((manifest, _)) = Manifest::parse(manifest, "w") else { return 0 };
    let mut read = |file: &str| {
        let missing = || Diagnostic::error(DiagnosticKind::File, file, "the file does not exist");
        files.get(file).cloned().ok_or_else(missing)
    };
    let Ok(compiled) = Workflow::from_blocks(manifest, &mut read) else { return 0 };
    let workflow = compiled.workflow;
    let given = given.as_object().cloned().unwrap_or_default();
    let mut graphs = 0;
    for given in [given, Map::new()] {
        let Ok(params) = Params::check(workflow.manifest(), &given, &Uploads::new(), &mut || 7) else {
            continue;
        };
        let limits = Limits::default().nodes(200);
        let Ok(assembled) = workflow.assemble_within(&params, &folder(), &limits) else { continue };
        assert_eq!(assembled.graph.dangling_links().collect::<Vec<_>>(), []);
        assert!(!assembled.graph.is_empty() && assembled.graph.len() <= 200);
        let again = workflow.assemble_within(&params, &folder(), &limits).unwrap();
        assert_eq!(again.graph.to_string(), assembled.graph.to_string());
        graphs += 1;
    }
    graphs
}

fn files(blocks: &[Value]) -> HashMap<String, String> {
    blocks.iter().enumerate().map(|(n, block)| (format!("blocks/{n}.json"), block.to_string())).collect()
}

/// A string with some bytes cut, doubled or replaced by bytes that mean something.
fn mutate(text: &str, cuts: &[(usize, usize, &str)]) -> String {
    let mut text = text.to_owned();
    for (at, length, put) in cuts {
        let floor =
            |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (start, end) = (floor(at % (text.len() + 1)), floor(at % (text.len() + 1) + length));
        text.replace_range(start..end.max(start), put);
    }
    text
}

proptest! {
    #[test]
    fn any_pipeline_gives_a_whole_graph_or_an_error(
        pipeline in pipeline(false),
        blocks in prop::collection::vec(block(), 1..5),
        given in given(),
    ) {
        try_all(&manifest(&pipeline).to_string(), &files(&blocks), &given);
    }

    #[test]
    fn sound_blocks_in_any_order_give_a_whole_graph_or_an_error(
        pipeline in pipeline(true),
        blocks in prop::collection::vec(sound_block(), 4),
        given in given(),
    ) {
        try_all(&manifest(&pipeline).to_string(), &files(&blocks), &given);
    }

    #[test]
    fn samples_with_a_few_bytes_changed_give_a_whole_graph_or_an_error(
        file in 0_usize..13,
        cuts in prop::collection::vec((any::<usize>(), 0_usize..6,
            select(vec!["", "{{", "}}", "\"", "[", "]", "0", "-1", "a", ",", ": ", "null", "\n", "{", "}", "99999999999", "\u{e9}"])), 1..4),
    ) {
        let (manifest, mut files) = studio();
        let names: Vec<String> = { let mut names: Vec<String> = files.keys().cloned().collect(); names.sort_unstable(); names };
        // Half of the changes are made to the manifest.
        match names.get(file) {
            Some(name) => {
                let changed = mutate(&files[name], &cuts);
                files.insert(name.clone(), changed);
                try_all(&manifest, &files, &json!({"batch": 2, "hires_enabled": true}));
            }
            None => { try_all(&mutate(&manifest, &cuts), &files, &json!({})); }
        }
    }
}

/// The sample of a studio, with `w` as its id.
fn studio() -> (String, HashMap<String, String>) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/workflows/text-to-image-studio");
    let manifest = std::fs::read_to_string(root.join("manifest.yaml")).unwrap();
    let blocks = std::fs::read_dir(root.join("blocks")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (format!("blocks/{name}"), std::fs::read_to_string(path).unwrap())
    });
    (manifest.replace("id: text-to-image-studio", "id: w"), blocks.collect())
}

#[test]
fn the_generators_make_pipelines_that_assemble_and_not_only_errors() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (pipeline(true), prop::collection::vec(sound_block(), 4), given());
    let mut graphs = 0;
    for _ in 0..200 {
        let (pipeline, blocks, given) = strategy.new_tree(&mut runner).unwrap().current();
        graphs += try_all(&manifest(&pipeline).to_string(), &files(&blocks), &given);
    }
    assert!(graphs >= 10, "{graphs}");
    let (manifest, files) = studio();
    assert_eq!(try_all(&manifest, &files, &json!({"batch": 2})), 2);
}
