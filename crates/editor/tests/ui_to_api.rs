//! Graphs in UI format, and the prompts that the real editor exported for them.

use std::fs;
use std::path::PathBuf;

use comfy_runner_editor::diagnostics::unrendered_views;
use comfy_runner_editor::graph::UiGraph;
use comfy_runner_editor::to_api::{ToApiError, to_api};
use comfy_runner_editor::{FrontendVersion, to_api_for};
use comfy_runner_protocol::object_info::ObjectInfo;
use serde_json::{Value, json};

fn fixture(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path);
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

fn schemas() -> ObjectInfo {
    serde_json::from_value(fixture("object_info/0.3.64.json")).unwrap()
}

/// The schemas of the ComfyUI whose editor made the pair. Those of 0.3.64 serve the older pairs.
fn schemas_of(name: &str) -> ObjectInfo {
    if name.ends_with("0.33.0") {
        serde_json::from_value(fixture("object_info/0.33.0.json")).unwrap()
    } else {
        schemas()
    }
}

fn assert_pair(name: &str) {
    let graph: UiGraph = serde_json::from_value(fixture(&format!("ui/{name}.workflow.json"))).unwrap();
    let expected = fixture(&format!("ui/{name}.api.json"));
    let ours = serde_json::to_value(to_api(&graph, &schemas_of(name)).unwrap()).unwrap();
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

#[test]
fn every_kind_of_widget_of_0_33_gives_the_editors_prompt() {
    assert_pair("every_widget.0.33.0");
}

#[test]
fn widgets_promoted_through_two_levels_and_inactive_subgraphs_give_the_editors_prompt() {
    assert_pair("nested_subgraphs.0.33.0");
}

#[test]
fn a_nested_instance_before_its_definition_loses_its_values_as_in_the_editor() {
    assert_pair("nested_subgraphs_out_of_order.0.33.0");
}

#[test]
fn duplicate_node_ids_of_subgraphs_are_renumbered_as_in_the_editor() {
    assert_pair("duplicate_node_ids.0.33.0");
}

#[test]
fn values_listed_by_proxy_widgets_and_quarantined_values_give_the_editors_prompt() {
    assert_pair("proxy_widgets.0.33.0");
}

#[test]
fn a_widget_type_decides_the_widget_of_an_input_with_several_types() {
    let types = json!({"A": {"input": {"required": {"rate": ["FLOAT,INT", {"widgetType": "FLOAT", "default": 25.0}],
        "any": ["FLOAT,INT", {}], "size": ["INT", {}]}}, "output_node": true}});
    let prompt =
        convert(json!({"nodes": [{"id": 1, "type": "A", "widgets_values": [24, 2]}]}), types).unwrap();
    assert_eq!(prompt["1"]["inputs"], json!({"rate": 24, "size": 2}));
}

#[test]
fn an_unknown_type_of_a_custom_node_is_an_input_without_a_widget() {
    let types =
        json!({"A": {"input": {"required": {"mood": ["MOOD", {"default": "calm"}], "size": ["INT", {}]}}}});
    let prompt = convert(json!({"nodes": [{"id": 1, "type": "A", "widgets_values": [2]}]}), types).unwrap();
    assert_eq!(prompt["1"]["inputs"], json!({"size": 2}));
}

#[test]
fn a_3d_view_has_the_saved_camera_and_a_device_is_an_error() {
    let schemas = schemas_of("0.33.0");
    let graph = |kind: &str| -> UiGraph {
        let properties = json!({"Camera Config": {"state": {"zoom": 2}}});
        let values = json!(["toy.glb", "upload3dmodel", "uploadExtraResources", "clear", "", 512, 256]);
        serde_json::from_value(json!({"nodes": [{"id": 1, "type": kind, "properties": properties,
            "widgets_values": values}]}))
        .unwrap()
    };
    let prompt = to_api(&graph("Load3D"), &schemas).unwrap();
    let inputs = &prompt.nodes["1"].inputs;
    assert_eq!((&inputs["model_file"], &inputs["width"]), (&json!("toy.glb"), &json!(512)));
    assert_eq!(
        (&inputs["image"]["camera_info"], &inputs["image"]["image"]),
        (&json!({"zoom": 2}), &json!(""))
    );
    assert_eq!(unrendered_views(&prompt, &schemas).len(), 1);
    let error = to_api(&graph("WebcamCapture"), &schemas).unwrap_err();
    assert!(matches!(error, ToApiError::NeedsBrowser { .. }), "{error}");
}

/// These two need the schema of GeminiImage2Node, which is newer than 0.3.64.
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
fn cycles_of_reroutes_and_of_subgraphs_are_errors() {
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

/// A graph of small nodes, with schemas made for it.
fn convert(graph: Value, types: Value) -> Result<Value, ToApiError> {
    let schemas: ObjectInfo = serde_json::from_value(types).unwrap();
    let graph: UiGraph = serde_json::from_value(graph).unwrap();
    to_api(&graph, &schemas).map(|prompt| serde_json::to_value(prompt).unwrap())
}

fn types() -> Value {
    json!({
        "Source": {"input": {"required": {}}, "output": ["IMAGE", "MASK"]},
        "Blur": {"input": {"required": {"mask": ["MASK"], "image": ["IMAGE"], "size": ["INT", {"default": 3, "step": 2, "min": 1}]}},
            "output": ["IMAGE"]},
        "Show": {"input": {"required": {"image": ["IMAGE"]}}, "output_node": true},
        "Text": {"input": {"required": {"forced": ["STRING", {"forceInput": true}], "text": ["STRING", {"multiline": true,
            "dynamicPrompts": true}], "seed": ["INT", {}]}}},
    })
}

#[test]
fn a_bypassed_node_passes_on_the_input_of_the_requested_type() {
    let blur = |mode: i64| {
        json!({"nodes": [
            {"id": 1, "type": "Source", "outputs": [{"name": "IMAGE", "type": "IMAGE"}, {"name": "MASK", "type": "MASK"}]},
            {"id": 2, "type": "Blur", "mode": mode, "inputs": [{"name": "mask", "type": "MASK", "link": 1},
                {"name": "image", "type": "IMAGE", "link": 2}], "outputs": [{"name": "IMAGE", "type": "IMAGE"}]},
            {"id": 3, "type": "Show", "inputs": [{"name": "image", "type": "IMAGE", "link": 3}]}],
            "links": [[1, 1, 1, 2, 0, "MASK"], [2, 1, 0, 2, 1, "IMAGE"], [3, 2, 0, 3, 0, "IMAGE"]]})
    };
    assert_eq!(convert(blur(0), types()).unwrap()["3"]["inputs"]["image"], json!(["2", 0]));
    let bypassed = convert(blur(4), types()).unwrap();
    assert_eq!(bypassed["3"]["inputs"]["image"], json!(["1", 0]));
    assert!(bypassed.get("2").is_none());
    // A muted node is left out with the links from it.
    assert_eq!(convert(blur(2), types()).unwrap()["3"]["inputs"], json!({}));
}

#[test]
fn a_primitives_value_is_rounded_to_the_step_of_its_target() {
    let graph = json!({"nodes": [
        {"id": 1, "type": "PrimitiveNode", "widgets_values": [8, "fixed"], "outputs": [{"name": "INT", "type": "INT", "links": [1]}]},
        {"id": 2, "type": "Blur", "inputs": [{"name": "size", "type": "INT", "link": 1, "widget": {"name": "size"}}],
            "widgets_values": [5], "outputs": []}],
        "links": [[1, 1, 0, 2, 0, "INT"]]});
    // Odd numbers from 1: 8 lies between 7 and 9, and rounds up.
    assert_eq!(convert(graph, types()).unwrap()["2"]["inputs"]["size"], 9);
}

/// An instance of a subgraph that promotes a primitive linked to slot `slot` of a node.
fn promoted_primitive(slot: i64) -> Value {
    json!({"nodes": [{"id": 1, "type": "s", "properties": {"proxyWidgets": [["2", "value"]]}}],
        "definitions": {"subgraphs": [{"id": "s", "nodes": [
            {"id": 2, "type": "PrimitiveNode", "outputs": [{"name": "COMBO", "type": "COMBO", "links": [5]}],
                "widgets_values": ["b"]},
            {"id": 3, "type": "Pick", "inputs": [{"name": "second", "type": "COMBO", "link": 5,
                "widget": {"name": "second"}}], "widgets_values": ["a", "a", 1]}],
            "links": [{"id": 5, "origin_id": 2, "origin_slot": 0, "target_id": 3, "target_slot": slot, "type": "COMBO"}]}]}})
}

#[test]
fn a_promoted_primitive_becomes_an_input_of_the_slot_at_the_position_of_its_link() {
    let types = json!({"Pick": {"input": {"required": {"first": [["a", "b"], {}], "second": [["a", "b"], {}],
        "size": ["INT", {}]}}, "has_intermediate_output": false}});
    let inputs =
        |slot: i64| convert(promoted_primitive(slot), types.clone()).unwrap()["1:3"]["inputs"].clone();
    // The value of the new input is that of the widget, not that of the primitive.
    assert_eq!(inputs(1), json!({"first": "a", "second": "a", "size": 1}));
    // The type of the slot does not fit, or there is none: the primitive stays.
    assert_eq!(inputs(2), json!({"first": "a", "second": "b", "size": 1}));
    assert_eq!(inputs(9), json!({"first": "a", "second": "b", "size": 1}));
}

#[test]
fn a_later_frontend_sends_the_node_pack_and_strings_of_text_areas() {
    let types: ObjectInfo = serde_json::from_value(json!({"Text": {"input": {"required":
        {"text": ["STRING", {"multiline": true}]}}}}))
    .unwrap();
    let graph: UiGraph =
        serde_json::from_value(json!({"nodes": [{"id": 1, "type": "Text", "widgets_values": [5],
        "properties": {"cnr_id": "comfy-core", "ver": "0.3.64", "aux_id": ""}}]}))
        .unwrap();
    let sent = |frontend| {
        let prompt = to_api_for(frontend, &graph, &types).unwrap();
        (prompt.nodes["1"].inputs["text"].clone(), Value::from(prompt.nodes["1"].meta.clone().unwrap()))
    };
    assert_eq!(sent(FrontendVersion::V1_49), (json!(5), json!({"title": "Text"})));
    let meta = json!({"title": "Text", "cnr_id": "comfy-core", "ver": "0.3.64"});
    assert_eq!(sent(FrontendVersion::V1_58), (json!("5"), meta));
}

#[test]
fn values_of_force_input_widgets_are_skipped_and_dynamic_prompts_are_resolved() {
    let text = |values: Value| {
        convert(json!({"nodes": [{"id": 1, "type": "Text", "widgets_values": values}]}), types())
    };
    let now = text(json!(["a {b|c} // d", 7, "fixed"])).unwrap();
    assert_eq!(now["1"]["inputs"], json!({"text": "a b ", "seed": 7}));
    let before = text(json!(["was forced", "a", 7, "fixed"])).unwrap();
    assert_eq!(before["1"]["inputs"], json!({"text": "a", "seed": 7}));
    let named = text(json!({"text": "n", "seed": 1})).unwrap();
    assert_eq!(named["1"]["inputs"], json!({"text": "n", "seed": 1}));
    assert!(matches!(text(json!("n")), Err(ToApiError::WidgetValues { .. })));
}

#[test]
fn a_duplicate_node_is_an_error() {
    let twice = json!({"nodes": [{"id": 1, "type": "Source"}, {"id": 1, "type": "Source"}]});
    assert_eq!(
        convert(twice, types()).unwrap_err().to_string(),
        "node 1 exists twice; change the id of one of them"
    );
}

#[test]
fn a_group_node_is_an_error() {
    for kind in ["workflow>Upscale", "workflow/Upscale"] {
        let error = convert(json!({"nodes": [{"id": 4, "type": kind}]}), types()).unwrap_err();
        assert!(error.to_string().starts_with("node 4: \"Upscale\" is a group node"), "{error}");
    }
}

#[test]
fn subgraphs_that_multiply_are_an_error() {
    // Ten instances of the next in each of ten: ten thousand million nodes.
    let subgraphs: Vec<Value> = (0..10)
        .map(|level| {
            let kind = if level == 9 { "Source".to_owned() } else { format!("level {}", level + 1) };
            let nodes: Vec<Value> = (0..10).map(|id| json!({"id": id, "type": kind})).collect();
            json!({"id": format!("level {level}"), "nodes": nodes})
        })
        .collect();
    let graph = json!({"nodes": [{"id": 1, "type": "level 0"}], "definitions": {"subgraphs": subgraphs}});
    assert!(matches!(convert(graph, types()), Err(ToApiError::TooLarge)));
}

#[test]
fn a_long_row_of_reroutes_is_resolved() {
    let mut nodes = vec![json!({"id": 0, "type": "Source", "outputs": [{"name": "IMAGE", "type": "IMAGE"}]})];
    let mut links = Vec::new();
    for at in 1..20_000 {
        nodes.push(json!({"id": at, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": at}],
            "outputs": [{"name": "", "type": "*"}]}));
        links.push(json!([at, at - 1, 0, at, 0, "*"]));
    }
    nodes.push(
        json!({"id": 20_000, "type": "Show", "inputs": [{"name": "image", "type": "IMAGE", "link": 20_000}]}),
    );
    links.push(json!([20_000, 19_999, 0, 20_000, 0, "IMAGE"]));
    let prompt = convert(json!({"nodes": nodes, "links": links}), types()).unwrap();
    assert_eq!(prompt["20000"]["inputs"]["image"], json!(["0", 0]));
}
