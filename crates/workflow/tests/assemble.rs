//! Values into graphs, and what a graph and a manifest may say of each other.

use comfy_runner_manifest::{DiagnosticKind, Diagnostics, Manifest, Params, Uploads};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{AssembleError, Assembled, OutputFolder, Workflow, validate};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use time::macros::datetime;

fn folder() -> OutputFolder {
    OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3)
}

fn manifest(rest: &str) -> Manifest {
    Manifest::parse(&format!("id: w\n{rest}"), "w").unwrap_or_else(|problems| panic!("{problems:?}")).0
}

fn workflow(rest: &str, graph: &Value) -> Workflow {
    let graph = serde_json::to_string_pretty(graph).unwrap();
    Workflow::new(manifest(rest), &graph, None).unwrap_or_else(|problems| panic!("{problems:?}")).workflow
}

fn assemble(workflow: &Workflow, given: Value) -> Result<Assembled, AssembleError> {
    let given: Map<String, Value> = given.as_object().unwrap().clone();
    let params = Params::check(workflow.manifest(), &given, &Uploads::new(), &mut || 5).unwrap();
    workflow.assemble(&params, &folder())
}

/// The inputs of node 1 after assembly.
fn inputs(workflow: &Workflow, given: Value) -> Value {
    assemble(workflow, given).unwrap().graph.nodes["1"].inputs.clone().into()
}

fn node(class: &str, inputs: Value) -> Value {
    json!({"class_type": class, "inputs": inputs})
}

fn problems(rest: &str, graph: &str) -> Diagnostics {
    match Workflow::new(manifest(rest), graph, None) {
        Ok(compiled) => compiled.warnings,
        Err(problems) => problems,
    }
}

#[test]
fn a_whole_placeholder_keeps_the_type_and_one_in_a_text_is_rendered() {
    let graph = json!({"1": node("T", json!({"n": "{{n}}", "t": "n is {{ n }}, {{f}} and {{size}}", "deep": {"a": ["{{n}}"]},
        "w": "{{size.width}}", "h": "{{height}}", "out": "{{output_dir}}", "fps": "{{fps}}"}))});
    let workflow = workflow(
        "defaults: {fps: 16}\ninputs:\n- {id: n, type: int}\n- {id: f, type: float, default: 1}\n- {id: size, type: resolution_picker, default: 8x9}\n",
        &graph,
    );
    assert_eq!(
        inputs(&workflow, json!({"n": 7})),
        json!({"n": 7, "t": "n is 7, 1.0 and 8x9", "deep": {"a": [7]}, "w": 8, "h": 9, "out": "20260324_143052_a1b2c3", "fps": 16})
    );
}

#[test]
fn expressions_and_computed_names_work_in_a_static_graph_too() {
    let graph = json!({"1": node("T", json!({"frames": "{{ seconds * 16 + 1 }}", "half": "{{half}}", "t": "{{ words | trim | upper }}!",
        "deep": ["{{half}} of {{steps}}"], "best": "{{ 'fine' if steps > 10 else 'draft' }}"}))});
    let workflow = workflow(
        "computed: {half: steps // 2}\ninputs:\n- {id: seconds, type: int, default: 5}\n- {id: steps, type: int, default: 30}\n- {id: words, type: text, default: ' a fox '}\n",
        &graph,
    );
    assert_eq!(
        inputs(&workflow, json!({})),
        json!({"frames": 81, "half": 15, "t": "A FOX!", "deep": {"__value__": ["15 of 30"]}, "best": "fine"})
    );
    let given = json!({"words": "{{ steps }}", "steps": 8});
    assert_eq!(inputs(&workflow, given.clone())["t"], "{{ STEPS }}!", "a caller's value is data");
    assert_eq!(inputs(&workflow, given)["best"], "draft");
}

#[test]
fn an_expression_without_a_value_is_refused_with_its_node() {
    let graph =
        json!({"7": {"class_type": "T", "inputs": {"a": "{{ 10 // steps }}"}, "_meta": {"title": "Tiler"}}});
    let workflow = workflow("inputs:\n- {id: steps, type: int}\n", &graph);
    for given in [json!({"steps": 0}), json!({})] {
        let reported = assemble(&workflow, given).unwrap_err().to_string();
        assert!(reported.contains("Tiler") && reported.contains("10 // steps"), "{reported}");
    }
    let found = problems(
        "computed: {a: stpes + 1, b: 1 +}\ninputs: [{id: steps, type: int}]\n",
        r#"{"1": {"class_type": "T", "inputs": {"x": "{{ stepz * 2 }}", "y": "{{steps}}"}}}"#,
    );
    let reported: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(reported.len(), 3, "{reported:#?}");
    for expected in ["`stpes`", "`1 +`", "`{{stepz}}`"] {
        assert!(reported.iter().any(|reported| reported.contains(expected)), "{expected}: {reported:#?}");
    }
}

#[test]
fn what_has_no_value_leaves_the_graphs_own_or_no_trace() {
    let graph = json!({"1": {"class_type": "T", "inputs": {"own": 3, "gone": "{{b}}", "t": "x{{b}}y", "deep": [["{{b}}"]]},
        "_meta": {"title": "Node {{b}}"}}});
    let workflow =
        workflow("inputs:\n- {id: a, type: int, node_id: 1, field: own}\n- {id: b, type: int}\n", &graph);
    let assembled = assemble(&workflow, json!({})).unwrap();
    assert_eq!(
        Value::from(assembled.graph.nodes["1"].inputs.clone()),
        json!({"own": 3, "t": "xy", "deep": {"__value__": [[null]]}})
    );
    assert_eq!(assembled.graph.nodes["1"].title(), "Node ");
}

#[test]
fn one_input_reaches_many_targets_and_its_parts_the_right_ones() {
    let graph = json!({
        "1": node("A", json!({"x": 0, "width": 1, "height": 2, "size_y": 3, "strength_model": 1})),
        "n:2": node("B", json!({"x": 0})),
    });
    let workflow = workflow(
        "inputs:
- {id: x, type: int, targets: [{node_id: 1, field: x}, {node_id: 'n:2', field: x}]}
- {id: size, type: resolution_picker, node_id: 1, targets: [{node_id: 1, field: size_y, part: height}]}
",
        &graph,
    );
    let assembled = assemble(&workflow, json!({"x": 9, "size": "10x20"})).unwrap();
    assert_eq!(
        Value::from(assembled.graph.nodes["1"].inputs.clone()),
        json!({"x": 9, "width": 10, "height": 20, "size_y": 20, "strength_model": 1})
    );
    assert_eq!(assembled.graph.nodes["n:2"].inputs["x"], 9);
}

#[test]
fn outputs_go_to_the_jobs_folder_and_unsaved_films_become_intermediate() {
    let graph = json!({
        "1": node("SaveImage", json!({"filename_prefix": "x"})),
        "2": node("VHS_VideoCombine", json!({"filename_prefix": "x", "save_output": false})),
        "3": node("VHS_VideoCombine", json!({"filename_prefix": "x", "save_output": true})),
        "4": node("SaveImage", json!({"filename_prefix": ["5", 0]})),
        "5": node("PrimitiveString", json!({"value": "x"})),
        "6": node("SaveImage", json!({"filename_prefix": "{{name}}"})),
    });
    let workflow = workflow("inputs: [{id: name, type: text}]\noutputs: [{type: image, node_id: 3}]", &graph);
    let assembled = assemble(&workflow, json!({"name": "../../escape"})).unwrap();
    let inputs = |id: &str| Value::from(assembled.graph.nodes[id].inputs.clone());
    let last = "20260324_143052_a1b2c3/final/final";
    assert_eq!(inputs("1"), json!({"filename_prefix": last}));
    assert_eq!(
        inputs("2"),
        json!({"filename_prefix": "20260324_143052_a1b2c3/intermediate/intermediate", "save_output": true})
    );
    assert_eq!(inputs("3"), json!({"filename_prefix": last, "save_output": true}));
    assert_eq!(inputs("4"), json!({"filename_prefix": ["5", 0]}));
    assert_eq!(inputs("6"), json!({"filename_prefix": last}));
    assert_eq!(assembled.result_nodes, ["3"]);
}

#[test]
fn a_caller_cannot_draw_links_and_lists_are_wrapped() {
    let workflow = workflow("inputs: [{id: a, type: odd}]", &json!({"1": node("T", json!({"x": "{{a}}"}))}));
    for value in [json!(["1", 0]), json!({"__value__": ["1", 0]})] {
        let error = assemble(&workflow, json!({"a": value})).unwrap_err();
        assert!(matches!(error, AssembleError::LooksLikeLink { .. }), "{error}");
    }
    assert_eq!(inputs(&workflow, json!({"a": [1, 2]})), json!({"x": {"__value__": [1, 2]}}));
    let nested = self::workflow(
        "inputs: [{id: a, type: text}, {id: n, type: int}]",
        &json!({"1": node("T", json!({"x": ["{{a}}", "{{n}}"]}))}),
    );
    assert!(assemble(&nested, json!({"a": "1", "n": 0})).is_err());
}

#[test]
fn a_lora_is_loaded_or_the_loader_is_left_out() {
    let graph = json!({
        "1": node("T", json!({"m": ["3", 0], "c": ["3", 1]})),
        "2": node("Loader", json!({})),
        "3": node("LoraLoader", json!({"lora_name": "own", "strength_model": 1.0, "model": ["2", 0], "clip": ["2", 1]})),
    });
    let workflow = workflow(
        "inputs:\n- id: lora\n  type: lora_picker\n  targets: [{node_id: 3, field: lora_name}, {node_id: 3, field: strength_model}]\n",
        &graph,
    );
    let lora = |given: Value| assemble(&workflow, given).unwrap().graph;
    assert_eq!(lora(json!({})).nodes["3"].inputs["lora_name"], "own");
    assert_eq!(lora(json!({"lora": "x"})).nodes["3"].inputs["lora_name"], "x");
    assert_eq!(
        lora(json!({"lora": {"file": "x", "strength": 0.5}})).nodes["3"].inputs["strength_model"],
        0.5
    );
    assert_eq!(lora(json!({"lora": [{"file": "y"}]})).nodes["3"].inputs["lora_name"], "y");
    let without = lora(json!({"lora": "none"}));
    assert!(without.node("3").is_none());
    assert_eq!(Value::from(without.nodes["1"].inputs.clone()), json!({"m": ["2", 0], "c": ["2", 1]}));
    let many = assemble(&workflow, json!({"lora": ["a", "b"]})).unwrap_err();
    assert_eq!(many.to_string(), "input \"lora\": this workflow loads one LoRA, 2 are given");
    assert!(matches!(
        assemble(&workflow, json!({"lora": {"pair_id": 1}})),
        Err(AssembleError::LoraFile { .. })
    ));
}

#[test]
fn every_mistake_between_manifest_and_graph_is_its_own_error() {
    let graph = "{\n  \"1\": {\n    \"class_type\": \"T\",\n    \"inputs\": {\"steps\": 1, \"l\": [\"1\", 0]},\n    \"_meta\": {\"title\": \"Sampler\"}\n  }\n}";
    let input = |rest: &str| format!("inputs:\n- {{id: a, type: int, {rest}}}\n");
    let cases = [
        (
            input("node_id: 9, field: steps"),
            DiagnosticKind::Binding,
            Some(3),
            "has no node \"9\"; it has 1 \"Sampler\"",
        ),
        (
            input("node_id: 1, field: step"),
            DiagnosticKind::Binding,
            Some(3),
            "it has steps, l. Did you mean \"steps\"?",
        ),
        (input("node_id: 1, field: l"), DiagnosticKind::Binding, Some(3), "replaces the link"),
        (input("required: false"), DiagnosticKind::Unbound, Some(3), "input \"a\" changes nothing"),
        ("outputs:\n- {node_id: 7}".into(), DiagnosticKind::OutputNode, Some(3), "has no node \"7\""),
        (
            "inputs:\n- {id: s, type: resolution_picker, node_id: 1, field: steps}".into(),
            DiagnosticKind::Binding,
            Some(3),
            "add `part: w` or `part: h`",
        ),
    ];
    for (rest, kind, line, reported) in cases {
        let found = problems(&rest, graph);
        assert_eq!(found.len(), 1, "{rest}: {found:?}");
        assert_eq!(
            (found[0].kind, found[0].line, found[0].file.as_str()),
            (kind, line, "manifest.yaml"),
            "{found:?}"
        );
        assert!(found[0].message.contains(reported), "{}", found[0]);
    }
}

#[test]
fn every_mistake_in_the_graph_is_told_with_its_line() {
    let graph = "{\n \"1\": {\"class_type\": \"T\",\n  \"inputs\": {\n   \"a\": \"{{ stpes }}\",\n   \"b\": \"{{ a + }}\",\n   \"c\": [\"8\", 0],\n   \"{{k}}\": 1}}}";
    let found = problems("inputs: []\ndefaults: {steps: 1}", graph);
    let reported: Vec<_> = found.iter().map(|problem| (problem.kind, problem.line.unwrap())).collect();
    let placeholder = DiagnosticKind::Placeholder;
    assert_eq!(
        reported,
        [(placeholder, 2), (placeholder, 4), (placeholder, 5), (DiagnosticKind::Graph, 6)],
        "{found:?}"
    );
    assert!(found[1].message.contains("Did you mean \"steps\"?"), "{}", found[1]);
    let json = problems("", "{\n \"1\": {,}\n}");
    assert_eq!((json[0].kind, json[0].line), (DiagnosticKind::Syntax, Some(2)));
    let in_ui_format = problems("", r#"{"nodes": [], "links": []}"#);
    assert_eq!(in_ui_format[0].kind, DiagnosticKind::NeedsSchemas);
    assert!(in_ui_format[0].message.contains("node schemas"), "{}", in_ui_format[0]);
    assert!(problems("", "{}")[0].message.contains("no nodes"));
}

#[test]
fn validation_tells_what_a_comfyui_would_refuse() {
    let info: ObjectInfo = serde_json::from_value(json!({
        "Load": {"input": {"required": {"name": [["a.safetensors"]]}}, "output": ["MODEL"]},
        "Save": {"input": {"required": {"model": ["MODEL"], "steps": ["INT", {"min": 1, "max": 50}], "mode": [["x", "y"]],
            "image": [[], {"image_upload": true}]}}, "output": [], "output_node": true},
        "Image": {"input": {}, "output": ["IMAGE"], "python_module": "custom_nodes.ComfyUI-Present"},
    }))
    .unwrap();
    let graph = json!({
        "1": node("Load", json!({"name": "b.safetensors"})),
        "2": node("Save", json!({"model": ["4", 0], "steps": 99, "mode": "z", "odd": 1, "image": "gone.png"})),
        "3": node("Save", json!({"model": ["1", 3], "steps": "{{steps}}", "mode": "{{mode}}"})),
        "4": node("Image", json!({})),
        "5": node("Imaeg", json!({})),
        "6": node("Save", json!({"model": 3, "steps": 1, "mode": "x", "image": "a.png"})),
    });
    let workflow = workflow(
        "required_models: [sub/a.safetensors, c.safetensors, x/b.safetensors]\nrequired_nodes: [comfyui_present, Absent]
inputs: [{id: steps, type: int, default: 60, min: -5, max: 70}, {id: mode, type: select, options: [x, q]}]",
        &graph,
    );
    let found = validate(&workflow, &info);
    let reported = |kind: DiagnosticKind, part: &str| {
        let hits =
            found.iter().filter(|problem| problem.kind == kind && problem.message.contains(part)).count();
        assert_eq!(hits, 1, "{kind:?} {part}: {found:#?}");
    };
    // Of the graph and of `required_models`, but reported once.
    reported(DiagnosticKind::MissingModel, "b.safetensors");
    reported(DiagnosticKind::MissingModel, "\"c.safetensors\" is not installed");
    reported(DiagnosticKind::BadLink, "takes MODEL, but output 0 of node 4 \"Image\" gives IMAGE");
    reported(DiagnosticKind::BadLink, "links to output 3 of node 1 \"Load\", which has 1");
    reported(DiagnosticKind::BadValue, "takes at most 50, not 99");
    reported(DiagnosticKind::BadValue, "takes one of \"x\", \"y\", not \"z\"");
    reported(DiagnosticKind::BadValue, "takes at most 50, not 60");
    reported(DiagnosticKind::BadValue, "not \"q\"");
    reported(DiagnosticKind::BadValue, "takes a link to a node that gives MODEL");
    reported(DiagnosticKind::Range, "`min` is -5, but the node takes at least 1");
    reported(DiagnosticKind::Range, "`max` is 70, but the node takes at most 50");
    reported(DiagnosticKind::UnknownField, "Save has no input `odd`");
    reported(DiagnosticKind::MissingField, "`image` (COMBO) is missing");
    reported(DiagnosticKind::UnknownNodeType, "Did you mean \"Image\"?");
    reported(DiagnosticKind::MissingNodes, "\"Absent\"");
    let uploads: Vec<_> = found.iter().filter(|problem| problem.message.contains("gone.png")).collect();
    assert!(uploads.len() == 1 && !uploads[0].is_error(), "{found:#?}");
}

#[test]
fn a_missing_model_is_reported_once_with_what_needs_it() {
    let info: ObjectInfo = serde_json::from_value(json!({
        "Load": {"input": {"required": {"name": [[]]}}, "output": ["MODEL"]},
        "Save": {"input": {"required": {"model": ["MODEL"]}}, "output": [], "output_node": true},
    }))
    .unwrap();
    let graph = json!({
        "1": node("Load", json!({"name": "b.safetensors"})),
        "2": node("Save", json!({"model": ["1", 0]})),
    });
    let workflow = workflow(
        "required_models: [b.safetensors]
inputs: [{id: model, type: select, node_id: 1, field: name, default: b.safetensors, options: [b.safetensors]}]",
        &graph,
    );
    let found: Vec<_> = validate(&workflow, &info).iter().map(|found| found.message.clone()).collect();
    assert_eq!(
        found,
        [
            "the default of input \"model\" for node 1 \"Load\" (`name`) needs the model \"b.safetensors\"; no model of \
             this kind is installed."
        ]
    );
}

#[test]
fn inputs_that_the_editor_adds_are_not_unknown() {
    let info: ObjectInfo = serde_json::from_value(json!({
        "CustomCombo": {"input": {"required": {"choice": ["COMBO", {"options": []}]}}, "output": ["STRING"],
            "output_node": true},
        "SaveGLB": {"input": {}, "output": [], "output_node": true},
    }))
    .unwrap();
    let inputs = json!({"choice": "a", "index": 0, "option1": "a", "option2": "b"});
    let graph =
        json!({"1": node("CustomCombo", inputs), "2": node("SaveGLB", json!({"image": "", "imge": ""}))});
    let found = validate(&workflow("", &graph), &info);
    let unknown: Vec<_> = found
        .iter()
        .filter(|found| found.kind == DiagnosticKind::UnknownField)
        .map(|found| &found.message)
        .collect();
    assert_eq!(unknown, ["node 2 \"SaveGLB\": SaveGLB has no input `imge`."]);
}

#[test]
fn the_graphs_own_file_is_missed_where_a_caller_may_leave_it_out() {
    let info: ObjectInfo = serde_json::from_value(json!({
        "LoadImage": {"input": {"required": {"image": [["there.png"], {"image_upload": true}]}}, "output": ["IMAGE"]},
        "Save": {"input": {"required": {"image": ["IMAGE"]}}, "output": [], "output_node": true},
    }))
    .unwrap();
    let found = |file: &str, required: bool| {
        let graph = json!({
            "1": node("LoadImage", json!({"image": file})),
            "2": node("Save", json!({"image": ["1", 0]})),
        });
        let input =
            format!("inputs: [{{id: image, type: image, node_id: 1, field: image, required: {required}}}]");
        validate(&workflow(&input, &graph), &info).to_vec()
    };
    assert_eq!(found("there.png", false), []);
    assert_eq!(found("gone.png", true), []);
    let missed = found("gone.png", false);
    assert!(missed.len() == 1 && !missed[0].is_error(), "{missed:?}");
    assert_eq!(
        missed[0].message,
        "without a file for the input \"image\", node 1 \"LoadImage\" takes \"gone.png\", which this ComfyUI does not \
         have; send a file, or make the input required"
    );
}

proptest! {
    #[test]
    fn a_callers_text_is_data_and_comes_out_unchanged(text in "(\\PC|\\{\\{|\\}\\}|\\{\\{a\\}\\}){1,60}") {
        prop_assume!(!text.trim().is_empty());
        let graph = json!({"1": node("T", json!({"bound": "", "whole": "{{a}}", "part": "<{{a}}|{{b}}>"}))});
        let workflow = workflow(
            "inputs: [{id: a, type: text, node_id: 1, field: bound}, {id: b, type: text}]", &graph);
        let out = inputs(&workflow, json!({"a": text, "b": text}));
        prop_assert_eq!(out, json!({"bound": text, "whole": text, "part": format!("<{text}|{text}>")}));
    }

    #[test]
    fn no_graph_text_makes_compiling_panic(text in "\\PC{0,40}") {
        let graph = json!({"1": node("T", json!({"x": text, &text: [text, {&text: text}]}))});
        let _ = Workflow::new(manifest("inputs: [{id: a, type: text}]"), &graph.to_string(), None);
        let _ = Workflow::new(manifest(""), &text, None);
    }
}

#[test]
fn a_scenes_seed_of_minus_one_is_generated_in_a_static_workflow_too() {
    let manifest = "id: w
inputs:
- {id: scenes, type: scene_list, per_scene: [{id: seed, type: seed}], node_id: 1, field: scenes}
";
    let graph = r#"{"1": {"class_type": "T", "inputs": {"scenes": []}}}"#;
    let (manifest, _) = Manifest::parse(manifest, "w").unwrap();
    let workflow = Workflow::new(manifest, graph, None).unwrap().workflow;
    let given = json!({"scenes": [{"seed": -1}, {"seed": 7}]});
    let params =
        Params::check(workflow.manifest(), given.as_object().unwrap(), &Uploads::new(), &mut || 4711)
            .unwrap();
    let folder = OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3);
    let assembled = workflow.assemble(&params, &folder).unwrap();
    let scenes = &assembled.graph.nodes["1"].inputs["scenes"]["__value__"];
    assert_eq!(*scenes, json!([{"seed": 4711}, {"seed": 7}]));
    assert_eq!((assembled.seeds["scene_1"], assembled.seeds["scene_2"]), (4711, 7));
}
