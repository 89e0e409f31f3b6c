//! Whatever JSON is validated: a verdict, never a panic.

use std::sync::LazyLock;

use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Release, Validator};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Parsed once: a parse of 890 schemas takes longer than many validations.
static SCHEMAS: LazyLock<ObjectInfo> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../fixtures/object_info/0.33.0.json")).unwrap()
});

/// Any JSON, with the words of prompts among its keys and strings.
fn any_json() -> impl Strategy<Value = Value> {
    let word = || {
        prop::sample::select(vec![
            "class_type",
            "inputs",
            "_meta",
            "title",
            "__value__",
            "1",
            "2",
            "images",
            "image",
            "format",
            "format.codec",
            "values.a",
            "SaveImage",
            "SaveVideo",
            "LoadImage",
            "StringFormat",
            "PreviewAny",
            "source",
            "",
        ])
        .prop_map(str::to_owned)
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_node() -> impl Strategy<Value = Value> {
    let class = prop::sample::select(vec![
        "SaveImage",
        "SaveVideo",
        "LoadImage",
        "StringFormat",
        "PreviewAny",
        "KSampler",
    ]);
    (class, any_json(), any_json())
        .prop_map(|(class, inputs, meta)| json!({"class_type": class, "inputs": inputs, "_meta": meta}))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_json_gets_a_verdict(prompt in any_json(), node in any_node(), other in any_node()) {
        for release in [Release::OLDEST, Release(0, 8, 0), Release::NEWEST] {
            let validator = Validator::with_release(&SCHEMAS, release);
            validator.validate_json(&prompt);
            let verdict = validator.validate_json(&json!({"1": node, "2": other, "3": prompt}));
            prop_assert!(verdict.is_refused() || !verdict.outputs.is_empty());
        }
    }
}

#[test]
fn a_chain_of_ten_thousand_nodes_and_a_cycle_in_every_release_are_refused() {
    let mut prompt = Map::new();
    for id in 0..10_000 {
        let inputs = json!({"image": [(id + 1).to_string(), 0]});
        prompt.insert(id.to_string(), json!({"class_type": "ImageInvert", "inputs": inputs}));
    }
    prompt.insert("10000".to_owned(), json!({"class_type": "ImageInvert", "inputs": {"image": ["0", 0]}}));
    let inputs = json!({"images": ["0", 0], "filename_prefix": "x"});
    prompt.insert("save".to_owned(), json!({"class_type": "SaveImage", "inputs": inputs}));
    let prompt = Value::Object(prompt);
    for release in [Release::OLDEST, Release(0, 8, 0), Release::NEWEST] {
        assert!(Validator::with_release(&SCHEMAS, release).validate_json(&prompt).is_refused());
    }
}

#[test]
fn the_first_node_of_no_known_type_decides_and_a_boolean_counts_as_an_output_index() {
    let validator = Validator::new(&SCHEMAS);
    let kind = |prompt: Value| validator.validate_json(&prompt).error.unwrap().kind;
    let unknown = json!({"class_type": "NoSuchNode", "inputs": {}});
    assert_eq!(kind(json!({"1": unknown, "2": "KSampler"})), "missing_node_type");
    assert_eq!(kind(json!({"1": "KSampler", "2": unknown})), "internal_server_error");
    assert_eq!(kind(json!({"1": unknown, "2": null})), "internal_server_error");

    let verdict = validator.validate_json(&json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": ["1", true]}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }));
    let errors = serde_json::to_string(&verdict.node_errors).unwrap();
    assert!(errors.contains("'NoneType' object has no attribute 'endswith'"), "{errors}");
}
