//! The examples of `docs/dynamic.md` and `docs/tutorial-dynamic.md`, taken from the pages themselves.

use std::collections::HashMap;

use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Manifest, Params, Uploads};
use comfy_runner_protocol::{Graph, ObjectInfo};
use comfy_runner_workflow::{Assembled, OutputFolder, Workflow, validate};
use serde_json::{Map, Value, json};
use time::macros::datetime;

const REFERENCE: &str = include_str!("../../../docs/dynamic.md");
const TUTORIAL: &str = include_str!("../../../docs/tutorial-dynamic.md");

/// The n-th fenced block of this language.
fn fenced<'p>(page: &'p str, language: &str, n: usize) -> &'p str {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).nth(n + 1).unwrap().split("```").next().unwrap()
}

/// The block files of a page: each JSON block that follows the name of a file in `blocks/`.
fn files(page: &str) -> HashMap<String, String> {
    let mut files = HashMap::new();
    for part in page.split("blocks/").skip(1) {
        let Some((name, after)) = part.split_once('`') else { continue };
        let Some(text) = after.split_once("```json\n").filter(|_| name.ends_with(".json")) else { continue };
        files.insert(format!("blocks/{name}"), text.1.split("```").next().unwrap().to_owned());
    }
    files
}

fn compile(manifest: &str, id: &str, files: &HashMap<String, String>) -> Workflow {
    let (manifest, warnings) = Manifest::parse(manifest, id).unwrap();
    assert!(warnings.is_empty());
    let mut read = |file: &str| {
        let missing = || Diagnostic::error(DiagnosticKind::File, file, "the file does not exist");
        files.get(file).cloned().ok_or_else(missing)
    };
    let compiled = Workflow::from_blocks(manifest, &mut read).unwrap();
    assert!(compiled.warnings.is_empty());
    let schemas = include_str!("../../../fixtures/object_info/0.3.64.json");
    let info: ObjectInfo = serde_json::from_str(schemas).unwrap();
    let found = validate(&compiled.workflow, &info).into_iter();
    let found = found.filter(|problem| problem.kind != DiagnosticKind::MissingModel);
    assert_eq!(found.collect::<Vec<_>>(), []);
    compiled.workflow
}

fn assemble(workflow: &Workflow, given: &Value) -> Assembled {
    let given: Map<String, Value> = given.as_object().unwrap().clone();
    let params = Params::check(workflow.manifest(), &given, &Uploads::new(), &mut || 4711).unwrap();
    let folder = OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3);
    workflow.assemble(&params, &folder).unwrap()
}

#[test]
fn the_documented_example_makes_the_graph_that_the_page_shows() {
    let files = files(REFERENCE);
    assert_eq!(files.len(), 6);
    let workflow = compile(fenced(REFERENCE, "yaml", 0), "postcards", &files);
    let given: Value = serde_json::from_str(fenced(REFERENCE, "json", 6)).unwrap();
    let assembled = assemble(&workflow, &given);
    let ids: Vec<&str> = assembled.graph.nodes.keys().map(String::as_str).collect();
    assert_eq!(ids[..3], ["model_0_ckpt", "model_0_negative", "model_0_lora_1"]);
    let scene = [
        "prompt_N_text",
        "sample_N_empty",
        "sample_N_sampler",
        "hires_N_larger",
        "hires_N_sampler",
        "save_N_decode",
        "save_N_save",
    ];
    let expected: Vec<String> = ["0", "1"].iter().flat_map(|n| scene.map(|id| id.replace('N', n))).collect();
    assert_eq!(ids[3..], expected);
    let input = |node: &str, field: &str| assembled.graph.nodes[node].inputs[field].clone();
    assert_eq!(input("prompt_0_text", "text"), "a harbour, watercolour");
    assert_eq!(input("prompt_1_text", "text"), "a village, watercolour, moonlight");
    assert_eq!(
        (input("sample_1_sampler", "steps"), input("hires_1_sampler", "steps")),
        (json!(12), json!(6))
    );
    assert_eq!((input("hires_1_larger", "width"), input("sample_1_sampler", "seed")), (json!(768), json!(8)));
    let seeds = serde_json::to_value(&assembled.seeds).unwrap();
    assert_eq!(seeds, json!({"seed": 7, "scene_1": 7, "scene_2": 8}));
    assert_eq!(assembled.required_models, ["v1-5-pruned-emaonly-fp16.safetensors"]);
}

#[test]
fn the_tutorial_arrives_at_the_graph_it_began_with_and_goes_beyond() {
    let files = files(TUTORIAL);
    assert_eq!(files.len(), 4);
    let exported = Graph::from_json(fenced(TUTORIAL, "json", 0)).unwrap();
    let first = compile(fenced(TUTORIAL, "yaml", 0), "lighthouse", &files);
    let assembled = assemble(&first, &json!({"seed": 1}));
    let kinds = |graph: &Graph| {
        let mut kinds: Vec<String> = graph.nodes.values().map(|node| node.class_type.clone()).collect();
        kinds.sort_unstable();
        kinds
    };
    assert_eq!(kinds(&assembled.graph), kinds(&exported));
    let steady = |value: &Value| value.as_array().is_none().then(|| value.clone());
    let values = |graph: &Graph, class: &str| -> Vec<Option<Value>> {
        let node = graph.nodes.values().find(|node| node.class_type == class).unwrap();
        node.inputs.values().map(steady).collect()
    };
    assert_eq!(values(&assembled.graph, "KSampler"), values(&exported, "KSampler"));

    let last = compile(fenced(TUTORIAL, "yaml", 1), "lighthouse", &files);
    let given = json!({"_existing_input_image": "cat.png", "batch": 2, "loras": ["add_detail.safetensors"]});
    let graph = assemble(&last, &given).graph;
    assert_eq!(graph.len(), 3 + 1 + 2 + 2 * 3);
    assert_eq!(graph.nodes["sample_1_sampler"].inputs["denoise"], 0.6);
    assert_eq!(graph.nodes["sample_1_sampler"].inputs["latent_image"], json!(["photo_0_encode", 0]));
}
