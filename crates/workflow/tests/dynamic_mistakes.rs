//! What can be wrong with a dynamic workflow is found without a request, all of it, with file and place.

mod blocks;

use blocks::{block, compile, node, problems};
use serde_json::{Value, json};

/// The one thing that is wrong.
fn problem(manifest: &str, blocks: &[(&str, Value)]) -> String {
    let problems = problems(manifest, blocks);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.into_iter().next().unwrap()
}

fn plain() -> Value {
    block(json!({}), &[], "image")
}

#[test]
fn every_mistake_is_told_and_not_only_the_first() {
    let reported = problems(
        "inputs: [{id: steps, type: int, default: 1}, {id: name, type: text}]
computed: {half: stpes / 2, odd: 1 +, late: early * 2, early: 2}
pipeline:
- {block: a, file: missing.json}
- {block: b, file: b.json, condition: 'steps >'}
- {block: c, file: c.json, repeat: name}
- {block: d, file: c.json, repeat: 500, in_repeat: false}
- {block: e, file: b.json, switch: mod, cases: {x: gone.json}, vae_override: true, lora_injection: true, chain_imports: {imagee: x}}
- {block: f, file: d.json, repeat: extra_scenes}
outputs: [{type: image, node_id: z_0_n}]
",
        &[
            ("b.json", block(json!({"s": "{{step}}", "m": ["modle", 0]}), &["model"], "x")),
            ("c.json", block(json!({"s": "{{steps}"}), &[], "x")),
            ("d.json", json!({"nodes": {"a": node("T", json!({"x": ["b", 0]})), "b": node("T", json!({"x": ["a", 0]}))}, "exports": {"e": {"node": "c"}}})),
        ],
    );
    for expected in [
        "manifest.yaml:4: `computed`, \"half\": nothing provides `stpes`",
        "manifest.yaml:4: `computed`, \"odd\": the expression `1 +` cannot be read",
        "manifest.yaml:4: `computed`, \"late\": `early` is computed later",
        "manifest.yaml:6: stage \"a\": the block file blocks/missing.json cannot be used: the file does not exist",
        "manifest.yaml:7: stage \"b\": `condition`: the expression `steps >` cannot be read",
        "manifest.yaml:8: stage \"c\": `repeat: name`: the input is of type `text`",
        "manifest.yaml:9: stage \"d\": `repeat: 500` is more than 100",
        "manifest.yaml:10: stage \"e\": `switch`: nothing provides `mod`",
        "manifest.yaml:10: stage \"e\": the block file blocks/gone.json cannot be used",
        "manifest.yaml:11: stage \"f\": `repeat` needs scenes",
        "manifest.yaml:12: output 1: no stage makes a node \"z_0_n\"",
        "blocks/b.json:7: node \"n\": input `m`: refers to \"modle\", which is neither a node of this block nor an import. Did you mean \"model\"?",
        "blocks/c.json:6: node \"n\": input `s`: the expression `steps}` cannot be read: `{{` has no `}}`",
        "nodes \"a\", \"b\" depend on each other in a circle",
        "export \"e\": the block has no node \"c\"",
        "blocks/b.json:6: node \"n\", input `s`: nothing provides `step` to stage \"e\"",
        "manifest.yaml:10: stage \"e\": `chain_imports`: blocks/b.json has no import \"imagee\"",
        "manifest.yaml:10: stage \"e\": `vae_override`: blocks/b.json does not export `vae`",
    ] {
        assert!(reported.iter().any(|reported| reported.contains(expected)), "{expected}\n{reported:#?}");
    }
    assert_eq!(reported.len(), 20, "{reported:#?}");
}

#[test]
fn a_key_of_a_block_that_looks_like_a_typo_is_a_warning() {
    let mut block = plain();
    block["exprots"] = json!({});
    block["nodes"]["n"]["class_typ"] = json!("T");
    let reported = problems("pipeline: [{block: a, file: a.json}]\n", &[("a.json", block)]);
    let typo = |key: &str, known: &str| {
        let end = format!("`{key}` has no meaning here. Did you mean `{known}`?");
        assert!(
            reported.iter().any(|found| found.contains("blocks/a.json")
                && found.contains(": warning: ")
                && found.ends_with(&end)),
            "{end}: {reported:#?}"
        );
    };
    typo("exprots", "exports");
    typo("class_typ", "class_type");
}

#[test]
fn an_undeclared_variable_is_told_with_the_name_that_was_meant() {
    let reported = problem(
        "inputs: [{id: steps, type: int, default: 1}]\npipeline: [{block: a, file: a.json}]\n",
        &[("a.json", block(json!({"s": "{{ step + 1 }}"}), &[], "x"))],
    );
    assert!(
        reported
            .starts_with("blocks/a.json:6: node \"n\", input `s`: nothing provides `step` to stage \"a\""),
        "{reported}"
    );
    assert!(reported.ends_with("Did you mean \"steps\"?"), "{reported}");
}

#[test]
fn what_a_stage_asks_of_its_block_must_be_there() {
    let reported = problems(
        "pipeline: [{block: a, file: a.json, vae_override: true, lora_injection: true, chain_imports: {imgae: x}},
  {block: b, file: a.json, lora_injection: paired, lora_nodes: [n, m]}]\n",
        &[("a.json", block(json!({}), &["image"], "x"))],
    );
    for expected in [
        "stage \"a\": `vae_override`: blocks/a.json does not export `vae`",
        "stage \"a\": `lora_injection`: blocks/a.json does not export `model`",
        "stage \"a\": `chain_imports`: blocks/a.json has no import \"imgae\". Did you mean \"image\"?",
        "stage \"b\": `lora_nodes`: blocks/a.json has no node \"m\"",
    ] {
        assert!(reported.iter().any(|reported| reported.contains(expected)), "{expected}\n{reported:#?}");
    }
}

#[test]
fn an_import_nobody_exports_breaks_the_workflow() {
    let blocks = [("a.json", plain()), ("b.json", block(json!({"x": ["imgae", 0]}), &["imgae"], "y"))];
    let manifest = "pipeline: [{block: a, file: a.json}, {block: b, file: b.json}]\n";
    let reported = problem(manifest, &blocks);
    assert!(
        reported.contains(
            "stage \"b\" (blocks/b.json), node \"n\", input `x`: no stage before this one exports \"imgae\""
        ),
        "{reported}"
    );
    assert!(
        reported.contains("Did you mean \"image\"?") && reported.starts_with("blocks/b.json:6"),
        "{reported}"
    );
    assert!(compile(manifest, &blocks).is_err());
}

#[test]
fn an_import_that_only_some_requests_lack_is_an_error_for_those_requests() {
    let blocks = [("a.json", plain()), ("b.json", block(json!({"x": ["image", 0]}), &["image"], "y"))];
    let manifest = "inputs: [{id: mode, type: select, options: [a, b, c], default: a}, {id: up, type: boolean, default: false}]
pipeline:
- {block: one, file: a.json, condition: mode == a}
- {block: two, file: a.json, condition: mode == \"b\"}
- {block: last, file: b.json, condition: up or mode != a}
";
    let reported = problem(manifest, &blocks);
    assert!(
        reported.contains("stage \"last\"") && reported.ends_with("(when \"mode\" is \"c\")"),
        "{reported}"
    );
    let compiled = compile(manifest, &blocks).unwrap();
    assert!(compiled.warnings.iter().all(comfy_runner_manifest::Diagnostic::is_error));
    let refused = blocks::assemble(&compiled.workflow, json!({"mode": "c"})).unwrap_err().to_string();
    assert!(refused.contains("exports \"image\""), "{refused}");
    assert!(blocks::assemble(&compiled.workflow, json!({"mode": "b"})).is_ok());
}

#[test]
fn combinations_of_two_switches_and_counts_of_scenes_are_tried() {
    let manifest = "inputs:
- {id: a, type: boolean, default: false}
- {id: b, type: boolean, default: false}
- {id: scenes, type: scene_list, required: true, per_scene: [{id: t, type: text}, {id: cut, type: boolean, default: false}]}
pipeline:
- {block: base, file: plain.json}
- {block: first, file: first.json, condition: not (a and b)}
- {block: more, file: uses.json, repeat: scenes, condition: cut}
";
    let reported = problem(
        manifest,
        &[
            ("plain.json", block(json!({}), &[], "other")),
            ("first.json", plain()),
            ("uses.json", block(json!({"x": "{{image}}", "t": "{{t}}"}), &["image"], "z")),
        ],
    );
    assert!(reported.contains("\"a\" is true and \"b\" is true and \"scenes\" is a list of"), "{reported}");
}

#[test]
fn a_condition_on_an_unknown_name_is_a_warning_as_missing_is_false() {
    let reported = problem(
        "inputs: [{id: hires, type: boolean}]\npipeline: [{block: a, file: a.json}, {block: b, file: a.json, condition: hirse}]\n",
        &[("a.json", plain())],
    );
    assert!(
        reported.contains("warning: stage \"b\": `condition`: nothing provides `hirse`")
            && reported.contains("\"hires\""),
        "{reported}"
    );
}

#[test]
fn two_nodes_of_one_id_are_told() {
    let reported = problem(
        "pipeline: [{block: a, file: a.json}, {block: a_0, file: b.json}]\n",
        &[
            ("a.json", json!({"nodes": {"0_n": node("T", json!({}))}})),
            ("b.json", json!({"nodes": {"n": node("T", json!({}))}})),
        ],
    );
    assert!(reported.contains("another node of the id \"a_0_0_n\""), "{reported}");
}

#[test]
fn a_static_manifest_is_refused_where_blocks_are_wanted() {
    let (manifest, _) = comfy_runner_manifest::Manifest::parse("id: w", "w").unwrap();
    let mut read = |_: &str| Ok("{}".to_owned());
    let problems = comfy_runner_workflow::Workflow::from_blocks(manifest, &mut read).unwrap_err();
    assert!(problems[0].message.contains("no `pipeline`"), "{problems:?}");
}
