//! What a manifest may say, and the error for each mistake.

use comfy_runner_manifest::{
    Diagnostic, DiagnosticKind, Diagnostics, InputKind, LoraInjection, Manifest, Params, Repeat, Severity,
    Uploads, WorkflowKind,
};
use proptest::prelude::*;
use serde_json::json;

fn problems(text: &str) -> Diagnostics {
    Manifest::parse(text, "w").expect_err("must be refused")
}

fn warnings(text: &str) -> Diagnostics {
    Manifest::parse(text, "w").unwrap_or_else(|problems| panic!("{problems:?}")).1
}

/// The one problem of a manifest with these inputs.
fn input_problem(inputs: &str) -> Diagnostic {
    let problems = problems(&format!("id: w\ninputs:\n{inputs}"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.into_iter().next().unwrap()
}

#[test]
fn unknown_keys_are_kept_in_their_order_and_the_type_is_added() {
    let text = "id: w\nname: W\nicon: star\ninputs:\n- {id: a, tooltip: t, type: int, presets: [1, 2]}\noutputs: [{type: image, thumb: true}]\n";
    let (manifest, warnings) = Manifest::parse(text, "w").unwrap();
    assert!(warnings.is_empty());
    assert_eq!(
        serde_json::to_string(&manifest).unwrap(),
        r#"{"id":"w","name":"W","type":"static","icon":"star","inputs":[{"id":"a","tooltip":"t","type":"int","presets":[1,2]}],"outputs":[{"type":"image","thumb":true}]}"#
    );
    assert_eq!(manifest.inputs[0].other["tooltip"], "t");
    assert_eq!(manifest.outputs[0].other["thumb"], true);
}

#[test]
fn older_and_looser_spellings_are_read() {
    let text = "id: w\ntype: dynamic\npipeline: [{block: a, file: a.json}]\nversion: 1.5\nrequired_models: [a.safetensors, {name: b.safetensors, url: x}]\ndefaults: {steps: 7, other: 1}\ninputs:\n- {id: steps, name: Steps, type: int}\n- {id: size, type: resolution_picker, node_id: 4, default: 832x1216}\n- {id: scenes, type: scene_list, per_scene: {text: {type: text}}}\n";
    let (manifest, _) = Manifest::parse(text, "w").unwrap();
    assert_eq!(manifest.kind, WorkflowKind::Dynamic);
    assert_eq!(manifest.version.as_deref(), Some("1.5"));
    assert_eq!(manifest.required_models, ["a.safetensors", "b.safetensors"]);
    assert_eq!(manifest.inputs[0].title(), "Steps");
    assert_eq!(manifest.inputs[0].default, Some(json!(7)));
    assert_eq!(manifest.inputs[1].default, Some(json!({"w": 832, "h": 1216})));
    assert_eq!(manifest.inputs[1].targets.len(), 2);
    assert_eq!(manifest.inputs[2].per_scene[0].kind, InputKind::Text);
}

#[test]
fn groups_of_inputs_are_flattened_and_returned_as_they_are_written() {
    let text = "id: w
inputs:
- group: Model
  collapsed: true
  items:
  - {id: model, type: text}
  - group: LoRA
    items:
    - {id: steps, type: int, default: 4}
- {id: group, type: text, group: main}
- {group: Empty, items: []}
";
    let (manifest, found) = Manifest::parse(text, "w").unwrap();
    assert!(found.is_empty(), "{found:?}");
    let places: Vec<(&str, &str)> =
        manifest.inputs.iter().map(|input| (input.id.as_str(), input.pointer())).collect();
    let expected =
        [("model", "/inputs/0/items/0"), ("steps", "/inputs/0/items/1/items/0"), ("group", "/inputs/1")];
    assert_eq!(places, expected);
    let written = json!([
        {"group": "Model", "collapsed": true, "items": [
            {"id": "model", "type": "text"},
            {"group": "LoRA", "items": [{"id": "steps", "type": "int", "default": 4}]},
        ]},
        {"id": "group", "type": "text", "group": "main"},
        {"group": "Empty", "items": []},
    ]);
    assert_eq!(manifest.json()["inputs"], written);
}

#[test]
fn mistakes_in_a_group_of_inputs_have_their_line() {
    let reported = problems(
        "id: w
inputs:
- {id: a, type: int}
- group: More
  items:
  - {id: a, type: int}
  - {type: int, label: Steps}
  - {id: b, type: int, default: x}
- {group: Typo, itmes: []}
- {group: Odd, items: {id: c}}
",
    );
    let reported: Vec<String> = reported.iter().map(ToString::to_string).collect();
    let expected = [
        "manifest.yaml:6: input \"a\": another input has this id too; rename one",
        "manifest.yaml:7: the input \"Steps\" has no `id`; callers give its value under that key",
        "manifest.yaml:8: input \"b\": the default must be a whole number, not \"x\"",
        "manifest.yaml:9: warning: the group \"Typo\": `itmes` has no meaning here. Did you mean `items`?",
        "manifest.yaml:9: the group \"Typo\": `items` is missing, the list of the group's inputs",
        "manifest.yaml:10: the group \"Odd\": `items` must be a list, this is a map",
    ];
    assert_eq!(reported, expected);
}

#[test]
fn a_default_that_is_none_of_the_options_is_a_warning_and_a_caller_may_give_it() {
    let text = "id: w
inputs:
- {id: a, type: select, options: [x, y], default: z}
- {id: b, type: int, options: [1, 2], default: '3'}
- {id: c, type: resolution_picker, options: [512x512], default: 640x640}
";
    let (manifest, found) = Manifest::parse(text, "w").unwrap();
    let reported: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = [
        "manifest.yaml:3: warning: input \"a\": the default must be one of \"x\", \"y\", not \"z\"",
        "manifest.yaml:4: warning: input \"b\": the default must be one of 1, 2, not 3",
        "manifest.yaml:5: warning: input \"c\": the default must be one of \"512x512\", not \"640x640\"",
    ];
    assert_eq!(reported, expected);
    let check = |given: serde_json::Value| {
        let given = given.as_object().unwrap();
        Params::check(&manifest, given, &Uploads::new(), &mut || 1).map_err(|error| error.to_string())
    };
    for given in [json!({}), json!({"a": "z", "b": 3, "c": "640x640"})] {
        let params = check(given).unwrap();
        assert_eq!(params.get("a"), Some(&json!("z")));
        assert_eq!(params.get("b"), Some(&json!(3)));
        assert_eq!(params.get("c"), Some(&json!({"w": 640, "h": 640})));
    }
    assert!(check(json!({"a": "w"})).unwrap_err().contains("must be one of \"x\", \"y\", not \"w\""));
    assert!(check(json!({"c": "641x640"})).is_err());
}

#[test]
fn an_option_with_a_label_only_is_its_own_value_and_empty_names_of_models_are_ignored() {
    let text = "id: w
inputs: [{id: a, type: select, options: [{label: Fast}, {label: Slow, value: 2}, {label: 3}]}]
required_models: ['', a.safetensors, ' ', {name: ''}, null]
";
    let (manifest, found) = Manifest::parse(text, "w").unwrap();
    assert!(found.is_empty(), "{found:?}");
    let options: Vec<_> = manifest.inputs[0]
        .options
        .iter()
        .map(|choice| (choice.label.as_str(), choice.value.clone()))
        .collect();
    assert_eq!(options, [("Fast", json!("Fast")), ("Slow", json!(2)), ("3", json!(3))]);
    assert_eq!(manifest.required_models, ["a.safetensors"]);
}

#[test]
fn every_mistake_is_its_own_error_with_its_line() {
    let cases = [
        ("- type: int\n  label: Steps\n", DiagnosticKind::InputId, 3, "the input \"Steps\" has no `id`"),
        (
            "- {id: a, type: int}\n- {id: a, type: int}\n",
            DiagnosticKind::InputId,
            4,
            "another input has this id",
        ),
        (
            "- id: a\n  type: int\n  min: 9\n  max: 1\n",
            DiagnosticKind::Range,
            5,
            "`min` 9 is greater than `max` 1",
        ),
        (
            "- id: a\n  type: int\n  max: 10\n  default: 30\n",
            DiagnosticKind::Default,
            6,
            "at most 10, not 30",
        ),
        ("- id: a\n  type: int\n  min: low\n", DiagnosticKind::WrongType, 5, "`min` must be a number"),
        ("- id: a\n  type: int\n  node_id: 3\n", DiagnosticKind::Binding, 5, "`node_id` needs `field`"),
        ("- id: a\n  type: int\n  field: x\n", DiagnosticKind::Binding, 5, "`field` needs `node_id`"),
        (
            "- id: a\n  type: int\n  targets: [{node_id: 3}]\n",
            DiagnosticKind::Binding,
            5,
            "both `node_id` and `field`",
        ),
        ("- id: a\n  type: [int]\n", DiagnosticKind::WrongType, 4, "`type` must be a string"),
        ("- steps\n", DiagnosticKind::WrongType, 3, "an input is a map"),
        ("- id: _a\n  type: int\n", DiagnosticKind::InputId, 3, "may not begin with `_`"),
    ];
    for (inputs, kind, line, reported) in cases {
        let problem = input_problem(inputs);
        assert_eq!((problem.kind, problem.line), (kind, Some(line)), "{problem}");
        assert!(problem.message.contains(reported), "{problem}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_lines() {
    let found = problems(
        "id: other\ntype: odd\ninputs:\n- {id: a, type: int, min: 2, max: 1}\n- {type: int}\noutputs: 3\n",
    );
    let lines: Vec<_> = found.iter().map(|problem| problem.line.unwrap()).collect();
    assert_eq!(lines, [1, 2, 4, 5, 6], "{found:?}");
    assert_eq!(
        found[2].to_string(),
        "manifest.yaml:4: input \"a\": `min` 2 is greater than `max` 1; swap them"
    );
}

#[test]
fn what_is_no_manifest_at_all_is_told_for_what_it_is() {
    assert!(problems("").first().unwrap().message.contains("it is empty"));
    assert!(problems("- a").first().unwrap().message.contains("this is a list"));
    assert_eq!(problems("id: [").first().unwrap().kind, DiagnosticKind::Syntax);
    assert!(problems("name: x").first().unwrap().message.contains("write `id: w`"));
    assert!(problems("id: 12").first().unwrap().message.contains("must be a string"));
    let reserved = Manifest::parse("id: status", "status").unwrap_err();
    assert!(reserved[0].message.contains("a path of the API itself"), "{reserved:?}");
}

#[test]
fn an_unknown_type_is_a_plain_value_with_a_warning() {
    let found = warnings("id: w\ninputs:\n- {id: a, type: txet, default: {x: 1}, options: 3}\n");
    assert_eq!((found[0].kind, found[0].severity), (DiagnosticKind::UnknownInputType, Severity::Warning));
    assert!(found[0].to_string().starts_with("manifest.yaml:3: warning: input \"a\""), "{}", found[0]);
    assert!(found[0].message.contains("Did you mean \"text\"?"), "{}", found[0]);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(id: w\n)?[ -~\n]{0,200}") {
        let _ = Manifest::parse(&text, "w");
    }

    #[test]
    fn no_odd_input_makes_the_parser_panic(
        key in "(id|type|min|max|options|targets|node_id|per_scene|default|required)",
        value in "(null|-1|1e400|x|\\[\\]|\\[1, \\[2\\]\\]|\\{a: b\\}|[0-9]{1,25}|'[^'\n]{0,10}')",
        kind in "(int|select|seed|scene_list|resolution_picker|lora_picker|odd)",
    ) {
        let _ = Manifest::parse(&format!("id: w\ninputs:\n- id: a\n  type: {kind}\n  {key}: {value}\n"), "w");
    }
}

#[test]
fn stages_are_read_in_every_spelling_and_their_mistakes_are_told_by_name_and_line() {
    let text = "id: w
type: dynamic
computed: {a: b * 2, c: 3}
pipeline:
- {block: a, file: a.json, condition: true, repeat: '{{ n }}', chain: true, chain_imports: {x: y}, models: {name: m.pt}}
- {block: b, switch: mode, cases: {1: one.json, off: }, default: 1, repeat_variable: list, in_repeat: false}
- {block: c, file: c.json, repeat: extra_scenes, lora_injection: paired, lora_nodes: [1, 2]}
";
    let (manifest, warnings) = Manifest::parse(text, "w").unwrap();
    assert!(warnings.is_empty());
    let [a, b, c] = manifest.pipeline.as_slice() else { panic!("{:?}", manifest.pipeline) };
    assert_eq!((a.condition.as_deref(), &a.repeat), (Some("true"), &Some(Repeat::Named("n".into()))));
    assert_eq!(a.chain_imports["x"], "y");
    let switch = b.switch.as_ref().unwrap();
    assert_eq!((switch.cases["1"].as_deref(), &switch.cases["off"]), (Some("one.json"), &None));
    assert_eq!((&b.repeat, b.in_repeat), (&Some(Repeat::Named("list".into())), Some(false)));
    assert_eq!(c.repeat, Some(Repeat::ExtraScenes));
    let nodes = ["1".to_owned(), "2".to_owned()];
    assert_eq!(c.loras, Some(LoraInjection::Paired { nodes, start_slot: 3 }));
    assert_eq!(manifest.computed["c"], "3");

    let reported = problems(
        "id: w
type: dynamic
lora_pairs: {p: {}}
pipeline:
- {file: a.json}
- {block: a}
- {block: a, file: a.json, repeat: -2, conditoin: x}
- {block: c, switch: mode, cases: {a: 3}, default: b}
- {block: d, file: d.json, lora_injection: paired, lora_nodes: [a], chain_imports: [x], scene_index: -1}
- 7
",
    );
    let reported: Vec<String> = reported.iter().map(ToString::to_string).collect();
    for expected in [
        "manifest.yaml:3: the LoRA pair \"p\" names no file",
        "manifest.yaml:5: stage 1: `block` is missing",
        "manifest.yaml:6: stage \"a\": `file` is missing",
        "manifest.yaml:7: stage \"a\": `repeat` must be a whole number from 0",
        "manifest.yaml:7: warning: stage \"a\": `conditoin` has no meaning here. Did you mean `condition`?",
        "manifest.yaml:8: stage \"c\": the case \"a\" must be a block's file",
        "manifest.yaml:8: warning: stage \"c\": `default: b` is not one of the cases, so a value that is none",
        "manifest.yaml:9: stage \"d\": `lora_nodes: [a, b]` are the two loader nodes of the block",
        "manifest.yaml:9: stage \"d\": `chain_imports` must be a map",
        "manifest.yaml:9: stage \"d\": `scene_index` must be a whole number from 0",
        "manifest.yaml:10: stage 6 is a map with `block` and `file`",
    ] {
        assert!(reported.iter().any(|reported| reported.starts_with(expected)), "{expected}: {reported:#?}");
    }
}

#[test]
fn keys_that_look_like_typos_are_warnings_with_the_key_that_was_probably_meant() {
    let text = "id: w
titel: A workflow
descripton: x
inputs:
- {id: a, type: int, requierd: true, defualt: 3, maximum: 5, Min: 1, titel: A}
- {id: s, type: scene_list, per_scene: [{id: t, type: text, lable: T}]}
- {id: b, type: int, targets: [{node_id: 1, field: x, Part: w}]}
outputs:
- {tpye: image, nodeid: 9}
";
    let warnings: Vec<String> = warnings(text).iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "manifest.yaml:2: warning: `titel` has no meaning here. Did you mean `name`?",
            "manifest.yaml:3: warning: `descripton` has no meaning here. Did you mean `description`?",
            "manifest.yaml:5: warning: input \"a\": `requierd` has no meaning here. Did you mean `required`?",
            "manifest.yaml:5: warning: input \"a\": `defualt` has no meaning here. Did you mean `default`?",
            "manifest.yaml:5: warning: input \"a\": `maximum` has no meaning here. Did you mean `max`?",
            "manifest.yaml:5: warning: input \"a\": `Min` has no meaning here. Did you mean `min`?",
            "manifest.yaml:5: warning: input \"a\": `titel` has no meaning here. Did you mean `label`?",
            "manifest.yaml:6: warning: input \"t\": `lable` has no meaning here. Did you mean `label`?",
            "manifest.yaml:7: warning: input \"b\": `Part` has no meaning here. Did you mean `part`?",
            "manifest.yaml:9: warning: `tpye` has no meaning here. Did you mean `type`?",
            "manifest.yaml:9: warning: `nodeid` has no meaning here. Did you mean `node_id`?",
        ]
    );
}

#[test]
fn other_unknown_keys_are_allowed() {
    let text = "id: w
name: W
title: A title of its own
icon: face
author: me
license: MIT
tags: [a]
homepage: x
thumbnail: x.png
inputs:
- {id: a, type: int, label: A, title: T, tooltip: t, placeholder: p, presets: [1], unit: px, group: g, order: 1,
   hidden: true, advanced: true, help: h, hint: h, note: n, description: d, rows: 3, multiline: true, columns: 2,
   width: 3, color: red, info: i, category: c, suffix: s, format: '%d', role: r, tip: t}
outputs:
- {type: image, node_id: 9, label: L, description: d, name: n}
";
    assert!(warnings(text).is_empty(), "{:?}", warnings(text));
}
