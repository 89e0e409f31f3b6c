//! Graphs as drawn against what the real editor exported for them.

use std::fs;
use std::path::PathBuf;

use comfy_runner_protocol::object_info::ObjectInfo;
use comfy_runner_workflow::ui::graph::UiGraph;
use comfy_runner_workflow::ui::to_api::{ToApiError, to_api};
use serde_json::{Value, json};

fn fixture(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path);
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

fn schemas() -> ObjectInfo {
    serde_json::from_value(fixture("object_info/0.3.64.json")).unwrap()
}

fn assert_pair(name: &str) {
    let graph: UiGraph = serde_json::from_value(fixture(&format!("ui/{name}.workflow.json"))).unwrap();
    let expected = fixture(&format!("ui/{name}.api.json"));
    let ours = serde_json::to_value(to_api(&graph, &schemas()).unwrap()).unwrap();
    for (id, node) in expected.as_object().unwrap() {
        assert_eq!(ours.get(id), Some(node), "{name}: node {id}");
    }
    let ids =
        |graph: &Value| graph.as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&ours), ids(&expected), "{name}");
}

#[test]
fn the_default_graph_gives_the_editors_prompt() {
    assert_pair("default.0.3.64");
}

#[test]
fn subgraphs_with_bypassed_copies_give_the_editors_prompt() {
    assert_pair("flux1_dev_uso_reference_image_gen.0.3.64");
}

#[test]
fn primitives_and_reroutes_give_the_editors_prompt() {
    assert_pair("hidream_e1_1.0.3.64");
}

#[test]
fn notes_and_muted_nodes_give_the_editors_prompt() {
    assert_pair("hunyuan_video_text_to_video.0.3.64");
}

#[test]
fn promoted_widgets_give_the_editors_prompt() {
    assert_pair("image_qwen_image_instantx_controlnet.0.3.64");
}

#[test]
fn widgets_promoted_by_a_newer_editor_give_its_prompt() {
    assert_pair("image_z_image_turbo.0.8.0");
}

#[test]
fn a_subgraph_of_a_newer_editor_gives_its_prompt() {
    assert_pair("templates-product_scene_relight.0.8.0");
}

/// These two need the schema of GeminiImage2Node, which came after 0.3.64: no schemas of ours know it.
#[test]
fn a_node_type_newer_than_the_schemas_is_named() {
    for name in ["templates-subject_holding_product.0.8.0", "templates-subject_product_swap.0.8.0"] {
        let graph: UiGraph = serde_json::from_value(fixture(&format!("ui/{name}.workflow.json"))).unwrap();
        match to_api(&graph, &schemas()) {
            Err(ToApiError::UnknownType { kind, .. }) => assert_eq!(kind, "GeminiImage2Node"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn reroutes_in_a_circle_and_subgraphs_in_themselves_are_errors() {
    let circle: UiGraph = serde_json::from_value(json!({"nodes": [
        {"id": 1, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 1}], "outputs": [{"name": ""}]},
        {"id": 2, "type": "PreviewImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]}],
        "links": [[1, 1, 0, 1, 0, "*"], [2, 1, 0, 2, 0, "IMAGE"]]}))
    .unwrap();
    assert!(matches!(to_api(&circle, &schemas()), Err(ToApiError::Cycle { .. })));
    let within: UiGraph = serde_json::from_value(json!({"nodes": [{"id": 1, "type": "s"}],
        "definitions": {"subgraphs": [{"id": "s", "nodes": [{"id": 1, "type": "s"}]}]}}))
    .unwrap();
    assert!(matches!(to_api(&within, &schemas()), Err(ToApiError::TooDeep { .. })));
}

#[test]
fn links_to_what_is_missing_are_errors() {
    let graph = |links: Value| -> UiGraph {
        serde_json::from_value(json!({"nodes": [
            {"id": 1, "type": "LoadImage", "outputs": [{"name": "IMAGE"}]},
            {"id": 2, "type": "PreviewImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]}],
            "links": links}))
        .unwrap()
    };
    let error = |links| to_api(&graph(links), &schemas()).unwrap_err();
    assert!(matches!(error(json!([])), ToApiError::MissingLink { link: 2, .. }));
    assert!(matches!(error(json!([[2, 9, 0, 2, 0, "IMAGE"]])), ToApiError::MissingNode { .. }));
    assert!(matches!(error(json!([[2, 1, 7, 2, 0, "IMAGE"]])), ToApiError::MissingSlot { slot: 7, .. }));
}
