//! Templates mean the same in the graph of a static workflow and in a block of a dynamic one.

mod blocks;

use comfy_runner_manifest::Manifest;
use comfy_runner_workflow::Workflow;
use serde_json::{Map, Value, json};

const INPUTS: &str = "inputs:
- {id: steps, type: int, default: 20}
- {id: steps-2, type: int, default: 7}
- {id: prompt, type: text, default: a fox}
- {id: size, type: resolution_picker, default: 832x1216}
- {id: lora, type: lora_picker, default: {file: ink.safetensors, strength: 0.5}}
- {id: none, type: lora_picker, default: none}
- {id: absent, type: int}
- {id: image, type: image}
- {id: seed, type: seed, default: 5}
- {id: duration, type: float, default: 2}
- {id: hires_enabled, type: boolean, default: true}
- {id: hires_scale, type: float, default: 1.5}
- {id: flag, type: text, default: 'false'}
defaults: {list: [1, 2], map: {key: 3}}
computed: {half: steps // 2}
";

/// The inputs of one node with these inputs, in a static and in a dynamic workflow; or what is wrong with the workflow.
fn both(inputs: &Value) -> [Result<Value, String>; 2] {
    let node = json!({"class_type": "T", "inputs": inputs});
    let manifest = |rest: &str| Manifest::parse(&format!("id: w\n{INPUTS}{rest}"), "w").unwrap().0;
    let fixed = Workflow::new(manifest(""), &json!({"n": node}).to_string(), None);
    let block = json!({"nodes": {"n": node}}).to_string();
    let dynamic =
        Workflow::from_blocks(manifest("type: dynamic\npipeline: [{block: a, file: a.json}]\n"), &mut |_| {
            Ok(block.clone())
        });
    [(fixed, "n"), (dynamic, "a_0_n")].map(|(compiled, id)| {
        let workflow = compiled.map_err(|diagnostics| diagnostics.to_string())?.workflow;
        let assembled = workflow.request(Map::new()).folder(blocks::folder()).assemble();
        let assembled = assembled.map_err(|error| error.to_string())?;
        Ok(assembled.graph.nodes[id].inputs.clone().into())
    })
}

fn same(given: Value, expected: Value) {
    let [fixed, dynamic] = both(&given);
    assert_eq!(fixed.as_ref(), Ok(&expected), "static: {given}");
    assert_eq!(dynamic.as_ref(), Ok(&expected), "dynamic: {given}");
}

#[test]
fn a_template_has_one_meaning() {
    for (template, value) in [
        (json!("{{steps-1}}"), json!(19)),
        (json!("{{steps-2}}"), json!(7)),
        (json!("{{ steps - 2 }}"), json!(18)),
        (json!("{{ '}}' ~ steps }}!"), json!("}}20!")),
        (json!(r#"{{ "{{" }}steps}}"#), json!("{{steps}}")),
        (json!("{{batch_num}} {{index}} {{scene_num}}"), json!("1 0 1")),
        (json!("{{seed}}"), json!(5)),
        (json!("{{size.width}} {{size.h}} {{width}} {{size}}"), json!("832 1216 832 832x1216")),
        (json!("{{duration_frames}}"), json!(33)),
        (json!("{{hires_width}}"), json!(1248)),
        (json!("{{half}}"), json!(10)),
        (json!("{{lora}}"), json!("ink.safetensors")),
        (json!("{{lora.strength}}"), json!(0.5)),
        (json!("{{none}}"), json!("None")),
        (json!("{{map.key}}"), json!(3)),
        (json!("{{list}}"), json!({"__value__": [1, 2]})),
        (json!(["{{steps}}", "x", 1]), json!({"__value__": [20, "x", 1]})),
        (json!({"{{prompt}}": "{{steps}}", "{{absent}}": 1}), json!({"a fox": 20})),
        (json!("<{{absent}}>"), json!("<>")),
        (json!("{{has_input_image}}"), json!(false)),
        (json!("{{ 1 if flag else 2 }}"), json!(2)),
        (json!("{{ not flag }}"), json!(true)),
        (json!("{{output_dir}}"), json!("20260324_143052_a1b2c3")),
    ] {
        same(json!({"x": template}), json!({"x": value}));
    }
}

#[test]
fn an_input_without_a_value_is_left_out() {
    same(
        json!({"a": "{{absent}}", "b": "{{ none if absent is undefined else 1 }}", "c": 1}),
        json!({"c": 1}),
    );
}

#[test]
fn what_is_no_template_is_refused_in_both() {
    for (template, reported) in [
        ("{{steps", "`{{` has no `}}`"),
        ("{{steps}", "`{{` has no `}}`"),
        ("{{ steps + }}", "cannot be read"),
        ("{{}}", "it is empty"),
        ("{{stpes}}", "Did you mean \"steps\"?"),
        ("{{ stpes * 2 }}", "Did you mean \"steps\"?"),
    ] {
        for result in both(&json!({"x": template})) {
            let error = result.expect_err(template);
            assert!(error.contains(reported), "{template}: {error}");
        }
    }
}
