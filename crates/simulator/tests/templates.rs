//! ComfyUI's official templates run as they are. Those of `fixtures/templates` always; with `COMFYUI_TEMPLATES`, the folder
//! with the templates of the pip package `comfyui-workflow-templates`, all that the simulator has the nodes for, converted
//! by our own conversion.

mod comfy;

use std::path::{Path, PathBuf};

use comfy::{Comfy, simulator, view};
use comfy_runner_editor::{UiGraph, to_api};
use comfy_runner_protocol::ObjectInfo;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Templates that must run, so that a change that excludes one is noticed.
const MUST_RUN: [&str; 12] = [
    "flux_schnell",
    "image_flux2_klein_image_edit_4b_distilled",
    "image_flux2_klein_text_to_image",
    "image_qwen_image",
    "image_qwen_image_edit_2511",
    "image_to_video_wan",
    "image_z_image_turbo",
    "sdxl_simple_example",
    "text_to_video_wan",
    "video_wan2_2_14B_i2v",
    "video_wan2_2_14B_t2v",
    "video_wan2_2_5B_ti2v",
];

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Runs a graph with existing files for its image inputs, and checks that each file it reports is there.
async fn runs(comfy: &Comfy, name: &str, graph: &Value) {
    let mut graph = graph.clone();
    for node in graph.as_object_mut().unwrap().values_mut() {
        if node["class_type"] == "LoadImage" {
            node["inputs"]["image"] = json!("example.png");
        }
    }
    let answer = comfy.post("/api/prompt", &json!({"prompt": graph})).await;
    assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    let answer = answer.json();
    assert_eq!(answer["node_errors"], json!({}), "{name}");
    let ended = comfy.ended(answer["prompt_id"].as_str().unwrap()).await;
    assert_eq!(ended["status"]["status_str"], "success", "{name}: {}", ended["status"]);
    let outputs = ended["outputs"].as_object().unwrap().values();
    let files: Vec<&Value> = outputs.filter_map(|output| output["images"].as_array()).flatten().collect();
    assert!(!files.is_empty() || name == "basic_switch_node", "{name}");
    for file in files {
        assert_eq!(comfy.send("HEAD", &view(file), &[], Vec::new()).await.status, 200, "{name}: {file}");
    }
}

#[actix_rt::test]
async fn templates_of_today_run_unchanged() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/templates/0.33.0");
    let paths = json_files(&folder);
    assert_eq!(paths.len(), 5);
    for path in paths {
        let mut graph = read(&path);
        // A short video is enough.
        for node in graph.as_object_mut().unwrap().values_mut() {
            if let Some(length) = node["inputs"].get_mut("length").filter(|length| length.is_number()) {
                *length = json!(5);
            }
        }
        runs(&comfy, &name(&path), &graph).await;
    }
}

#[actix_rt::test]
async fn every_official_template_whose_nodes_are_there_runs() {
    let Ok(folder) = std::env::var("COMFYUI_TEMPLATES") else {
        println!("skipped: COMFYUI_TEMPLATES is not set, so only the templates of the fixtures were run");
        return;
    };
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let raw = comfy.get("/object_info").await.json();
    let schemas = ObjectInfo::deserialize(&raw).unwrap();
    let convert = |path: PathBuf| {
        let graph = UiGraph::deserialize(&read(&path)).ok()?;
        let prompt = to_api(&graph, &schemas).ok()?;
        let known = prompt.nodes.values().all(|node| schemas.contains_key(&node.class_type));
        (known && !prompt.is_empty()).then(|| (name(&path), serde_json::to_value(&prompt).unwrap()))
    };
    // All are converted first: a connection that is not used meanwhile would be closed.
    let prompts: Vec<_> = json_files(Path::new(&folder)).into_iter().filter_map(convert).collect();
    let comfy = Comfy::at(simulator.url());
    let mut ran = Vec::new();
    for (name, prompt) in prompts {
        println!("{name}");
        runs(&comfy, &name, &prompt).await;
        ran.push(name);
    }
    println!("{} templates ran", ran.len());
    for template in MUST_RUN {
        assert!(ran.iter().any(|name| name == template), "{template} did not run");
    }
}
