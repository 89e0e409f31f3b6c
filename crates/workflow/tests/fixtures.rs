//! The sample library: it compiles, it assembles, and its graphs fit a real ComfyUI's schemas.

use std::path::Path;
use std::sync::Arc;

use comfy_runner_manifest::{Diagnostic, DiagnosticKind, Params, Uploads};
use comfy_runner_protocol::{Link, ObjectInfo};
use comfy_runner_workflow::{OutputFolder, Workflow, Workflows, validate};
use serde_json::{Map, Value, json};
use time::macros::datetime;

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"))
}

fn library() -> Workflows {
    Workflows::open(fixtures().join("workflows")).unwrap()
}

fn folder() -> OutputFolder {
    OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3)
}

fn params(workflow: &Workflow, given: Value, uploads: &Uploads) -> Params {
    let given: Map<String, Value> = given.as_object().unwrap().clone();
    Params::check(workflow.manifest(), &given, uploads, &mut || 4711).unwrap()
}

fn no_files() -> Uploads {
    Uploads::new()
}

fn every_workflow() -> Vec<(String, Arc<Workflow>)> {
    let listing = library().list().unwrap();
    assert!(listing.notes.is_empty(), "{:?}", listing.notes);
    assert!(listing.workflows.len() >= 5);
    let workflow = |listed: comfy_runner_manifest::Listed<Workflow>| {
        assert!(listed.warnings.is_empty(), "{}: {:?}", listed.id, listed.warnings);
        let workflow = listed.workflow.unwrap_or_else(|problems| panic!("{}: {problems:?}", listed.id));
        (listed.id, workflow)
    };
    listing.workflows.into_iter().map(workflow).collect()
}

#[test]
fn every_sample_compiles_without_a_warning_and_assembles_without_a_brace_left() {
    for (id, workflow) in every_workflow() {
        let uploads: Uploads = match workflow.manifest().file_input("input_image") {
            Some(_) => [("input_image".to_owned(), "cat.png".to_owned())].into(),
            None => no_files(),
        };
        let assembled = workflow.assemble(&params(&workflow, json!({}), &uploads), &folder()).unwrap();
        assert_eq!(
            assembled.graph.len(),
            workflow.graph().map_or(assembled.graph.len(), |graph| graph.len())
        );
        assert!(!assembled.graph.to_string().contains("{{"), "{id}: {}", assembled.graph);
        assert_eq!(assembled.graph.dangling_links().count(), 0);
    }
}

#[test]
fn every_sample_fits_the_schemas_of_a_real_comfyui_but_for_models_and_custom_nodes() {
    let schemas = std::fs::read_to_string(fixtures().join("object_info/0.3.64.json")).unwrap();
    let info: ObjectInfo = serde_json::from_str(&schemas).unwrap();
    let custom =
        |problem: &Diagnostic| problem.message.contains("VHS_") || problem.message.contains("RunnerTest");
    for (id, workflow) in every_workflow() {
        let problems = validate(&workflow, &info).into_iter().filter(|problem| match problem.kind {
            DiagnosticKind::MissingModel | DiagnosticKind::MissingNodes => false,
            DiagnosticKind::UnknownNodeType => !custom(problem),
            _ => true,
        });
        assert_eq!(problems.collect::<Vec<_>>(), [], "{id}");
    }
    let (_, plate) = every_workflow().into_iter().find(|(id, _)| id == "no-model").unwrap();
    assert!(validate(&plate, &info).is_empty());
}

#[test]
fn the_contracts_example_is_served_and_assembled_as_the_contract_shows_it() {
    let workflow = library().get("wan-i2v-14b").unwrap();
    let contract = json!({
        "id": "wan-i2v-14b", "name": "WAN 2.1 I2V 14B", "type": "static", "category": "video",
        "description": "Image-to-video with WAN 2.1 14B",
        "inputs": [
            {"id": "image", "type": "image", "label": "Input Image", "node_id": 1, "field": "image"},
            {"id": "prompt", "type": "text", "label": "Prompt", "node_id": 5, "field": "text", "default": ""},
            {"id": "steps", "type": "int", "label": "Steps", "node_id": 10, "field": "steps", "default": 30,
             "min": 1, "max": 100},
            {"id": "seed", "type": "seed", "label": "Seed", "node_id": 12, "field": "seed", "default": -1}
        ],
        "outputs": [{"type": "video", "format": "mp4"}],
        "required_models": ["wan2.1_i2v_720p_14B_fp16.safetensors"],
        "required_nodes": ["ComfyUI-WanVideoWrapper"]
    });
    // As text, so that the order of keys counts too.
    assert_eq!(serde_json::to_string(workflow.manifest()).unwrap(), contract.to_string());

    let given =
        json!({"prompt": "a cat {{steps}}", "steps": "12", "_existing_input_image": "20260324_x.png"});
    let assembled = workflow.assemble(&params(&workflow, given, &no_files()), &folder()).unwrap();
    let input = |node: &str, field: &str| assembled.graph.node(node).unwrap().inputs[field].clone();
    assert_eq!(input("1", "image"), "20260324_x.png");
    assert_eq!(input("5", "text"), "a cat {{steps}}");
    assert_eq!(input("10", "steps"), 12);
    assert_eq!((input("10", "seed"), input("12", "seed")), (json!(4711), json!(4711)));
    assert_eq!(input("14", "filename_prefix"), "20260324_143052_a1b2c3/final/final");
    assert_eq!(assembled.seeds["seed"], 4711);
    assert_eq!(Link::from_value(&input("13", "samples")).unwrap().node, "12");
}

#[test]
fn a_resolution_reaches_both_sides() {
    let workflow = library().get("text-to-image").unwrap();
    for given in [
        json!({"resolution": "832x1216"}),
        json!({"resolution": {"w": 832, "h": "1216"}}),
        json!({"width": 832, "height": 1216}),
    ] {
        let assembled = workflow.assemble(&params(&workflow, given, &no_files()), &folder()).unwrap();
        let size = &assembled.graph.node("5").unwrap().inputs;
        assert_eq!((&size["width"], &size["height"]), (&json!(832), &json!(1216)));
    }
}
