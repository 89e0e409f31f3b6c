//! Graphs put together from blocks.

mod blocks;

use blocks::{assemble, block, graph, ids, inputs, node, params, workflow};
use comfy_runner_manifest::Manifest;
use comfy_runner_workflow::{AssembleError, Limits, Workflow};
use serde_json::{Value, json};

fn refused(workflow: &comfy_runner_workflow::Workflow, given: Value) -> String {
    assemble(workflow, given).expect_err("must be refused").to_string()
}

#[test]
fn references_imports_and_values_become_a_graph_with_steady_ids() {
    let loader = json!({
        "nodes": {"ckpt": node("CheckpointLoaderSimple", json!({"ckpt_name": "{{checkpoint}}"}))},
        "exports": {"model": {"node": "ckpt", "output": 0}, "vae": {"node": "ckpt", "output": 2}},
    });
    let sample = json!({
        "nodes": {
            "latent": node("EmptyLatentImage", json!({"width": "{{ width * scale }}", "height": "{{height}}"})),
            "sampler": {"class_type": "KSampler", "inputs": {"seed": "{{seed}}", "model": ["model", 0], "latent_image": ["latent", 0],
                "note": "{{ prompt | trim }} in {{steps}} steps"}, "_meta": {"title": "Sampler {{scene_num}}"}},
            "decode": node("VAEDecode", json!({"samples": ["sampler", 0], "vae": "{{vae}}"})),
        },
        "imports": ["model", "vae"], "exports": {"image": {"node": "decode", "output": 0}}, "variables": ["seed", "steps"],
    });
    let workflow = workflow(
        "inputs:
- {id: prompt, type: text, default: ' a {{cat}} '}
- {id: steps, type: int, default: 20}
- {id: seed, type: seed}
- {id: size, type: resolution_picker, default: 512x640}
defaults: {checkpoint: m.safetensors, scale: 2}
pipeline:
- {block: load, file: load.json}
- {block: sample, file: sample.json}
",
        &[("load.json", loader), ("sample.json", sample)],
    );
    let assembled = assemble(&workflow, json!({"seed": 7})).unwrap();
    assert_eq!(assembled.graph.nodes["sample_0_sampler"].title(), "Sampler 1");
    assert_eq!(assembled.seeds.iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>(), [("seed", 7)]);
    assert_eq!(
        graph(&workflow, json!({"seed": 7})),
        json!({
            "load_0_ckpt": ["CheckpointLoaderSimple", {"ckpt_name": "m.safetensors"}],
            "sample_0_latent": ["EmptyLatentImage", {"width": 1024, "height": 640}],
            "sample_0_sampler": ["KSampler", {"seed": 7, "model": ["load_0_ckpt", 0], "latent_image": ["sample_0_latent", 0],
                "note": "a {{cat}} in 20 steps"}],
            "sample_0_decode": ["VAEDecode", {"samples": ["sample_0_sampler", 0], "vae": ["load_0_ckpt", 2]}],
        })
    );
}

#[test]
fn an_import_is_the_latest_export_and_a_condition_leaves_stages_out() {
    let workflow = workflow(
        "inputs:
- {id: hires, type: boolean, default: false}
- {id: mode, type: select, options: [fast, slow], default: fast}
pipeline:
- {block: a, file: a.json}
- {block: b, file: b.json, condition: hires}
- {block: c, file: b.json, condition: mode == slow}
- {block: d, file: c.json}
",
        &[
            ("a.json", block(json!({}), &[], "image")),
            ("b.json", block(json!({"x": ["image", 0]}), &["image"], "image")),
            ("c.json", block(json!({"x": ["image", 0]}), &["image"], "end")),
        ],
    );
    let last = |given: Value| inputs(&workflow, given, "d_0_n")["x"][0].clone();
    assert_eq!(last(json!({})), "a_0_n");
    assert_eq!(last(json!({"hires": true})), "b_0_n");
    assert_eq!(last(json!({"hires": true, "mode": "slow"})), "c_0_n");
    assert_eq!(inputs(&workflow, json!({"hires": true, "mode": "slow"}), "c_0_n")["x"][0], "b_0_n");
}

#[test]
fn a_switch_picks_the_file_skips_the_stage_and_falls_back_to_its_default() {
    let workflow = workflow(
        "inputs:
- {id: mode, type: select, options: [a, b, off, odd], default: a}
pipeline:
- {block: base, file: base.json}
- {block: s, switch: mode, cases: {a: a.json, b: b.json, off: }, default: b, models: {a: one.pt, b: [two.pt, three.pt]}}
required_models: [two.pt, always.pt]
",
        &[
            ("base.json", block(json!({}), &[], "x")),
            ("a.json", block(json!({"which": "a"}), &[], "x")),
            ("b.json", block(json!({"which": "b"}), &[], "x")),
        ],
    );
    let which = |mode: &str| graph(&workflow, json!({"mode": mode}))["s_0_n"][1]["which"].clone();
    assert_eq!(
        [which("a"), which("b"), which("odd"), which("off")],
        [json!("a"), json!("b"), json!("b"), Value::Null]
    );
    let models = |mode: &str| assemble(&workflow, json!({"mode": mode})).unwrap().required_models;
    assert_eq!(models("a"), ["always.pt", "one.pt"]);
    assert_eq!(models("odd"), ["always.pt", "two.pt", "three.pt"]);
    assert_eq!(models("off"), ["always.pt"]);
}

#[test]
fn a_repetition_takes_the_stages_after_it_along_and_counts_seeds() {
    let manifest = "inputs:
- {id: batch, type: int, default: 2, min: 0, max: 8}
- {id: seed, type: seed}
pipeline:
- {block: a, file: a.json, repeat: batch}
- {block: b, file: b.json}
- {block: c, file: c.json, in_repeat: false}
defaults: {start: 1}
computed: {twice: seed * 2}
";
    let workflow = workflow(
        manifest,
        &[
            (
                "a.json",
                block(json!({"seed": "{{seed}}", "t": "{{index}} {{batch_num}} {{twice}}"}), &[], "image"),
            ),
            ("b.json", block(json!({"x": ["image", 0]}), &["image"], "image")),
            ("c.json", block(json!({"t": "{{start}}"}), &[], "end")),
        ],
    );
    assert_eq!(
        graph(&workflow, json!({"seed": 40})),
        json!({
            "a_0_n": ["T", {"seed": 40, "t": "0 1 80"}], "b_0_n": ["T", {"x": ["a_0_n", 0]}],
            "a_1_n": ["T", {"seed": 41, "t": "1 2 82"}], "b_1_n": ["T", {"x": ["a_1_n", 0]}],
            "c_0_n": ["T", {"t": 1}],
        })
    );
    let seeds = |given: Value| assemble(&workflow, given).unwrap().seeds;
    assert_eq!(
        serde_json::to_value(seeds(json!({"seed": 40}))).unwrap(),
        json!({"seed": 40, "batch_1": 40, "batch_2": 41})
    );
    assert_eq!(ids(&workflow, json!({"batch": 0})), ["c_0_n"]);
    let generated = seeds(json!({"batch": 3}));
    assert_eq!(generated["batch_1"], generated["seed"]);
    assert!(generated["batch_2"] != generated["batch_1"] + 1 && generated["batch_2"] != generated["batch_3"]);
    assert!(generated.values().all(|seed| *seed < 1 << 53));
}

const SCENES: &str = "- id: scenes
  type: scene_list
  required: true
  default: [{text: one}]
  per_scene:
  - {id: text, type: text, required: true}
  - {id: duration, type: float, default: 2}
  - {id: seed, type: seed}
";

#[test]
fn scenes_are_chained_and_bring_their_fields() {
    let workflow = workflow(
        &format!(
            "inputs:\n{SCENES}- {{id: start, type: image}}\n- {{id: seed, type: seed, default: 5}}
pipeline:
- {{block: load, file: load.json}}
- {{block: clip, file: clip.json, repeat: scenes, chain: true, chain_imports: {{first: last_frame}}}}
- {{block: end, file: end.json}}
- {{block: out, file: out.json, in_repeat: false}}
"
        ),
        &[
            ("load.json", block(json!({"image": "{{input_image}}"}), &[], "first")),
            (
                "clip.json",
                block(
                    json!({"from": ["first", 0], "t": "{{scene_num}} {{text}}", "frames": "{{duration_frames}}", "seed": "{{seed}}"}),
                    &["first"],
                    "video",
                ),
            ),
            ("end.json", block(json!({"v": "{{video}}"}), &["video"], "last_frame")),
            ("out.json", block(json!({"v": "{{video}}"}), &["video"], "done")),
        ],
    );
    let scenes = json!([{"text": "a"}, {"text": "b", "duration": 5}, {"text": "c", "seed": 99}]);
    let given = json!({"scenes": scenes, "start": "cat.png"});
    assert_eq!(
        graph(&workflow, given.clone()),
        json!({
            "load_0_n": ["T", {"image": "cat.png"}],
            "clip_0_n": ["T", {"from": ["load_0_n", 0], "t": "1 a", "frames": 33, "seed": 5}],
            "end_0_n": ["T", {"v": ["clip_0_n", 0]}],
            "clip_1_n": ["T", {"from": ["end_0_n", 0], "t": "2 b", "frames": 81, "seed": 6}],
            "end_1_n": ["T", {"v": ["clip_1_n", 0]}],
            "clip_2_n": ["T", {"from": ["end_1_n", 0], "t": "3 c", "frames": 33, "seed": 99}],
            "end_2_n": ["T", {"v": ["clip_2_n", 0]}],
            "out_0_n": ["T", {"v": ["clip_2_n", 0]}],
        })
    );
    let seeds = serde_json::to_value(assemble(&workflow, given).unwrap().seeds).unwrap();
    assert_eq!(seeds, json!({"seed": 5, "scene_1": 5, "scene_2": 6, "scene_3": 99}));
    // Without an image, the loader's input is left out.
    assert_eq!(inputs(&workflow, json!({}), "load_0_n"), json!({}));
}

#[test]
fn a_scenes_own_seed_of_minus_one_is_generated_though_the_request_has_no_seed() {
    let manifest = "inputs:
- {id: scenes, type: scene_list, min: 1, default: [{}], per_scene: [{id: seed, type: seed, default: -1}, {id: noise_seed, type: seed, default: -1}]}
pipeline:
- {block: a, file: a.json, repeat: scenes}
";
    let block = block(json!({"seed": "{{seed}}", "noise": "{{noise_seed}}"}), &[], "image");
    let workflow = workflow(manifest, &[("a.json", block)]);
    let given =
        json!({"scenes": [{"seed": -1, "noise_seed": -1}, {"seed": -1}, {"seed": 9, "noise_seed": 8}]});
    let assembled = assemble(&workflow, given).unwrap();
    let reported = |name: &str| assembled.seeds[name];
    for (number, node) in (1..).zip(["a_0_n", "a_1_n", "a_2_n"]) {
        let inputs = &assembled.graph.nodes[node].inputs;
        assert_eq!(inputs["seed"], reported(&format!("scene_{number}")));
        assert_eq!(inputs["noise"], reported(&format!("scene_{number}_noise_seed")));
    }
    assert_ne!(reported("scene_1"), reported("scene_2"));
    assert_eq!((reported("scene_3"), reported("scene_3_noise_seed")), (9, 8));
}

/// Lists of scenes may also come without a description of their fields, or from `defaults`.
#[test]
fn a_seed_of_minus_one_in_a_plain_list_is_generated_too() {
    for input in ["inputs: [{id: scenes, type: scene_list}]\n", "defaults: {scenes: [{seed: 1}]}\n"] {
        let manifest =
            format!("id: w\ntype: dynamic\n{input}pipeline: [{{block: a, file: a.json, repeat: scenes}}]\n");
        let (manifest, _) = Manifest::parse(&manifest, "w").unwrap();
        let block = block(json!({"seed": "{{seed}}"}), &[], "image").to_string();
        // Requests without a seed are warned of: this is about those that have one.
        let workflow = Workflow::from_blocks(manifest, &mut |_| Ok(block.clone())).unwrap().workflow;
        let assembled = assemble(&workflow, json!({"scenes": [{"seed": -1}, {"seed": -1}]})).unwrap();
        let seed = |node: &str| assembled.graph.nodes[node].inputs["seed"].as_u64().expect("a seed");
        assert_eq!((seed("a_0_n"), seed("a_1_n")), (assembled.seeds["scene_1"], assembled.seeds["scene_2"]));
        assert_ne!(seed("a_0_n"), seed("a_1_n"));
    }
}

#[test]
fn a_chain_begins_with_the_imports_own_name_or_else_with_the_exports() {
    let chained = |load_exports: &str| {
        let workflow = workflow(
            "pipeline:
- {block: load, file: load.json}
- {block: a, file: a.json, repeat: 2, chain: true, chain_imports: {base: out}}
",
            &[
                ("load.json", block(json!({}), &[], load_exports)),
                ("a.json", block(json!({"x": ["base", 0]}), &["base"], "out")),
            ],
        );
        [
            inputs(&workflow, json!({}), "a_0_n")["x"][0].clone(),
            inputs(&workflow, json!({}), "a_1_n")["x"][0].clone(),
        ]
    };
    assert_eq!(chained("base"), [json!("load_0_n"), json!("a_0_n")]);
    assert_eq!(chained("out"), [json!("load_0_n"), json!("a_0_n")]);
}

#[test]
fn older_spellings_of_repetitions_hold() {
    let one = block(
        json!({"t": "{{text}} {{scene_num}} {{_output_dir}}", "has": "{{_has_input_image}}", "pic": "{{_uploaded_image}}"}),
        &[],
        "x",
    );
    let workflow = workflow(
        &format!(
            "inputs:\n{SCENES}- {{id: pic, type: image}}\n- {{id: n, type: int, default: 1, max: 5}}
pipeline:
- {{block: first, file: one.json, scene_index: 0}}
- {{block: more, file: one.json, repeat: extra_scenes}}
- {{block: b, file: plain.json, repeat_variable: n}}
- {{block: c, file: plain.json, repeat: true, repeat_variable: n}}
"
        ),
        &[("one.json", one), ("plain.json", block(json!({}), &[], "y"))],
    );
    let given = json!({"scenes": [{"text": "a"}, {"text": "b"}, {"text": "c"}], "n": 2, "pic": "p.png"});
    let folder = "20260324_143052_a1b2c3";
    assert_eq!(
        ids(&workflow, given.clone()),
        ["first_0_n", "more_0_n", "more_1_n", "b_0_n", "b_1_n", "c_0_n", "c_1_n"]
    );
    assert_eq!(
        inputs(&workflow, given.clone(), "first_0_n"),
        json!({"t": format!("a 1 {folder}"), "has": true, "pic": "p.png"})
    );
    assert_eq!(inputs(&workflow, given.clone(), "more_1_n")["t"], format!("c 3 {folder}"));
    assert_eq!(ids(&workflow, json!({})), ["first_0_n", "b_0_n", "c_0_n"]);
}

fn loader() -> Value {
    json!({
        "nodes": {"ckpt": node("Ckpt", json!({})), "text": node("Encode", json!({"clip": ["ckpt", 1]}))},
        "exports": {"model": ["ckpt", 0], "clip": ["ckpt", 1], "vae": ["ckpt", 2], "cond": ["text", 0]},
    })
}

fn user() -> Value {
    block(
        json!({"model": ["model", 0], "clip": ["clip", 0], "vae": ["vae", 0]}),
        &["model", "clip", "vae"],
        "image",
    )
}

#[test]
fn picked_loras_become_a_chain_between_the_exports_and_all_that_used_them() {
    let workflow = workflow(
        "inputs: [{id: loras, type: lora_picker_dynamic}, {id: vae_override, type: vae_picker}]
pipeline:
- {block: load, file: load.json, lora_injection: true, vae_override: true}
- {block: use, file: use.json}
",
        &[("load.json", loader()), ("use.json", user())],
    );
    let given = json!({"loras": [{"file": "a", "strength": 0.5}, "none", "b"], "vae_override": "v.pt"});
    assert_eq!(
        graph(&workflow, given),
        json!({
            "load_0_ckpt": ["Ckpt", {}],
            "load_0_text": ["Encode", {"clip": ["load_0_lora_2", 1]}],
            "load_0_lora_1": ["LoraLoader", {"model": ["load_0_ckpt", 0], "clip": ["load_0_ckpt", 1], "lora_name": "a", "strength_model": 0.5, "strength_clip": 0.5}],
            "load_0_lora_2": ["LoraLoader", {"model": ["load_0_lora_1", 0], "clip": ["load_0_lora_1", 1], "lora_name": "b", "strength_model": 1.0, "strength_clip": 1.0}],
            "load_0_vae_override": ["VAELoader", {"vae_name": "v.pt"}],
            "use_0_n": ["T", {"model": ["load_0_lora_2", 0], "clip": ["load_0_lora_2", 1], "vae": ["load_0_vae_override", 0]}],
        })
    );
    assert_eq!(ids(&workflow, json!({})), ["load_0_ckpt", "load_0_text", "use_0_n"]);
}

#[test]
fn paired_loras_fill_numbered_slots_of_two_loaders() {
    let loaders = json!({
        "nodes": {"high": node("Power", json!({"x": 1})), "low": node("Power", json!({}))},
        "exports": {"model": ["high", 0]},
    });
    let workflow = workflow(
        "inputs:
- {id: loras_high, type: lora_picker_dynamic}
- {id: loras_low, type: lora_picker_dynamic}
- {id: pairs, type: lora_picker}
lora_pairs: {ink: {high: ih, low: il}, wash: {both: w}}
pipeline:
- {block: l, file: l.json, lora_injection: paired, lora_nodes: [high, low], lora_start_slot: 3}
",
        &[("l.json", loaders)],
    );
    let slot = |file: &str, strength: f64| json!({"on": true, "lora": file, "strength": strength});
    let given = json!({"loras_high": [{"file": "a", "strength": 0.5}], "pairs": [{"pair_id": "ink", "strength_low": 0.2}, {"pair_id": "wash"}]});
    assert_eq!(
        inputs(&workflow, given.clone(), "l_0_high"),
        json!({"x": 1, "lora_3": slot("a", 0.5), "lora_4": slot("ih", 1.0), "lora_5": slot("w", 1.0)})
    );
    assert_eq!(
        inputs(&workflow, given, "l_0_low"),
        json!({"lora_3": slot("il", 0.2), "lora_4": slot("w", 1.0)})
    );
    assert!(refused(&workflow, json!({"pairs": [{"pair_id": "inkk"}]})).contains("there is ink, wash"));
}

#[test]
fn keys_may_be_placeholders_and_what_nothing_fills_is_dropped() {
    let workflow = workflow(
        "inputs: [{id: key, type: text}, {id: n, type: int}]\npipeline: [{block: a, file: a.json}]\n",
        &[(
            "a.json",
            block(
                json!({"{{key}}": 1, "{{unheard_of}}": ["nowhere_import", 0], "x_{{key}}": 2, "n": "{{n}}"}),
                &["nowhere_import"],
                "x",
            ),
        )],
    );
    assert_eq!(inputs(&workflow, json!({"key": "k"}), "a_0_n"), json!({"k": 1, "x_k": 2}));
    assert_eq!(inputs(&workflow, json!({"n": 3}), "a_0_n"), json!({"x_": 2, "n": 3}));
}

#[test]
fn computed_names_follow_their_order_and_a_scenes_own_fields() {
    let workflow = workflow(
        &format!(
            "inputs:\n{SCENES}- {{id: size, type: resolution_picker, default: 832x1216}}\n- {{id: hires_enabled, type: boolean, default: true}}
- {{id: hires_scale, type: float, default: 1.5}}
computed: {{half: width / 2, quarter: half / 2, duration_frames: (duration * 24) | int, flag: hires_enabled and width > 800}}
pipeline:
- {{block: a, file: a.json, repeat: scenes}}
- {{block: b, file: b.json, in_repeat: false, condition: flag}}
"
        ),
        &[
            ("a.json", block(json!({"f": "{{duration_frames}}"}), &[], "x")),
            ("b.json", block(json!({"q": "{{quarter}}", "w": "{{hires_width}}", "h": "{{hires_height}}"}), &[], "y")),
        ],
    );
    let given = json!({"scenes": [{"text": "a", "duration": 3}]});
    assert_eq!(inputs(&workflow, given.clone(), "a_0_n"), json!({"f": 72}));
    assert_eq!(inputs(&workflow, given, "b_0_n"), json!({"q": 208.0, "w": 1248, "h": 1824}));
    assert_eq!(ids(&workflow, json!({"hires_enabled": false})), ["a_0_n"]);
}

#[test]
fn callers_can_neither_draw_links_nor_write_expressions() {
    let compiled = blocks::compile(
        "inputs: [{id: any, type: anything}, {id: prompt, type: text}]\npipeline: [{block: a, file: a.json}]\n",
        &[(
            "a.json",
            block(json!({"any": "{{any}}", "p": "{{prompt}}!", "which": ["{{prompt}}", 0]}), &["image"], "x"),
        )],
    );
    let workflow = compiled.unwrap().workflow;
    let refusal = refused(&workflow, json!({"any": ["a_0_n", 0], "prompt": "n"}));
    assert!(
        refusal.contains(
            "stage \"a\" (blocks/a.json), node \"n\", input `any`: a list of a string and a number is a link"
        ),
        "{refusal}"
    );
    assert!(refused(&workflow, json!({"prompt": "elsewhere"})).contains("refers to \"elsewhere\""));
}

#[test]
fn counts_that_are_none_and_graphs_that_grow_too_large_are_refused() {
    let one = [("a.json", block(json!({"t": "{{ text }}"}), &[], "x"))];
    let workflow = workflow(
        "inputs: [{id: n, type: int, default: 1}, {id: text, type: text}]\npipeline: [{block: a, file: a.json, repeat: n}]\n",
        &one,
    );
    assert!(refused(&workflow, json!({"n": -1})).contains("`repeat: n`: -1 is neither a count nor a list"));
    assert!(
        refused(&workflow, json!({"n": 101})).contains("asks for 101 instances; at most 100 are allowed")
    );
    let within = |limits: Limits| {
        workflow.assemble_within(
            &params(&workflow, json!({"n": 50, "text": "xxxx"})),
            &blocks::folder(),
            &limits,
        )
    };
    assert!(within(Limits::default()).is_ok());
    let error = within(Limits::default().nodes(49)).unwrap_err();
    assert!(error.to_string().contains("the graph has more than 49 nodes"), "{error}");
    assert!(
        within(Limits::default().text(100)).unwrap_err().to_string().contains("more than 100 bytes of text")
    );
    assert!(matches!(error, AssembleError::Stages { problems } if problems.len() == 1));
}

#[test]
fn the_same_params_make_the_same_bytes() {
    let workflow = workflow(
        &format!(
            "inputs:\n{SCENES}- {{id: seed, type: seed}}\npipeline: [{{block: a, file: a.json, repeat: scenes}}]\n"
        ),
        &[("a.json", block(json!({"z": "{{seed}}", "t": "{{text}}", "a": {"k": ["{{index}}"]}}), &[], "x"))],
    );
    let given = json!({"scenes": [{"text": "a"}, {"text": "b"}, {"text": "c", "seed": -1}]});
    let texts: Vec<String> =
        (0..5).map(|_| assemble(&workflow, given.clone()).unwrap().graph.to_string()).collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
}
