//! Packs in the dialect of ComfyUI Studio: each test has a small one of our own, which must load without a change.

mod blocks;

use blocks::{assemble, block, compile, graph, ids, inputs, node, problems, workflow};
use comfy_runner_manifest::Manifest;
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Workflow, Workflows, validate};
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

#[test]
fn a_switch_without_a_case_for_the_value_skips_the_stage_and_a_boolean_matches_either_spelling() {
    let files = || {
        let file = |name: &str| (name.to_owned(), block(json!({"from": name}), &[], "x"));
        ["a.json", "b.json", "end.json"].map(file)
    };
    let blocks = files();
    let blocks: Vec<(&str, Value)> =
        blocks.iter().map(|(name, block)| (name.as_str(), block.clone())).collect();
    let pack = workflow(
        "inputs:
- {id: mode, type: text, default: a}
- {id: fast, type: boolean, default: true}
pipeline:
- {block: s, switch: mode, cases: {a: a.json, b: b.json}}
- {block: t, switch: fast, cases: {'True': a.json, 'False': b.json}}
- {block: u, switch: fast, cases: {true: a.json}}
- {block: end, file: end.json}
",
        &blocks,
    );
    assert_eq!(ids(&pack, json!({})), ["s_0_n", "t_0_n", "u_0_n", "end_0_n"]);
    assert_eq!(ids(&pack, json!({"mode": "odd", "fast": "false"})), ["t_0_n", "end_0_n"]);
    assert_eq!(inputs(&pack, json!({}), "t_0_n")["from"], "a.json");
    assert_eq!(inputs(&pack, json!({"fast": false}), "t_0_n")["from"], "b.json");

    // A default that is no case skips the stage too, and `validate` says so.
    let manifest = "defaults: {mode: none}
pipeline:
- {block: s, switch: mode, default: none, cases: {a: a.json, b: b.json}}
- {block: end, file: end.json}
";
    let compiled = compile(manifest, &blocks).unwrap();
    assert_eq!(ids(&compiled.workflow, json!({})), ["end_0_n"]);
    assert_eq!(ids(&compiled.workflow, json!({"mode": "b"})), ["s_0_n", "end_0_n"]);
    let reported = problems(manifest, &blocks);
    assert!(
        reported[0].contains("warning: stage \"s\": `default: none` is not one of the cases"),
        "{reported:?}"
    );
}

#[test]
fn the_sides_of_the_larger_image_are_truncated() {
    let pack = workflow(
        "inputs:
- {id: size, type: resolution_picker, default: 832x1216}
- {id: hires_enabled, type: boolean, default: true}
- {id: hires_scale, type: float, default: 1.3}
pipeline: [{block: a, file: a.json}]
",
        &[("a.json", block(json!({"w": "{{hires_width}}", "h": "{{hires_height}}"}), &[], "x"))],
    );
    assert_eq!(inputs(&pack, json!({}), "a_0_n"), json!({"w": 1081, "h": 1580}));
}

#[test]
fn a_count_without_a_value_is_one() {
    let pack = workflow(
        "inputs: [{id: n, type: int, max: 8}, {id: s, type: select, options: ['1', '3']}]
pipeline:
- {block: a, file: a.json, repeat: n}
- {block: b, file: a.json, repeat: s}
",
        &[("a.json", block(json!({"i": "{{_iteration}}", "n": "{{batch_num}}"}), &[], "x"))],
    );
    assert_eq!(ids(&pack, json!({})), ["a_0_n", "b_0_n"]);
    assert_eq!(ids(&pack, json!({"n": null, "s": "3"})), ["a_0_n", "b_0_n", "b_1_n", "b_2_n"]);
    assert_eq!(inputs(&pack, json!({"n": 2}), "a_1_n"), json!({"i": 1, "n": 2}));
}

#[test]
fn sides_without_a_resolution_input_are_1024() {
    let sides = || [("a.json", block(json!({"w": "{{width}}", "h": "{{height}}"}), &[], "x"))];
    let pack = workflow("pipeline: [{block: a, file: a.json}]\n", &sides());
    assert_eq!(inputs(&pack, json!({}), "a_0_n"), json!({"w": 1024, "h": 1024}));
    let pack = workflow("defaults: {width: 640}\npipeline: [{block: a, file: a.json}]\n", &sides());
    assert_eq!(inputs(&pack, json!({"width": 512}), "a_0_n"), json!({"w": 512, "h": 1024}));
}

#[test]
fn a_name_that_nothing_provides_matters_only_where_a_stage_uses_it() {
    let blocks = || {
        [
            ("a.json", block(json!({}), &[], "x")),
            ("b.json", block(json!({"x": ["x", 0], "v": "{{strenght}}"}), &["x"], "y")),
        ]
    };
    let manifest = |condition: &str| {
        format!(
            "inputs: [{{id: strength, type: float, default: 1}}, {{id: more, type: boolean, default: false}}]
pipeline: [{{block: a, file: a.json}}, {{block: b, file: b.json, condition: {condition}}}]\n"
        )
    };
    // Some requests use the stage: these are refused, and `validate` says which.
    let compiled = compile(&manifest("more"), &blocks()).unwrap();
    assert_eq!(ids(&compiled.workflow, json!({})), ["a_0_n"]);
    let refused = assemble(&compiled.workflow, json!({"more": true})).unwrap_err();
    assert!(refused.is_of_the_workflow());
    let reason = "nothing provides `strenght` to stage \"b\"; add an input or a key of `defaults` to the manifest. \
                  Did you mean \"strength\"?";
    assert_eq!(refused.to_string(), format!("stage \"b\" (blocks/b.json), node \"n\", input `v`: {reason}"));
    let reported = problems(&manifest("more"), &blocks());
    assert_eq!(
        reported,
        [format!("blocks/b.json:10: node \"n\", input `v`: {reason} (when \"more\" is true)")]
    );
    // No request uses it.
    let reported = problems(&manifest("false"), &blocks());
    assert_eq!(
        reported,
        [format!(
            "blocks/b.json:10: warning: node \"n\", input `v`: {reason} (no request was found that uses the block)"
        )]
    );
    // Every request uses it: the workflow is broken.
    let found = compile(&manifest("true"), &blocks()).unwrap_err();
    assert_eq!(found[0].to_string(), format!("blocks/b.json:10: node \"n\", input `v`: {reason}"));
}

#[test]
fn injected_nodes_are_called_after_what_they_load() {
    let loader = json!({
        "nodes": {"ckpt": node("Ckpt", json!({}))},
        "exports": {"model": ["ckpt", 0], "clip": ["ckpt", 1], "vae": ["ckpt", 2]},
    });
    let pack = workflow(
        "inputs: [{id: loras, type: lora_picker_dynamic}, {id: vae_override, type: vae_picker}]
pipeline: [{block: load, file: load.json, lora_injection: true, vae_override: true, models: ['']}]
",
        &[("load.json", loader)],
    );
    let given = json!({"loras": [{"file": "add_detail.safetensors"}], "vae_override": "v.pt"});
    let assembled = assemble(&pack, given).unwrap();
    let title = |node: &str| assembled.graph.nodes[node].title().to_owned();
    assert_eq!(title("load_0_lora_1"), "LoRA: add_detail.safetensors");
    assert_eq!(title("load_0_vae_override"), "VAE: v.pt");
    assert_eq!(assembled.required_models, Vec::<String>::new());
}

#[test]
fn conditions_compare_the_text_of_a_value() {
    let stage = |n: usize, condition: &str| {
        format!("- {{block: s{n}, file: a.json, condition: {}}}\n", json!(condition))
    };
    let conditions = [
        "m == 1",
        "m != 1",
        "res == 512x512",
        "up == 4x-UltraSharp.pth",
        "up != none",
        "sampler == dpm++_sde",
        "preset == PLUS FACE (portraits)",
        "path == a/b",
        "ratio != a:b",
        "free ==",
        "free !=",
        "on == True",
        "m == \"1\" and on",
    ];
    let stages: String = conditions.iter().enumerate().map(|(n, condition)| stage(n, condition)).collect();
    let pack = workflow(
        &format!(
            "inputs:
- {{id: m, type: select, options: ['1', '2'], default: '1'}}
- {{id: res, type: resolution_picker, default: 512x512}}
- {{id: up, type: select, options: [4x-UltraSharp.pth, other.pth]}}
- {{id: sampler, type: select, options: [euler, dpm++_sde], default: dpm++_sde}}
- {{id: preset, type: select, options: [STANDARD, PLUS FACE (portraits)], default: PLUS FACE (portraits)}}
- {{id: path, type: text, default: a/b}}
- {{id: ratio, type: text, default: 'a:b'}}
- {{id: free, type: text}}
- {{id: on, type: boolean, default: true}}
pipeline:
- {{block: base, file: a.json}}
{stages}"
        ),
        &[("a.json", block(json!({}), &[], "x"))],
    );
    let used = |given: Value| -> Vec<&str> {
        let nodes = ids(&pack, given);
        let is_used = |n: &usize| nodes.contains(&format!("s{n}_0_n"));
        (0..conditions.len()).filter(is_used).map(|n| conditions[n]).collect()
    };
    assert_eq!(
        used(json!({})),
        [
            "m == 1",
            "res == 512x512",
            "up != none",
            "sampler == dpm++_sde",
            "preset == PLUS FACE (portraits)",
            "path == a/b",
            "free ==",
            "on == True",
            "m == \"1\" and on"
        ]
    );
    let other = json!({"m": 2, "res": "640x512", "up": "4x-UltraSharp.pth", "sampler": "euler", "preset": "STANDARD",
        "path": "a", "ratio": "b", "free": "x", "on": false});
    assert_eq!(used(other), ["m != 1", "up == 4x-UltraSharp.pth", "up != none", "ratio != a:b", "free !="]);
}

#[test]
fn a_name_that_nothing_provides_is_warned_of_with_what_the_condition_is_then() {
    let told = |condition: &str| {
        let manifest = format!(
            "inputs: [{{id: mode, type: select, options: [fast, slow], default: fast}}, {{id: strong, type: boolean, default: true}}]
pipeline:
- {{block: a, file: a.json}}
- {{block: b, file: a.json, condition: {}}}\n",
            json!(condition)
        );
        let told = problems(&manifest, &[("a.json", block(json!({}), &[], "x"))]);
        let message = |told: String| told.replace("manifest.yaml:6: warning: stage \"b\": `condition`: ", "");
        told.into_iter().map(message).collect::<Vec<_>>()
    };
    assert_eq!(told("!unknown"), ["nothing provides `unknown`, so it is always true."]);
    assert_eq!(told("unknown != x"), ["nothing provides `unknown`, so it is always true."]);
    assert_eq!(told("unknown"), ["nothing provides `unknown`, so it is always false."]);
    assert_eq!(told("unknown == x"), ["nothing provides `unknown`, so it is always false."]);
    assert_eq!(
        told("strng or mode == fast"),
        ["nothing provides `strng`, so that name has no value. Did you mean \"strong\"?"]
    );
    assert_eq!(
        told("mode == fast and strng"),
        ["nothing provides `strng`, so \"fast and strng\" is compared as a text. Did you mean \"strong\"?"]
    );
    assert_eq!(
        told("mode == fsat"),
        ["\"fsat\" is not one of the options of \"mode\". Did you mean \"fast\"?"]
    );
    assert_eq!(told("mode != none"), Vec::<String>::new());
    assert_eq!(told("mode == 'fast' and strong"), Vec::<String>::new());
}

/// A block with the two loaders of a Wan pack, which have LoRAs of their own in two slots.
fn loaders() -> Value {
    let own = |n: u8| json!({"on": true, "lora": format!("accelerator_{n}"), "strength": 1});
    let loader = || {
        node(
            "Power Lora Loader (rgthree)",
            json!({"lora_1": own(1), "lora_2": own(2), "{{free}}": "{{slots}}"}),
        )
    };
    json!({
        "nodes": {"lora_high": loader(), "lora_low": loader()},
        "exports": {"model_high": ["lora_high", 0], "model_low": ["lora_low", 0]},
    })
}

const PAIRED: &str = "inputs:
- {id: loras_high, type: lora_picker_dynamic}
- {id: loras_low, type: lora_picker_dynamic}
- {id: pairs, type: lora_picker}
lora_pairs: {ink: {high: own_high, low: own_low}}
pipeline: [{block: setup, file: setup.json, lora_injection: paired}]
";

fn slots(workflow: &Workflow, given: Value, node: &str) -> Value {
    let inputs = inputs(workflow, given, node);
    let inputs = inputs.as_object().unwrap().iter();
    inputs.map(|(slot, lora)| (slot.clone(), lora["lora"].clone())).collect()
}

#[test]
fn pairs_of_loras_keep_the_slots_of_the_pack_and_empty_entries_are_skipped() {
    let pack = workflow(PAIRED, &[("setup.json", loaders())]);
    let own = json!({"lora_1": "accelerator_1", "lora_2": "accelerator_2"});
    assert_eq!(slots(&pack, json!({}), "setup_0_lora_high"), own);
    let given = json!({
        "loras_high": [{"file": "", "strength": 1}, {"file": "a", "strength": 0.5}, "", {"file": null}, {"file": "b"}],
        "loras_low": "[{\"file\": \"\"}]",
        "pairs": [{"pair_id": ""}, {"high": "", "low": ""}, {"pair_id": "ink", "strength_low": 0.2}, null],
    });
    assert_eq!(
        slots(&pack, given.clone(), "setup_0_lora_high"),
        json!({"lora_1": "accelerator_1", "lora_2": "accelerator_2", "lora_3": "a", "lora_4": "b", "lora_5": "own_high"})
    );
    let low = inputs(&pack, given, "setup_0_lora_low");
    assert_eq!(low["lora_3"], json!({"on": true, "lora": "own_low", "strength": 0.2}));
    assert_eq!(low.as_object().unwrap().len(), 3);
    for nothing in [json!([{"file": ""}]), json!({"file": ""}), json!(""), json!([]), Value::Null] {
        assert_eq!(slots(&pack, json!({"pairs": nothing}), "setup_0_lora_high"), own, "{nothing}");
    }
}

#[test]
fn a_file_beside_the_workflows_has_pairs_for_all_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("w/manifest.yaml", &format!("id: w\ntype: dynamic\n{PAIRED}"));
    write("w/blocks/setup.json", &loaders().to_string());
    // A workflow without pairs is not affected by the file.
    write("plain/manifest.yaml", "id: plain\ntype: dynamic\npipeline: [{block: a, file: a.json}]\n");
    write("plain/blocks/a.json", &block(json!({}), &[], "x").to_string());
    let library = Workflows::open(folder.path()).unwrap();
    let high = |pair: &str| {
        let workflow = library.get("w").map_err(|error| error.to_string())?;
        let given = json!({"pairs": [{"pair_id": pair}]});
        let assembled = assemble(&workflow, given).map_err(|error| error.to_string())?;
        Ok::<Value, String>(assembled.graph.nodes["setup_0_lora_high"].inputs["lora_3"]["lora"].clone())
    };
    assert!(high("wash").unwrap_err().contains(
        "neither `lora_pairs` nor the file lora_pairs.yaml beside the workflows has \"wash\"; there is ink"
    ));
    write("lora_pairs.yaml", "wash: {both: wash_both}\nink: {high: other, low: other}\n");
    assert_eq!(high("wash"), Ok(json!("wash_both")));
    assert_eq!(high("ink"), Ok(json!("own_high")), "the manifest's own take precedence");
    assert!(library.get("w").unwrap().manifest().json()["lora_pairs"].get("wash").is_none());

    write("lora_pairs.yaml", "ink: {high: other}\nwash: {}\n");
    let broken = high("ink").unwrap_err();
    assert!(broken.contains("../lora_pairs.yaml:2: the LoRA pair \"wash\" names no file"), "{broken}");
    assert!(library.get("plain").is_ok());
    write("lora_pairs.yaml", "- ink\n");
    assert!(high("ink").unwrap_err().contains("LoRA pairs are a map from id to `high` and `low`"));
    std::fs::remove_file(folder.path().join("lora_pairs.yaml")).unwrap();
    assert_eq!(high("ink"), Ok(json!("own_high")));
}

#[test]
fn no_scenes_mean_one_with_the_defaults_of_its_fields() {
    let scene = |samples: &str| {
        let text = json!({"text": "{{prompt}}|{{duration_frames}}|{{motion}}|{{scene_num}}", "seed": "{{seed}}", "from": samples});
        let mut block = block(text, &[], "samples");
        block["exports"]["images"] = json!(["n", 0]);
        block
    };
    let extend = json!({
        "nodes": {"n": node("Extend", json!({"text": "{{prompt}}", "from": "{{prev_samples}}"}))},
        "imports": ["prev_samples"], "exports": {"samples": ["n", 0], "images": ["n", 0]},
    });
    let manifest = |scenes: &str| {
        format!(
            "inputs:
- {{id: scenes, type: scene_list, {scenes}per_scene: [
    {{id: prompt, type: text, required: true}},
    {{id: duration, type: select, options: [3, 5, 8], default: 3}},
    {{id: motion, type: int, default: 7}},
    {{id: seed, type: seed, default: -1}}]}}
pipeline:
- {{block: first, file: first.json, scene_index: 0}}
- {{block: more, file: more.json, repeat: extra_scenes, chain: true, chain_imports: {{prev_samples: samples}}}}
- {{block: out, file: out.json, in_repeat: false}}
"
        )
    };
    let blocks = || {
        [
            ("first.json", scene("")),
            ("more.json", extend.clone()),
            ("out.json", block(json!({"x": ["images", 0]}), &["images"], "video")),
        ]
    };
    let pack = workflow(&manifest(""), &blocks());
    for given in [json!({}), json!({"scenes": null}), json!({"scenes": []}), json!({"scenes": "[]"})] {
        assert_eq!(ids(&pack, given.clone()), ["first_0_n", "out_0_n"], "{given}");
        let assembled = assemble(&pack, given).unwrap();
        let first = &assembled.graph.nodes["first_0_n"].inputs;
        assert_eq!(first["text"], "|81|7|1");
        assert_eq!(first["seed"], assembled.seeds["scene_1"]);
    }
    let given = json!({"scenes": [{"prompt": "a"}, {"prompt": "b"}]});
    assert_eq!(ids(&pack, given.clone()), ["first_0_n", "more_0_n", "out_0_n"]);
    assert_eq!(inputs(&pack, given, "first_0_n")["text"], "a|49|7|1");

    // A default, and more than one required scene, take precedence.
    let pack = workflow(&manifest("default: [{prompt: d}, {prompt: e}], "), &blocks());
    assert_eq!(ids(&pack, json!({"scenes": []})), ["first_0_n", "more_0_n", "out_0_n"]);
}

#[test]
fn no_scenes_are_one_also_in_an_open_list_and_in_defaults_and_none_where_a_field_is_missing() {
    let text = || [("a.json", block(json!({"text": "{{prompt}}", "d": "{{duration}}"}), &[], "x"))];
    for scenes in ["inputs: [{id: scenes, type: scene_list}]", "defaults: {scenes: []}"] {
        let manifest = format!("{scenes}\npipeline: [{{block: a, file: a.json, scene_index: 0}}]\n");
        let pack = compile(&manifest, &text()).unwrap().workflow;
        assert_eq!(inputs(&pack, json!({}), "a_0_n"), json!({"text": "", "d": 5}), "{scenes}");
    }
    let own = |field: &str| {
        format!(
            "inputs: [{{id: shots, type: scene_list, per_scene: [{{id: title, type: text{field}}}]}}]
pipeline: [{{block: base, file: base.json}}, {{block: a, file: a.json, repeat: shots}}]\n"
        )
    };
    let blocks = || {
        [("base.json", block(json!({}), &[], "y")), ("a.json", block(json!({"t": "{{title}}"}), &[], "x"))]
    };
    let pack = workflow(&own(", default: untitled"), &blocks());
    assert_eq!(inputs(&pack, json!({}), "a_0_n"), json!({"t": "untitled"}));
    // A scene of this list needs a title: without scenes there is none.
    let pack = workflow(&own(", required: true"), &blocks());
    assert_eq!(ids(&pack, json!({})), ["base_0_n"]);
}

const OLDER: &str = "inputs:
- {id: scenes, type: scene_list, per_scene: [{id: prompt, type: text, required: true}, {id: duration, type: int, default: 5}]}
- {id: seed, type: seed, default: 7}
pipeline:
- {block: setup, file: setup.json}
- {block: scene_first, file: first.json, repeat: 1}
- {block: scene_extend, file: extend.json, repeat_variable: extra_scenes}
- {block: output, file: output.json}
connections:
  setup_to_scenes: {engine: setup.model}
  scene_chain: {prev_samples: prev_scene.samples}
  last_scene_to_output: {final_images: last_scene.images}
";

/// The blocks of [`OLDER`], whose imports have other names than the exports.
fn older_blocks() -> [(&'static str, Value); 4] {
    let exports = json!({"samples": ["n", 0], "images": ["n", 1]});
    let scene = |mut inputs: Value, imports: &[&str]| {
        inputs["text"] = json!("{{scene_num}} {{prompt}} {{duration_frames}}");
        inputs["seed"] = json!("{{seed}}");
        json!({"nodes": {"n": node("Scene", inputs)}, "imports": imports, "exports": exports})
    };
    [
        ("setup.json", block(json!({}), &[], "model")),
        ("first.json", scene(json!({"m": "{{engine}}"}), &["engine"])),
        (
            "extend.json",
            scene(json!({"m": "{{engine}}", "from": "{{prev_samples}}"}), &["engine", "prev_samples"]),
        ),
        ("output.json", block(json!({"x": "{{final_images}}"}), &["final_images"], "video")),
    ]
}

#[test]
fn the_older_dialect_of_pipelines_builds() {
    let pack = workflow(OLDER, &older_blocks());
    let scenes = json!({"scenes": [{"prompt": "a"}, {"prompt": "b", "duration": 3}, {"prompt": "c"}]});
    let scene = |text: &str, seed: u64| json!(["Scene", {"m": ["setup_0_n", 0], "text": text, "seed": seed}]);
    let after = |text: &str, seed: u64, from: &str| {
        let mut node = scene(text, seed);
        node[1]["from"] = json!([from, 0]);
        node
    };
    assert_eq!(
        graph(&pack, scenes),
        json!({
            "setup_0_n": ["T", {}],
            "scene_first_0_n": scene("1 a 81", 7),
            "scene_extend_0_n": after("2 b 49", 8, "scene_first_0_n"),
            "scene_extend_1_n": after("3 c 81", 9, "scene_extend_0_n"),
            "output_0_n": ["T", {"x": ["scene_extend_1_n", 1]}],
        })
    );
    for given in [json!({"scenes": []}), json!({})] {
        assert_eq!(
            graph(&pack, given),
            json!({
                "setup_0_n": ["T", {}],
                "scene_first_0_n": scene("1  81", 7),
                "output_0_n": ["T", {"x": ["scene_first_0_n", 1]}],
            })
        );
    }
    // The stage for the first scene may also have only its name, and the count may be in both spellings.
    for (from, to) in [
        ("first.json, repeat: 1}", "first.json}"),
        ("repeat_variable: extra", "repeat: 1, repeat_variable: extra"),
    ] {
        let other = workflow(&OLDER.replace(from, to), &older_blocks());
        let given = json!({"scenes": [{"prompt": "a"}, {"prompt": "b"}]});
        assert_eq!(graph(&other, given.clone()), graph(&pack, given));
    }
}

#[test]
fn a_connection_to_nothing_is_an_error_with_its_line() {
    let told = |from: &str, to: &str| problems(&OLDER.replace(from, to), &older_blocks());
    assert_eq!(
        told("setup.model", "setp.model"),
        ["manifest.yaml:12: `connections`, \"engine\": there is no stage \"setp\". Did you mean \"setup\"?"]
    );
    assert_eq!(
        told("setup.model", "setup.mdoel"),
        ["manifest.yaml:11: `connections`: stage \"setup\" has no export \"mdoel\". Did you mean \"model\"?"]
    );
    assert_eq!(
        told("setup.model", "model"),
        [
            "manifest.yaml:12: `connections`, \"engine\": must be `stage.export`, such as `setup.model`, not \"model\""
        ]
    );
    let told = told("last_scene.images", "last_scene.video");
    assert!(told[0].contains("no stage before this one exports \"final_images\""), "{told:?}");
}

#[test]
fn widgets_that_only_custom_pages_add_are_known_to_validate() {
    let info: ObjectInfo =
        serde_json::from_str(include_str!("../../../fixtures/object_info/custom-widgets.json")).unwrap();
    let told = |changes: Value| -> Vec<String> {
        let mut video = json!({
            "frame_rate": 16, "loop_count": 0, "filename_prefix": "x", "format": "{{format}}", "pix_fmt": "yuv420p",
            "crf": "{{crf}}", "save_metadata": true, "trim_to_audio": false, "pingpong": false, "save_output": true,
            "images": ["n", 0],
        });
        video.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let image = json!({"width": 8, "height": 8, "batch_size": 1, "color": 0});
        let mut setup = loaders();
        setup["nodes"]["model"] = node("UNETLoader", json!({"unet_name": "high.safetensors"}));
        setup["nodes"]["n"] = node("EmptyImage", image);
        setup["nodes"]["video"] = node("VHS_VideoCombine", video);
        for side in ["lora_high", "lora_low"] {
            let inputs = &mut setup["nodes"][side]["inputs"];
            inputs["model"] = json!(["model", 0]);
            inputs["PowerLoraLoaderHeaderWidget"] = json!({"type": "PowerLoraLoaderHeaderWidget"});
            inputs["➕ Add Lora"] = json!("");
        }
        let manifest = PAIRED.replace(
            "inputs:\n",
            "defaults: {format: video/h264-mp4}\ninputs:\n- {id: crf, type: int, default: 19}\n",
        );
        let pack = workflow(&manifest, &[("setup.json", setup.clone())]);
        let mut told: Vec<String> = validate(&pack, &info).iter().map(ToString::to_string).collect();
        // The same as a static workflow.
        let graph: Value = graph(&pack, json!({"loras_high": [{"file": "mine"}]}))
            .as_object()
            .unwrap()
            .iter()
            .map(|(id, parts)| (id.clone(), node(parts[0].as_str().unwrap(), parts[1].clone())))
            .collect();
        let fixed = static_workflow("id: w\n", graph);
        told.extend(validate(&fixed, &info).iter().map(ToString::to_string));
        told
    };
    assert_eq!(told(json!({})), Vec::<String>::new());
    let found = told(json!({"profile": "hq"}));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|told| told.contains("`profile`")), "another format's: {found:?}");
}
