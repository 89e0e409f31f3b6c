//! The example of `docs/manifest.md`, taken from the page itself.

use comfy_runner_manifest::{Manifest, Params, Uploads};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{OutputFolder, Workflow, validate};
use serde_json::{Map, Value, json};
use time::macros::datetime;

const PAGE: &str = include_str!("../../../docs/manifest.md");

/// The n-th fenced block of this language.
fn block(language: &str, n: usize) -> &'static str {
    let fence = format!("```{language}\n");
    let rest = PAGE.split(fence.as_str()).nth(n + 1).unwrap();
    rest.split("```").next().unwrap()
}

#[test]
fn the_documented_example_compiles_assembles_and_fits_a_real_comfyui() {
    let (manifest, warnings) = Manifest::parse(block("yaml", 0), "portrait").unwrap();
    assert!(warnings.is_empty());
    assert_eq!(manifest.json()["icon"], "face");
    let compiled = Workflow::new(manifest, block("json", 0), None).unwrap();
    assert!(compiled.warnings.is_empty());
    let workflow = compiled.workflow;

    let given: Map<String, Value> = serde_json::from_str(block("json", 1)).unwrap();
    let params = |given: &Map<String, Value>| {
        Params::check(workflow.manifest(), given, &Uploads::new(), &mut || 4711).unwrap()
    };
    let folder = OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3);
    let graph = workflow.assemble(&params(&given), &folder).unwrap().graph;
    let input = |node: &str, field: &str| graph.nodes[node].inputs[field].clone();
    assert_eq!(input("6", "text"), "a young fisher, masterpiece");
    assert_eq!((input("3", "steps"), input("3", "seed")), (json!(30), json!(4711)));
    assert_eq!((input("5", "width"), input("5", "height")), (json!(640), json!(640)));
    assert_eq!(
        (input("10", "lora_name"), input("10", "strength_model")),
        (json!("ink.safetensors"), json!(0.8))
    );

    let plain = workflow.assemble(&params(&Map::new()), &folder).unwrap().graph;
    assert!(plain.node("10").is_none());
    assert_eq!(plain.nodes["3"].inputs["model"], json!(["4", 0]));

    let schemas = include_str!("../../../fixtures/object_info/0.3.64.json");
    let info: ObjectInfo = serde_json::from_str(schemas).unwrap();
    let found = validate(&workflow, &info).into_iter();
    let found = found.filter(|problem| problem.kind != comfy_runner_manifest::DiagnosticKind::MissingModel);
    assert_eq!(found.collect::<Vec<_>>(), []);
}

#[test]
fn the_documented_group_has_the_inputs_that_the_page_says() {
    let (manifest, warnings) = Manifest::parse(&format!("id: w\n{}", block("yaml", 1)), "w").unwrap();
    assert!(warnings.is_empty());
    let ids: Vec<&str> = manifest.inputs.iter().map(|input| input.id.as_str()).collect();
    assert_eq!(ids, ["prompt", "checkpoint", "loras"]);
}
