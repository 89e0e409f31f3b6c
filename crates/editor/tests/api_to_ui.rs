//! Prompts converted to UI format convert back to the same prompt.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use comfy_runner_editor::from_api::{ConversionWarning, FromApiError, UiConversion, from_api};
use comfy_runner_editor::graph::UiNodeId;
use comfy_runner_editor::{Annotations, NodeGroup, to_api};
use comfy_runner_protocol::graph::Graph;
use comfy_runner_protocol::object_info::ObjectInfo;
use proptest::prelude::*;
use serde_json::{Value, json};

fn fixture(path: &str) -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path);
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

static SCHEMAS: LazyLock<ObjectInfo> = LazyLock::new(|| {
    let mut schemas: ObjectInfo = serde_json::from_value(fixture("object_info/0.3.64.json")).unwrap();
    let newer: ObjectInfo = serde_json::from_value(fixture("object_info/0.8.0-v3-input-types.json")).unwrap();
    schemas.extend(newer);
    schemas
});

fn convert(graph: &Value) -> UiConversion {
    let graph = Graph::from_value(graph.clone()).unwrap();
    from_api(&graph, &SCHEMAS, &Annotations::default()).unwrap()
}

fn assert_comes_back(graph: &Value) {
    assert_comes_back_with(graph, &SCHEMAS);
}

fn assert_comes_back_with(graph: &Value, schemas: &ObjectInfo) {
    let parsed = Graph::from_value(graph.clone()).unwrap();
    let converted = from_api(&parsed, schemas, &Annotations::default()).unwrap();
    // Through JSON, as the editor gets it.
    let text = serde_json::to_string(&converted.graph).unwrap();
    let read = serde_json::from_str(&text).unwrap();
    let back = serde_json::to_value(to_api(&read, schemas).unwrap()).unwrap();
    for (id, node) in graph.as_object().unwrap() {
        assert_eq!(back.get(id), Some(node), "node {id}");
    }
    assert_eq!(back.as_object().unwrap().len(), graph.as_object().unwrap().len());
}

#[test]
fn prompts_of_the_real_editor_convert_there_and_back() {
    for name in [
        "default.0.3.64",
        "flux1_dev_uso_reference_image_gen.0.3.64",
        "hidream_e1_1.0.3.64",
        "hunyuan_video_text_to_video.0.3.64",
        "image_qwen_image_instantx_controlnet.0.3.64",
        "image_z_image_turbo.0.8.0",
        "templates-product_scene_relight.0.8.0",
    ] {
        let graph = fixture(&format!("ui/{name}.api.json"));
        assert!(convert(&graph).warnings.is_empty(), "{name}");
        assert_comes_back(&graph);
    }
}

#[test]
fn every_kind_of_widget_of_0_33_converts_there_and_back() {
    let schemas = serde_json::from_value(fixture("object_info/0.33.0.json")).unwrap();
    assert_comes_back_with(&fixture("ui/every_widget.0.33.0.api.json"), &schemas);
}

#[test]
fn numeric_ids_become_numbers_and_all_others_stay_strings() {
    let empty = |id: &str| (id.to_owned(), json!({"class_type": "EmptyImage", "inputs": {}}));
    let graph =
        Value::Object(["7", "12:34", "scene_0_sampler", "007", "-1", "1e3"].map(empty).into_iter().collect());
    let converted = convert(&graph);
    let ids: Vec<&UiNodeId> = converted.graph.nodes.iter().map(|node| &node.id).collect();
    let text = |id: &str| UiNodeId::Text(id.to_owned());
    assert_eq!(ids[0], &UiNodeId::Number(7));
    for (at, id) in ["12:34", "scene_0_sampler", "007", "-1", "1e3"].iter().enumerate() {
        assert_eq!(ids[at + 1], &text(id));
    }
    assert_eq!(converted.graph.last_node_id, Some(UiNodeId::Number(7)));
}

#[test]
fn widgets_are_listed_in_the_editors_order_with_those_that_it_adds() {
    let converted = convert(&json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 0], "vae": ["3", 0]}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": "v.safetensors"}},
        "4": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": ["5", 0], "cfg": 7.5, "sampler_name": "euler",
            "scheduler": "normal", "denoise": 1, "latent_image": ["2", 0]}},
        "5": {"class_type": "PrimitiveInt", "inputs": {"value": 12}},
    }));
    let node = |id: i64| converted.graph.nodes.iter().find(|node| node.id == UiNodeId::Number(id)).unwrap();
    assert_eq!(node(1).widgets_values, Some(json!(["a.png", "image"])));
    assert_eq!(node(4).widgets_values, Some(json!([5, "fixed", 20, 7.5, "euler", "normal", 1])));
    let steps = node(4).inputs.iter().find(|input| input.name == "steps").unwrap();
    assert_eq!((&steps.widget, &steps.kind), (&Some(json!({"name": "steps"})), &json!("INT")));
    let link = converted.graph.links.iter().find(|link| Some(link.id) == steps.link).unwrap();
    assert_eq!((&link.origin_id, link.origin_slot), (&UiNodeId::Number(5), 0));
    assert_eq!(link.kind, json!("INT"));
    assert_eq!(node(5).outputs[0].links, Some(vec![link.id]));
}

#[test]
fn v3_inputs_convert_there_and_back() {
    let image = |id: &str| {
        (
            id.to_owned(),
            json!({"class_type": "EmptyImage", "inputs":
        {"width": 64, "height": 64, "batch_size": 1, "color": 0}, "_meta": {"title": id}}),
        )
    };
    let mut graph: serde_json::Map<String, Value> = ["1", "2", "3"].map(image).into_iter().collect();
    graph.insert("4".to_owned(), json!({"class_type": "BatchImagesNode", "inputs":
        {"images.image0": ["1", 0], "images.image1": ["2", 0], "images.image2": ["3", 0]}, "_meta": {"title": "b"}}));
    graph.insert(
        "5".to_owned(),
        json!({"class_type": "ResizeImageMaskNode", "inputs": {"input": ["4", 0],
        "resize_type": "match size", "resize_type.match": ["1", 0], "resize_type.crop": "disabled",
        "scale_method": "area"}, "_meta": {"title": "r"}}),
    );
    graph.insert(
        "6".to_owned(),
        json!({"class_type": "ResizeImageMaskNode", "inputs": {"input": ["5", 0],
        "resize_type": "scale dimensions", "resize_type.width": 100, "resize_type.height": 50,
        "resize_type.crop": "center", "scale_method": "lanczos"}, "_meta": {"title": "r2"}}),
    );
    let graph = Value::Object(graph);
    assert!(convert(&graph).warnings.is_empty(), "{:?}", convert(&graph).warnings);
    assert_comes_back(&graph);
}

#[test]
fn what_the_editor_cannot_represent_is_a_warning() {
    let converted = convert(&json!({
        "1": {"class_type": "FromElsewhere", "inputs": {"strength": 2, "image": ["2", 3]}},
        "2": {"class_type": "AlsoFromElsewhere", "inputs": {}},
        "3": {"class_type": "EmptyImage", "inputs": {"widht": 5}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"text": "ends in \\"}},
        "5": {"class_type": "CLIPTextEncode", "inputs": {"text": "see http://x/{a|b}"}},
    }));
    let warnings: Vec<String> = converted.warnings.iter().map(ConversionWarning::to_string).collect();
    assert_eq!(warnings.len(), 4, "{warnings:?}");
    assert!(warnings[0].contains("node 1: type \"FromElsewhere\" has no schema"), "{warnings:?}");
    assert!(warnings[2].contains("node 3: input \"widht\" has no widget"), "{warnings:?}");
    assert!(warnings[3].contains("node 4: the editor changes the string of \"text\""), "{warnings:?}");
    let unknown = &converted.graph.nodes[0];
    assert_eq!(unknown.widgets_values, Some(json!([2])));
    assert_eq!(unknown.inputs[0].name, "image");
    assert_eq!(converted.graph.nodes[1].outputs.len(), 4);
    assert!(converted.graph.nodes[1].outputs[3].links.is_some());
}

/// Schemas of the frontend that gives promoted values to inputs without widgets.
fn schemas_with_sizes() -> ObjectInfo {
    serde_json::from_value(json!({
        "Resize": {"input": {"required": {"image": ["IMAGE"], "width": ["INT", {}]}}, "output": ["IMAGE"],
            "has_intermediate_output": false},
        "Log": {"input": {"required": {"source": ["*"], "image": ["IMAGE"]}}, "output": ["IMAGE"]},
        "Load": {"input": {"required": {"image": [["a.png"], {}]}}, "output": ["IMAGE"]},
        "Sum": {"input": {"required": {"values": ["COMFY_AUTOGROW_V3", {"template":
            {"input": {"required": {"value": ["FLOAT,INT", {}]}}, "names": ["a", "b", "c"], "min": 1}}]}}},
    }))
    .unwrap()
}

#[test]
fn values_of_inputs_without_widgets_are_held_by_a_subgraph() {
    let graph = json!({
        "1": {"class_type": "Load", "inputs": {"image": "a.png"}, "_meta": {"title": "l"}},
        "7:2": {"class_type": "Resize", "inputs": {"image": ["1", 0], "width": 640}, "_meta": {"title": "r"}},
        "7:3": {"class_type": "Log", "inputs": {"source": 640, "image": ["7:2", 0]}, "_meta": {"title": "s"}},
        "7:4": {"class_type": "Sum", "inputs": {"values.a": 640, "values.b": 640}, "_meta": {"title": "+"}},
        "9": {"class_type": "Log", "inputs": {"source": ["7:3", 0], "image": ["7:3", 0]}, "_meta": {"title": "t"}},
    });
    let schemas = schemas_with_sizes();
    assert_comes_back_with(&graph, &schemas);
    let parsed = Graph::from_value(graph).unwrap();
    let converted = from_api(&parsed, &schemas, &Annotations::default()).unwrap();
    assert!(converted.warnings.is_empty(), "{:?}", converted.warnings);
    let subgraph = &converted.graph.definitions.as_ref().unwrap().subgraphs[0];
    let instance = converted.graph.nodes.iter().find(|node| node.kind == subgraph.id).unwrap();
    assert_eq!((&instance.id, &instance.widgets_values), (&UiNodeId::Number(7), &Some(json!([640]))));
}

#[test]
fn a_value_that_no_subgraph_can_hold_is_a_warning() {
    let log = |source: i64| json!({"class_type": "Log", "inputs": {"source": source}});
    let resize = json!({"class_type": "Resize", "inputs": {"width": 640}});
    for graph in [
        // Not from a subgraph.
        json!({"2": resize, "3": log(640)}),
        // No widget has the value.
        json!({"7:2": resize, "7:3": log(641)}),
        // The id of the instance is taken, or a number is the id of two nodes.
        json!({"7:2": resize, "7:3": log(640), "7": resize}),
        json!({"7:2": resize, "7:3": log(640), "3": resize}),
    ] {
        let parsed = Graph::from_value(graph).unwrap();
        let converted = from_api(&parsed, &schemas_with_sizes(), &Annotations::default()).unwrap();
        assert!(converted.graph.definitions.is_none());
        assert!(
            matches!(&converted.warnings[..], [ConversionWarning::NoWidget { input, .. }] if input == "source")
        );
    }
}

#[test]
fn links_to_what_is_missing_are_errors() {
    let error = |graph: Value| {
        from_api(&Graph::from_value(graph).unwrap(), &SCHEMAS, &Annotations::default()).unwrap_err()
    };
    let saved = |link: Value| {
        json!({"1": {"class_type": "EmptyImage", "inputs": {}},
        "2": {"class_type": "SaveImage", "inputs": {"images": link}}})
    };
    let missing = error(saved(json!(["9", 0])));
    assert!(matches!(&missing, FromApiError::MissingNode { missing, .. } if missing == "9"), "{missing}");
    let output = error(saved(json!(["1", 4])));
    assert_eq!(output.to_string(), "node 2: input \"images\" is linked to output 4 of node 1, which has 1");
}

#[test]
fn groups_get_frames_and_a_note_is_beside_them() {
    let graph = Graph::from_value(fixture("ui/default.0.3.64.api.json")).unwrap();
    let group = |title: &str, nodes: &[&str]| {
        NodeGroup::new(title, nodes.iter().map(|id| (*id).to_owned()).collect())
    };
    let groups = vec![group("Inputs", &["6", "7"]), group("None", &[])];
    let annotations = Annotations::new(groups, Some("# Hi".to_owned()));
    let converted = from_api(&graph, &SCHEMAS, &annotations).unwrap();
    assert_eq!(converted.graph.groups.len(), 1);
    assert_eq!(converted.graph.groups[0]["title"], "Inputs");
    let note = converted.graph.nodes.last().unwrap();
    assert_eq!((note.kind.as_str(), &note.widgets_values), ("MarkdownNote", &Some(json!(["# Hi"]))));
    let highest = graph.nodes.keys().filter_map(|id| id.parse::<i64>().ok()).max().unwrap();
    assert_eq!(note.id, UiNodeId::Number(highest + 1));
    assert_eq!(converted.graph.last_node_id, Some(note.id.clone()));
    assert_nothing_overlaps(&converted);
}

fn assert_nothing_overlaps(converted: &UiConversion) {
    let body = |at: usize| {
        let other = &converted.graph.nodes[at].other;
        let number = |key: &str, at: usize| other[key][at].as_i64().unwrap();
        // The title bar is above the position.
        (number("pos", 0), number("pos", 1) - 30, number("size", 0), number("size", 1) + 30)
    };
    for one in 0..converted.graph.nodes.len() {
        for other in one + 1..converted.graph.nodes.len() {
            let ((x, y, w, h), (x2, y2, w2, h2)) = (body(one), body(other));
            let apart = x + w <= x2 || x2 + w2 <= x || y + h <= y2 || y2 + h2 <= y;
            assert!(apart, "nodes {one} and {other} overlap");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Strings, numbers and ids survive.
    #[test]
    fn any_values_come_back(
        texts in prop::collection::vec("[ -~\u{e9}\n{}|/\\\\*]{0,40}", 1..6),
        seeds in prop::collection::vec(any::<u64>(), 1..4),
        width in 16_i64..16384,
    ) {
        let mut graph = serde_json::Map::new();
        for (at, text) in texts.iter().enumerate() {
            // A string that ends in a single backslash cannot be represented.
            let text = text.trim_end_matches('\\');
            graph.insert(format!("text_{at}"), json!({"class_type": "CLIPTextEncode",
                "inputs": {"text": text, "clip": ["loader", 1]}, "_meta": {"title": format!("t{at}")}}));
        }
        graph.insert("loader".to_owned(), json!({"class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "c.safetensors"}, "_meta": {"title": "l"}}));
        graph.insert("3".to_owned(), json!({"class_type": "EmptyLatentImage",
            "inputs": {"width": width, "height": 64, "batch_size": 1}, "_meta": {"title": "e"}}));
        for (at, seed) in seeds.iter().enumerate() {
            graph.insert(format!("1{at}"), json!({"class_type": "KSampler", "inputs": {"seed": seed, "steps": 20,
                "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1, "model": ["loader", 0],
                "positive": ["text_0", 0], "negative": ["text_0", 0], "latent_image": ["3", 0]},
                "_meta": {"title": "k"}}));
        }
        let graph = Value::Object(graph);
        assert_comes_back(&graph);
        assert_nothing_overlaps(&convert(&graph));
        let ids: BTreeSet<String> = convert(&graph).graph.nodes.iter().map(|node| node.id.to_string()).collect();
        prop_assert_eq!(ids.len(), graph.as_object().unwrap().len());
    }
}

/// A prompt with widgets that only the pages of custom nodes add.
fn prompt_with_custom_widgets() -> Value {
    let lora = |file: &str| json!({"on": true, "lora": file, "strength": 0.8});
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}, "_meta": {"title": "EmptyImage"}},
        "2": {"class_type": "VHS_VideoCombine", "inputs": {
            "frame_rate": 16, "loop_count": 0, "filename_prefix": "x", "format": "video/h264-mp4",
            "pix_fmt": "yuv420p10le", "crf": 23, "save_metadata": false, "trim_to_audio": true,
            "pingpong": false, "save_output": true, "images": ["1", 0]}, "_meta": {"title": "Video"}},
        "3": {"class_type": "UNETLoader", "inputs": {"unet_name": "high.safetensors"}, "_meta": {"title": "High"}},
        "4": {"class_type": "Power Lora Loader (rgthree)", "inputs": {
            "PowerLoraLoaderHeaderWidget": {"type": "PowerLoraLoaderHeaderWidget"},
            "lora_1": lora("accelerator.pt"), "lora_2": lora("svi.pt"), "lora_3": lora("mine.pt"), "➕ Add Lora": "",
            "model": ["3", 0]}, "_meta": {"title": "LoRAs"}},
    })
}

#[test]
fn widgets_of_a_combos_value_and_numbered_lora_slots_keep_their_values() {
    let schemas: ObjectInfo = serde_json::from_value(fixture("object_info/custom-widgets.json")).unwrap();
    let prompt = prompt_with_custom_widgets();
    let graph = Graph::from_value(prompt.clone()).unwrap();
    let converted = from_api(&graph, &schemas, &Annotations::default()).unwrap();
    assert_eq!(converted.warnings, []);
    let node = |id: i64| converted.graph.nodes.iter().find(|node| node.id == UiNodeId::Number(id)).unwrap();
    // The video node's page saves by name, since the widgets depend on the format.
    let video = node(2).widgets_values.clone().unwrap();
    assert_eq!((&video["crf"], &video["pix_fmt"]), (&json!(23), &json!("yuv420p10le")));
    let loras = node(4).widgets_values.clone().unwrap();
    let files: Vec<_> = loras.as_array().unwrap().iter().filter_map(|value| value.get("lora")).collect();
    assert_eq!(files, ["accelerator.pt", "svi.pt", "mine.pt"]);
    assert_comes_back_with(&prompt, &schemas);
}

#[test]
fn a_format_without_values_has_its_defaults_and_lora_slots_may_have_gaps() {
    let schemas: ObjectInfo = serde_json::from_value(fixture("object_info/custom-widgets.json")).unwrap();
    let mut prompt = prompt_with_custom_widgets();
    for gone in ["pix_fmt", "crf", "save_metadata", "trim_to_audio"] {
        prompt["2"]["inputs"].as_object_mut().unwrap().remove(gone);
    }
    prompt["2"]["inputs"]["format"] = json!("video/ProRes");
    prompt["4"]["inputs"].as_object_mut().unwrap().remove("lora_2");
    let graph = Graph::from_value(prompt).unwrap();
    let converted = from_api(&graph, &schemas, &Annotations::default()).unwrap();
    assert_eq!(converted.warnings, []);
    let back = to_api(&converted.graph, &schemas).unwrap();
    assert_eq!(back.nodes["2"].inputs["profile"], "hq");
    assert!(back.nodes["2"].inputs.get("crf").is_none());
    // The editor numbers the slots anew.
    assert_eq!(back.nodes["4"].inputs["lora_2"]["lora"], "mine.pt");
    assert!(back.nodes["4"].inputs.get("lora_3").is_none());
}
