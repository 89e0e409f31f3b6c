//! What a form can offer: `GET /api/models` and `GET /api/run/{workflow_id}?resolve=true`.

mod support;

use std::time::Duration;

use comfy_runner::server::Settings;
use comfy_runner_api::{Manifest, ModelList, ModelLists};
use comfy_runner_client::Config;
use comfy_runner_jobs::ComfyUi;
use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::{Api, Shelf, settings, simulator};

#[actix_rt::test]
async fn models_are_listed_by_kind_as_comfyui_lists_them() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let all: ModelLists = serde_json::from_slice(&api.get("/api/models").await.body).unwrap();
    for kind in ["checkpoints", "loras", "vae", "diffusion_models", "text_encoders", "upscale_models"] {
        let reply = api.get(&format!("/api/models/{kind}")).await;
        let list: ModelList = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(list.kind, kind);
        assert_eq!(list.models, all.models[kind]);
        assert!(!list.models.is_empty(), "{kind}");
    }
    assert_eq!(api.get("/api/models/unet").await.json()["kind"], "diffusion_models");
    let reply = api.get("/api/models/lora").await;
    assert_eq!(reply.status, 404);
    assert!(reply.detail().contains("Did you mean \"loras\"?"), "{}", reply.detail());
    for kind in ["..%2Fobject_info", "%2e%2e", "custom_nodes", "no%20kind"] {
        let reply = api.get_raw(&format!("/api/models/{kind}")).await;
        assert_eq!(reply.status, 404, "{kind}: {}", reply.text());
    }
    api.stop().await;
}

/// A ComfyUI lists code and settings beside its models.
#[actix_rt::test]
async fn folders_without_models_are_left_out() {
    let mut comfyui = mockito::Server::new_async().await;
    let folders = r#"["checkpoints", "configs", "custom_nodes", "datasets"]"#;
    comfyui.mock("GET", "/models").with_body(folders).create_async().await;
    let checkpoints = comfyui.mock("GET", "/models/checkpoints").with_body(r#"["sd/a.ckpt"]"#);
    let checkpoints = checkpoints.create_async().await;
    let nodes = comfyui.mock("GET", "/models/custom_nodes").expect(0).create_async().await;
    let api = Api::start(&comfyui.url());
    assert_eq!(api.get("/api/models").await.json(), json!({"models": {"checkpoints": ["sd/a.ckpt"]}}));
    assert_eq!(api.get("/api/models/custom_nodes").await.status, 404);
    checkpoints.assert_async().await;
    nodes.assert_async().await;
    api.stop().await;
}

#[actix_rt::test]
async fn models_of_a_comfyui_that_does_not_answer_are_an_error() {
    let api = Api::start("http://127.0.0.1:9");
    for path in ["/api/models", "/api/models/loras", "/api/run/no-model?resolve=true"] {
        let reply = api.get(path).await;
        assert_eq!(reply.status, 500, "{path}");
        assert!(reply.detail().contains("cannot be"), "{}", reply.detail());
    }
    assert_eq!(api.get("/api/run/no-model?resolve=false").await.status, 200);
    let reply = api.get("/api/run/no-model?resolve=please").await;
    assert_eq!((reply.status.as_u16(), reply.detail().contains("`resolve`")), (400, true));
    api.stop().await;
}

#[actix_rt::test]
async fn models_and_options_of_several_comfyuis_are_put_together() {
    const SDXL: &str = "sd_xl_base_1.0.safetensors";
    const SD15: &str = "v1-5-pruned-emaonly-fp16.safetensors";
    let without = |model: &str| {
        let builder = Simulator::builder().step_delay(Duration::ZERO);
        builder.without_models(vec![model.to_owned()]).start().unwrap()
    };
    let (one, two) = (without(SDXL), without(SD15));
    let comfyui = |name: &str, simulator: &Simulator| {
        ComfyUi::new(name, Config::new(simulator.url().parse().unwrap())).unwrap()
    };
    let tagged = comfyui("two", &two).with_tags(vec!["xl".to_owned()]);
    let settings =
        Settings { comfyuis: vec![comfyui("one", &one), tagged], ..settings("http://127.0.0.1:9") };
    let shelf = Shelf::new();
    let graph = json!({"4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": SD15}}});
    let input = "inputs:\n  - {id: checkpoint, type: checkpoint_picker, node_id: 4, field: ckpt_name}\n";
    shelf.put("any", &format!("id: any\n{input}"), &graph);
    shelf.put("xl", &format!("id: xl\nrequires_tags: [xl]\n{input}"), &graph);
    shelf.put("none", &format!("id: none\nrequires_tags: [xl, video]\n{input}"), &graph);
    let api = Api::start_with(&settings, shelf.path());

    let kind = api.get("/api/models/checkpoints").await.json();
    assert_eq!(kind["only_on"], json!({SD15: ["one"], SDXL: ["two"]}));
    let models: Vec<String> = serde_json::from_value(kind["models"].clone()).unwrap();
    assert!(models.iter().any(|model| model == SDXL) && models.iter().any(|model| model == SD15));
    let all = api.get("/api/models").await.json();
    assert_eq!(
        (&all["models"]["checkpoints"], &all["only_on"]),
        (&kind["models"], &json!({"checkpoints": kind["only_on"]}))
    );
    let unknown = api.get("/api/models/checkpoint").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.detail().starts_with("no ComfyUI has a kind of models"), "{}", unknown.detail());

    let offered = async |workflow: &str| {
        let resolved = api.get(&format!("/api/run/{workflow}?resolve=true")).await.json();
        options(&resolved, "/inputs/0").unwrap()
    };
    let mut any = offered("any").await;
    any.sort();
    let mut models = models;
    models.sort();
    assert_eq!(any, models);
    let xl = offered("xl").await;
    assert!(xl.iter().any(|model| model == SDXL) && !xl.iter().any(|model| model == SD15), "{xl:?}");
    let none = api.get("/api/run/none?resolve=true").await;
    assert_eq!((none.status.as_u16(), none.detail().contains("xl, video")), (500, true), "{}", none.text());

    // What one that is down had is not offered.
    drop(two);
    while !api.get("/api/models/checkpoints").await.json()["only_on"].is_null() {
        actix_rt::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!offered("any").await.iter().any(|model| model == SDXL));
    api.stop().await;
}

fn options(manifest: &Value, pointer: &str) -> Option<Vec<String>> {
    let options =
        manifest.pointer(pointer).unwrap_or_else(|| panic!("{pointer}: {manifest}")).get("options")?;
    Some(options.as_array().unwrap().iter().map(|option| option.as_str().unwrap().to_owned()).collect())
}

#[actix_rt::test]
async fn a_resolved_manifest_has_the_choices_of_the_fields_that_take_its_inputs() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    let graph = json!({
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "{{model}}"}},
        "2": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["3", 0], "negative": ["3", 0],
            "latent_image": ["4", 0], "seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler",
            "scheduler": "normal", "denoise": 1.0}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "x"}},
        "4": {"class_type": "VAEEncode", "inputs": {"pixels": ["5", 0], "vae": ["6", 0]}},
        "5": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "6": {"class_type": "VAELoader", "inputs": {"vae_name": "ae.safetensors"}},
        "7": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["6", 0]}},
        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "x"}},
    });
    let manifest = "id: form
inputs:
  - {id: model, type: checkpoint_picker}
  - group: More
    items:
      - {id: sampler, type: select, node_id: 2, field: sampler_name}
      - {id: scheduler, type: select, node_id: 2, field: scheduler, options: [normal, simple]}
  - {id: vae, type: vae_picker, node_id: 6, field: vae_name}
  - {id: image, type: image, node_id: 5, field: image}
  - {id: steps, type: int, node_id: 2, field: steps}
";
    shelf.put("form", manifest, &graph);
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let reply = api.get("/api/run/form?resolve=true").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let resolved = reply.json();
    let models = api.get("/api/models").await.json()["models"].clone();
    assert_eq!(json!(options(&resolved, "/inputs/0")), models["checkpoints"]);
    assert!(options(&resolved, "/inputs/1/items/0").unwrap().contains(&"dpmpp_2m".to_owned()));
    assert_eq!(options(&resolved, "/inputs/1/items/1").unwrap(), ["normal", "simple"]);
    let vaes = options(&resolved, "/inputs/2").unwrap();
    assert!(
        vaes.contains(&"ae.safetensors".to_owned()) && vaes.len() >= models["vae"].as_array().unwrap().len()
    );
    assert_eq!(options(&resolved, "/inputs/3"), None, "uploaded files of others are not offered");
    assert_eq!(options(&resolved, "/inputs/4"), None);
    serde_json::from_value::<Manifest>(resolved).unwrap();

    let plain = api.get("/api/run/form").await.json();
    assert_eq!(options(&plain, "/inputs/0"), None);
    api.stop().await;
}

#[actix_rt::test]
async fn pickers_of_a_dynamic_workflow_are_resolved_by_its_blocks_or_by_their_type() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    shelf.put_manifest(
        "form",
        "id: form
type: dynamic
inputs:
  - {id: vae, type: text, default: ae.safetensors}
  - {id: loras, type: lora_picker_dynamic}
pipeline:
  - {block: all, file: all.json}
",
    );
    let nodes = json!({
        "v": {"class_type": "VAELoader", "inputs": {"vae_name": "{{vae}}"}},
        "e": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "s": {"class_type": "SaveImage", "inputs": {"images": ["e", 0], "filename_prefix": "x"}},
    });
    shelf.put_block("form", "all.json", &json!({"nodes": nodes}));
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let resolved = api.get("/api/run/form?resolve=1").await.json();
    assert!(options(&resolved, "/inputs/0").unwrap().contains(&"sdxl_vae.safetensors".to_owned()));
    assert_eq!(json!(options(&resolved, "/inputs/1")), api.get("/api/models/loras").await.json()["models"]);
    api.stop().await;
}
