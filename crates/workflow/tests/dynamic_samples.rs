//! The dynamic samples: their graphs, and that every alternative fits the node schemas of the simulator.

mod blocks;

use std::path::Path;

use blocks::{assemble, folder, params};
use comfy_runner_protocol::{Link, ObjectInfo};
use comfy_runner_workflow::{Workflow, Workflows, validate};
use serde_json::{Value, json};

fn sample(id: &str) -> std::sync::Arc<Workflow> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/workflows");
    Workflows::open(library).unwrap().get(id).unwrap()
}

fn link(value: &Value) -> &str {
    Link::from_value(value).unwrap().node
}

#[test]
fn every_alternative_of_the_samples_fits_the_simulators_schemas() {
    let mut info: Value =
        serde_json::from_str(include_str!("../../simulator/src/object_info/0.33.0.json")).unwrap();
    let models: Value = serde_json::from_str(include_str!("../../simulator/src/models.json")).unwrap();
    // The names of models are kept apart from the schemas.
    for (class, input, folder) in [
        ("CheckpointLoaderSimple", "ckpt_name", "checkpoints"),
        ("LoraLoader", "lora_name", "loras"),
        ("LoraLoaderModelOnly", "lora_name", "loras"),
        ("VAELoader", "vae_name", "vae"),
        ("CLIPLoader", "clip_name", "text_encoders"),
        ("UNETLoader", "unet_name", "diffusion_models"),
        ("CLIPVisionLoader", "clip_name", "clip_vision"),
    ] {
        info[class]["input"]["required"][input][0] = models[folder].clone();
    }
    let info: ObjectInfo = serde_json::from_value(info).unwrap();
    for id in ["text-to-image-studio", "multi-scene-video"] {
        let reported: Vec<String> = validate(&sample(id), &info).iter().map(ToString::to_string).collect();
        // The simulator has no packages of custom nodes, but their node types.
        let reported: Vec<&String> =
            reported.iter().filter(|reported| !reported.contains("ComfyUI-VideoHelperSuite")).collect();
        assert_eq!(reported, Vec::<&String>::new(), "{id}");
    }
}

#[test]
fn the_studio_stacks_loras_takes_an_image_repeats_and_upscales() {
    let studio = sample("text-to-image-studio");
    let plain = assemble(&studio, json!({"seed": 1})).unwrap();
    let ids = plain.graph.nodes.keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        ids,
        [
            "model_0_checkpoint",
            "prompt_0_positive",
            "prompt_0_negative",
            "empty_0_latent",
            "sample_0_sampler",
            "save_0_decode",
            "save_0_save"
        ]
    );
    let full = json!({"seed": 7, "batch": 2, "hires_enabled": true, "_existing_input_image": "cat.png", "steps": 1,
        "loras": [{"file": "add_detail.safetensors", "strength": 0.5}], "vae_override": "sdxl_vae.safetensors"});
    let full = assemble(&studio, full).unwrap();
    let input = |node: &str, field: &str| full.graph.nodes[node].inputs[field].clone();
    assert_eq!(full.graph.len(), 1 + 2 + 2 + 3 + 2 * (1 + 2 + 2));
    assert_eq!(link(&input("sample_1_sampler", "model")), "model_0_lora_1");
    assert_eq!(link(&input("prompt_0_positive", "clip")), "model_0_lora_1");
    assert_eq!(link(&input("save_0_decode", "vae")), "model_0_vae_override");
    assert_eq!(link(&input("save_1_decode", "samples")), "hires_1_sampler");
    assert_eq!(link(&input("sample_1_sampler", "latent_image")), "picture_0_encode");
    assert_eq!(
        (input("sample_1_sampler", "denoise"), input("hires_1_upscale", "width")),
        (json!(0.6), json!(768))
    );
    assert_eq!(input("hires_0_sampler", "steps"), 1);
    assert_eq!((input("sample_0_sampler", "seed"), input("sample_1_sampler", "seed")), (json!(7), json!(8)));
    assert_eq!(serde_json::to_value(&full.seeds).unwrap(), json!({"seed": 7, "batch_1": 7, "batch_2": 8}));
    assert_eq!(input("save_1_save", "filename_prefix"), "20260324_143052_a1b2c3/final/final");
}

#[test]
fn the_scenes_of_the_film_are_chained_and_joined() {
    let workflow = sample("multi-scene-video");
    let scenes = |count: usize| {
        let scenes: Vec<Value> =
            (0..count).map(|n| json!({"prompt": format!("scene {n}"), "duration": n + 1})).collect();
        let given = json!({"scenes": scenes, "seed": 10, "_existing_input_image": "first.png"});
        workflow.assemble(&params(&workflow, given), &folder()).unwrap()
    };
    let three = scenes(3);
    let input = |node: &str, field: &str| three.graph.nodes[node].inputs[field].clone();
    assert_eq!(link(&input("scene_0_motion", "start_image")), "first_0_load");
    assert_eq!(link(&input("scene_2_motion", "start_image")), "last_1_frame");
    assert_eq!(
        (input("scene_2_motion", "length"), input("last_2_frame", "batch_index")),
        (json!(49), json!(48))
    );
    assert_eq!(
        (link(&input("join_0_join", "image1")), link(&input("join_0_join", "image2"))),
        ("scene_0_decode", "scene_1_decode")
    );
    assert_eq!(
        (link(&input("join_1_join", "image1")), link(&input("join_1_join", "image2"))),
        ("join_0_join", "scene_2_decode")
    );
    assert_eq!(link(&input("film_0_save", "images")), "join_1_join");
    assert_eq!(three.result_nodes, ["film_0_save"]);
    assert_eq!(
        serde_json::to_value(&three.seeds).unwrap(),
        json!({"seed": 10, "scene_1": 10, "scene_2": 11, "scene_3": 12})
    );
    assert_eq!(three.required_models.len(), 3);
    assert_eq!(link(&scenes(1).graph.nodes["film_0_save"].inputs["images"]), "scene_0_decode");
}
