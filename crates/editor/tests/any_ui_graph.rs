//! Mutated graphs in UI format: an error or a prompt, never a panic, and a prompt converts back.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use comfy_runner_editor::diagnostics::invalid_values;
use comfy_runner_editor::saved::Saved;
use comfy_runner_editor::{Annotations, from_api};
use comfy_runner_protocol::object_info::ObjectInfo;
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixture(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path);
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

static SCHEMAS: LazyLock<ObjectInfo> =
    LazyLock::new(|| serde_json::from_value(fixture("object_info/0.8.0.json")).unwrap());

static GRAPHS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let names = ["image_z_image_turbo.0.8.0", "hidream_e1_1.0.3.64", "templates-product_scene_relight.0.8.0"];
    names.map(|name| fixture(&format!("ui/{name}.workflow.json"))).to_vec()
});

/// A mutation: the path to a value, and the new value.
type Change = (Vec<prop::sample::Index>, Value);

fn anything() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        Just(json!(-10)),
        Just(json!(-20)),
        any::<i64>().prop_map(|n| json!(n)),
        (0..60_i64).prop_map(|n| json!(n))
    ];
    let leaf = prop_oneof![
        4 => number,
        1 => Just(Value::Null),
        1 => Just(json!(1e300)),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => "[a-zA-Z{}|%/\\\\.:\u{e9}]{0,12}".prop_map(Value::String),
        1 => prop::sample::select(vec!["Reroute", "PrimitiveNode", "KSampler", "LoadImage", "*", "IMAGE"]).prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let path = prop::collection::vec(any::<prop::sample::Index>(), 2..8);
    prop::collection::vec((path, anything()), 1..6)
}

/// Replaces the value at the end of the path, or at the last level that exists.
fn change(value: &mut Value, turns: &[prop::sample::Index], new: Value) {
    let Some((turn, rest)) = turns.split_first() else {
        *value = new;
        return;
    };
    match value {
        Value::Array(list) if !list.is_empty() => {
            let at = turn.index(list.len());
            change(&mut list[at], rest, new);
        }
        Value::Object(map) if !map.is_empty() => {
            let at = turn.index(map.len());
            if let Some(inner) = map.values_mut().nth(at) {
                change(inner, rest, new);
            }
        }
        leaf => *leaf = new,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_mutated_graph_gives_an_error_or_a_prompt_that_converts_back(
        which in any::<prop::sample::Index>(),
        changes in changes(),
    ) {
        let mut graph = which.get(&GRAPHS).clone();
        for (turns, new) in changes {
            change(&mut graph, &turns, new);
        }
        let Ok(saved) = Saved::from_value(graph) else { return Ok(()) };
        match saved.into_prompt(Some(&SCHEMAS)) {
            Ok(prompt) => {
                let _ = invalid_values(&prompt, &SCHEMAS);
                let converted = from_api(&prompt, &SCHEMAS, &Annotations::default());
                prop_assert!(converted.is_ok() || prompt.nodes.values().any(|node| node.links().next().is_some()));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
