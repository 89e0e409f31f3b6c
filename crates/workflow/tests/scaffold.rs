//! The manifest that `scaffold` writes for a graph, with the schemas of ComfyUI 0.33.0.

use comfy_runner_editor::{UiGraph, to_api};
use comfy_runner_manifest::{InputKind, Manifest, Params, Uploads};
use comfy_runner_protocol::{Graph, ObjectInfo};
use comfy_runner_workflow::{OutputFolder, Scaffold, Workflow, scaffold};
use serde_json::{Value, json};
use time::macros::datetime;

fn schemas() -> ObjectInfo {
    serde_json::from_str(include_str!("../../../fixtures/object_info/0.33.0.json")).unwrap()
}

fn manifest(made: &Scaffold) -> Manifest {
    let (manifest, warnings) = Manifest::parse(&made.manifest, "made")
        .unwrap_or_else(|problems| panic!("{problems:?}\n{}", made.manifest));
    assert!(warnings.is_empty(), "{}", made.manifest);
    assert_eq!(manifest.inputs.len(), made.inputs);
    manifest
}

#[test]
fn the_other_values_of_a_graph_are_inputs_with_the_ranges_and_choices_of_their_nodes() {
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "upscale_method": "area", "width": 8,
            "height": 8, "crop": "disabled"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    let made = scaffold(&Graph::from_value(graph).unwrap(), None, &schemas(), "made");
    let offered = manifest(&made);
    let (others, warnings) = Manifest::parse(&made.others, "made").unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(others.inputs.iter().all(|input| !offered.inputs.iter().any(|other| other.id == input.id)));
    let others = others.json()["inputs"].as_array().unwrap();
    let other = |field: &str| others.iter().find(|input| input["field"] == field).unwrap();
    assert_eq!(other("crop")["options"], json!(["disabled", "center"]));
    assert_eq!((&other("crop")["node_id"], &other("crop")["default"]), (&json!(2), &json!("disabled")));

    let none = scaffold(
        &Graph::from_value(json!({"1": {"class_type": "VAEDecode", "inputs": {}}})).unwrap(),
        None,
        &schemas(),
        "made",
    );
    assert_eq!(Manifest::parse(&none.others, "made").unwrap().0.inputs.len(), 0);
}

fn from_api(graph: Value) -> Manifest {
    manifest(&scaffold(&Graph::from_value(graph).unwrap(), None, &schemas(), "made"))
}

fn from_ui(graph: Value) -> Scaffold {
    let saved: UiGraph = serde_json::from_value(graph).unwrap();
    let schemas = schemas();
    scaffold(&to_api(&saved, &schemas).unwrap(), Some(&saved), &schemas, "made")
}

/// The inputs' ids in order, each with its targets.
fn listed(manifest: &Manifest) -> Vec<String> {
    let place = |target: &comfy_runner_manifest::NodeField| format!("{}.{}", target.node, target.field);
    let inputs = manifest.inputs.iter();
    inputs
        .map(|input| {
            format!("{} {}", input.id, input.targets.iter().map(place).collect::<Vec<_>>().join(" "))
        })
        .collect()
}

fn sampler(positive: &str, negative: &str) -> Value {
    json!({"class_type": "KSampler", "inputs": {
        "seed": 5, "steps": 20, "cfg": 8, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
        "model": ["m", 0], "positive": [positive, 0], "negative": [negative, 0], "latent_image": ["l", 0],
    }})
}

#[test]
fn prompts_are_distinguished_by_where_they_lead_also_through_conditioning() {
    let manifest = from_api(json!({
        "n": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["m", 1]}},
        "p": {"class_type": "CLIPTextEncode", "inputs": {"text": ["s", 0], "clip": ["m", 1]}},
        "s": {"class_type": "PrimitiveStringMultiline", "inputs": {"value": "a fox: \"red\"\n# and a dog"}},
        "c": {"class_type": "ControlNetApplyAdvanced", "inputs": {
            "positive": ["p", 0], "negative": ["n", 0], "strength": 1.0, "start_percent": 0, "end_percent": 1,
        }},
        "k": {"class_type": "KSampler", "inputs": {"positive": ["c", 0], "negative": ["c", 1], "seed": 3}},
    }));
    let prompt = manifest.input("prompt").unwrap();
    assert_eq!((prompt.targets[0].node.as_str(), prompt.targets[0].field.as_str()), ("s", "value"));
    assert_eq!(prompt.default, Some(json!("a fox: \"red\"\n# and a dog")));
    assert_eq!(manifest.input("negative_prompt").unwrap().targets[0].node, "n");
    assert_eq!(manifest.input("seed").unwrap().kind, InputKind::Seed);
}

#[test]
fn a_prompt_that_is_zeroed_out_for_the_negative_side_stays_the_prompt() {
    let manifest = from_api(json!({
        "p": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["m", 1]}},
        "z": {"class_type": "ConditioningZeroOut", "inputs": {"conditioning": ["p", 0]}},
        "k": sampler("p", "z"),
    }));
    assert_eq!(manifest.input("prompt").unwrap().targets[0].node, "p");
    assert!(manifest.input("negative_prompt").is_none());
}

#[test]
fn equal_values_of_one_meaning_are_one_input_and_others_get_names_of_their_own() {
    let mut second = sampler("p", "p");
    second["inputs"]["cfg"] = 3.5.into();
    let manifest = from_api(json!({
        "a": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "b": {"class_type": "LTXVAudioVAELoader", "inputs": {"ckpt_name": "a.safetensors"}},
        "c": {"class_type": "LTXAVTextEncoderLoader",
            "inputs": {"ckpt_name": "a.safetensors", "text_encoder": "t.safetensors", "device": "default"}},
        "p": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["a", 1]}},
        "k": sampler("p", "p"),
        "l": second,
        "t": {"class_type": "TextEncodeAceStepAudio1.5", "inputs": {"clip": ["a", 1], "tags": "pop", "lyrics": "la", "duration": 120.0}},
        "e": {"class_type": "EmptyAceStep1.5LatentAudio", "inputs": {"seconds": 120.0, "batch_size": 1}},
        "f": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
    }));
    let listed = listed(&manifest);
    for expected in [
        "checkpoint a.ckpt_name b.ckpt_name c.ckpt_name",
        "steps k.steps l.steps",
        "seed k.seed l.seed",
        "cfg k.cfg",
        "second_cfg l.cfg",
        "duration t.duration e.seconds",
        "batch_size e.batch_size f.batch_size",
        "lyrics t.lyrics",
    ] {
        assert!(listed.contains(&expected.to_owned()), "{expected}: {listed:#?}");
    }
    let steps = manifest.input("steps").unwrap();
    assert_eq!((steps.min.clone(), steps.max.clone()), (Some(1.into()), Some(10000.into())));
    assert!(manifest.input("sampler").unwrap().options.len() > 10);
    assert_eq!(manifest.input("seed").unwrap().default, Some(json!(-1)));
    // There are many: each says which part of a form it belongs to.
    assert_eq!(steps.other["group"], "Sampling");
}

#[test]
fn files_are_called_what_they_are_for_and_results_what_they_are() {
    let manifest = from_api(json!({
        "m": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        "r": {"class_type": "LoraLoader", "inputs": {
            "model": ["m", 0], "clip": ["m", 1], "lora_name": "i.safetensors", "strength_model": 0.5, "strength_clip": 1.0,
        }},
        "i": {"class_type": "LoadImage", "inputs": {"image": "me.png"}, "_meta": {"title": "Load Product Image"}},
        "s": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "Load Image"}},
        "e": {"class_type": "LoadImage", "inputs": {"image": "b.png"}, "_meta": {"title": "Load Image"}},
        "u": {"class_type": "ImageScaleBy", "inputs": {"image": ["s", 0], "upscale_method": "area", "scale_by": 1.5}},
        "w": {"class_type": "WanFirstLastFrameToVideo", "inputs": {"start_image": ["u", 0], "end_image": ["e", 0]}},
        "x": {"class_type": "LoadImage", "inputs": {"image": "c.png"}},
        "y": {"class_type": "LoadImage", "inputs": {"image": "d.png"}},
        "k": {"class_type": "LoadImageMask", "inputs": {"image": "m.png", "channel": "alpha"}},
        "v": {"class_type": "LoadVideo", "inputs": {"file": "v.mp4"}},
        "a": {"class_type": "LoadAudio", "inputs": {"audio": "a.mp3"}},
        "c": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "o": {"class_type": "SaveImage", "inputs": {"images": ["i", 0], "filename_prefix": "x"}},
        "q": {"class_type": "PreviewImage", "inputs": {"images": ["i", 0]}},
    }));
    let listed = listed(&manifest);
    for expected in [
        "product_image i.image",
        "start_image s.image",
        "end_image e.image",
        "image x.image",
        "second_image y.image",
        "mask k.image",
        "video v.file",
        "audio a.audio",
        "scale_by u.scale_by",
        "upscale_method u.upscale_method",
        "color c.color",
        "lora r.lora_name r.strength_model",
    ] {
        assert!(listed.contains(&expected.to_owned()), "{expected}: {listed:#?}");
    }
    let image = manifest.input("product_image").unwrap();
    assert_eq!((&image.kind, image.title(), &image.default), (&InputKind::Image, "Product Image", &None));
    assert_eq!(manifest.outputs.len(), 1);
    assert_eq!(manifest.outputs[0].node.as_deref(), Some("o"));
    assert_eq!(manifest.required_models, ["a.safetensors", "i.safetensors"]);
}

#[test]
fn a_3d_model_is_the_result_of_a_workflow_for_3d() {
    let manifest = from_api(json!({
        "i": {"class_type": "LoadImage", "inputs": {"image": "me.png"}},
        "t": {"class_type": "TripoImageToModelNode", "inputs": {"image": ["i", 0], "model_version": "v2.5-20250123", "texture": true}},
        "s": {"class_type": "SaveGLB", "inputs": {"mesh": ["t", 2], "filename_prefix": "3d/x"}},
    }));
    assert_eq!(manifest.category.as_deref(), Some("3d"));
    assert_eq!(
        (manifest.outputs[0].kind.as_deref(), manifest.outputs[0].format.as_deref()),
        (Some("3d"), Some("glb"))
    );
    // A partner node's own parameters.
    assert!(manifest.input("model_version").is_some() && manifest.input("texture").is_some());
}

#[test]
fn a_3d_model_that_is_loaded_is_a_file_of_the_caller() {
    let manifest = from_api(json!({
        "1": {"class_type": "Load3D", "inputs": {"model_file": "3d/fox.glb", "image": {}, "width": 1024, "height": 1024},
            "_meta": {"title": "Load 3D & Animation"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "3": {"class_type": "Load3D", "inputs": {"model_file": "none", "image": {}, "width": 1024, "height": 1024},
            "_meta": {"title": "Load the Red Fox"}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    }));
    for (id, node) in [("model_3d", "1"), ("red_fox", "3")] {
        let input = manifest.input(id).unwrap();
        assert_eq!((input.kind.as_str(), &*input.targets[0].node, &input.default), ("3d", node, &None));
    }
}

#[test]
fn settings_of_nodes_that_make_different_things_say_what_they_are_for() {
    let manifest = from_api(json!({
        "1": {"class_type": "PrimitiveInt", "inputs": {"value": 20}, "_meta": {"title": "Int (Steps)"}},
        "2": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": ["1", 0]}},
        "3": {"class_type": "FluxProUltraImageNode", "inputs": {"prompt": "a fox", "seed": 2, "raw": false}},
        "4": {"class_type": "KlingTextToVideoNode", "inputs": {"prompt": "it runs", "seed": 3}},
        "5": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
        "6": {"class_type": "SaveVideo", "inputs": {"video": ["4", 0], "filename_prefix": "x"}},
    }));
    let ids: Vec<&str> = manifest.inputs.iter().map(|input| input.id.as_str()).collect();
    for id in ["image_prompt", "video_prompt", "steps"] {
        assert!(ids.contains(&id), "{id} in {ids:?}");
    }
}

#[test]
fn types_without_a_schema_are_reported() {
    let graph = Graph::from_value(json!({"7": {"class_type": "Strange", "inputs": {"seed": 3}}})).unwrap();
    let made = scaffold(&graph, None, &schemas(), "made");
    assert_eq!(made.unknown, [("7".to_owned(), "Strange".to_owned())]);
    assert_eq!(made.inputs, 0);
}

/// A graph in UI format: a solid that a subgraph's instance paints, scaled and saved, and a note.
fn saved(extra: Value) -> Value {
    let link = |id: i64, from: i64, slot: i64, to: i64, input: i64, kind: &str| json!({"id": id, "origin_id": from, "origin_slot": slot, "target_id": to, "target_slot": input, "type": kind});
    let widget = |name: &str, link: Value| json!({"name": name, "type": "INT", "link": link, "widget": {"name": name}});
    json!({
        "id": "e13112f7-3d09-4ae1-9e84-633a0627d945",
        "nodes": [
            {"id": 12, "type": "d069257b-0abc-4d5a-9a19-579e0fe5bd8d", "title": "Paint",
                "inputs": [{"name": "value", "label": "breadth", "type": "INT", "link": null, "widget": {"name": "value"}}],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "widgets_values": [64],
                "properties": {"proxyWidgets": [["-1", "value"], ["3", "color"]]}},
            {"id": 4, "type": "ImageScaleBy", "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}], "widgets_values": ["area", 2.0]},
            {"id": 5, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}], "outputs": [],
                "widgets_values": ["x"]},
            {"id": 6, "type": "MarkdownNote", "title": "About", "inputs": [], "outputs": [],
                "widgets_values": ["Paints a solid in one color and scales it up for the wall of a house."]},
        ],
        "links": [[1, 12, 0, 4, 0, "IMAGE"], [2, 4, 0, 5, 0, "IMAGE"]],
        "definitions": {"subgraphs": [{
            "id": "d069257b-0abc-4d5a-9a19-579e0fe5bd8d", "name": "Paint",
            "inputs": [{"name": "value", "type": "INT", "linkIds": [1, 2]}],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "linkIds": [3]}],
            "nodes": [{"id": 3, "type": "EmptyImage",
                "inputs": [widget("width", json!(1)), widget("height", json!(2))],
                "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [3]}], "widgets_values": [64, 64, 1, 255]}],
            "links": [link(1, -10, 0, 3, 0, "INT"), link(2, -10, 0, 3, 1, "INT"), link(3, 3, 0, -20, 0, "IMAGE")],
        }]},
        "extra": extra,
    })
}

#[test]
fn app_mode_defines_inputs_their_order_their_labels_and_the_outputs() {
    for (outside, inside) in [
        (json!(12), json!("12:3")),
        (json!("12"), json!("d069257b-0abc-4d5a-9a19-579e0fe5bd8d:3")),
        (json!("e13112f7-3d09-4ae1-9e84-633a0627d945:12:value"), json!("3")),
    ] {
        let made = from_ui(saved(json!({"linearData": {
            "inputs": [[4, "scale_by"], [inside, "color"], [outside, "value"], [99, "gone"]], "outputs": ["5"],
        }})));
        let manifest = manifest(&made);
        assert_eq!(
            listed(&manifest),
            ["scale_by 4.scale_by", "color 12:3.color", "breadth 12:3.width 12:3.height"]
        );
        assert_eq!(manifest.input("breadth").unwrap().title(), "Breadth");
        assert_eq!(manifest.outputs[0].node.as_deref(), Some("5"));
        assert_eq!(made.missing, ["[99,\"gone\"]"]);
        assert!(
            made.manifest
                .contains("#  - {id: upscale_method, type: select, node_id: 4, field: upscale_method")
        );
    }
}

#[test]
fn widgets_on_the_outside_of_a_subgraph_come_before_what_is_found_and_hide_the_rest_of_it() {
    let made = from_ui(saved(json!({})));
    let manifest = manifest(&made);
    let mut ids: Vec<&str> = manifest.inputs.iter().map(|input| input.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["breadth", "color", "scale_by", "upscale_method"]);
    assert!(made.manifest.contains("#  - {id: batch_size,"), "{}", made.manifest);
    assert_eq!(
        manifest.description.as_deref(),
        Some("Paints a solid in one color and scales it up for the wall of a house.")
    );
}

#[test]
fn favourites_are_offered_also_where_nobody_would_look() {
    let extra =
        json!({"favoritedWidgets": {"favorites": [{"nodeLocatorId": "12:3", "widgetName": "batch_size"}]}});
    let manifest = manifest(&from_ui(saved(extra)));
    assert_eq!(manifest.input("batch_size").unwrap().targets[0].node, "12:3");
}

/// The graph of [`saved`] with a second instance of its subgraph.
fn saved_twice(extra: Value) -> Value {
    let mut graph = saved(extra);
    let mut second = graph["nodes"][0].clone();
    second["id"] = json!(15);
    graph["nodes"].as_array_mut().unwrap().push(second);
    graph["nodes"].as_array_mut().unwrap().push(json!({"id": 16, "type": "PreviewImage",
        "inputs": [{"name": "images", "type": "IMAGE", "link": 9}], "outputs": []}));
    graph["links"].as_array_mut().unwrap().push(json!([9, 15, 0, 16, 0, "IMAGE"]));
    graph
}

const PAINT: &str = "d069257b-0abc-4d5a-9a19-579e0fe5bd8d";

#[test]
fn a_favourite_inside_a_subgraph_is_that_widget_in_all_of_its_instances() {
    let favourite = json!({"nodeLocatorId": format!("{PAINT}:3"), "widgetName": "batch_size"});
    let extra = json!({"favoritedWidgets": {"favorites": [favourite]}});
    let manifest = manifest(&from_ui(saved_twice(extra)));
    let nodes: Vec<&str> =
        manifest.input("batch_size").unwrap().targets.iter().map(|target| target.node.as_str()).collect();
    assert_eq!(nodes, ["12:3", "15:3"]);
}

#[test]
fn a_locator_in_app_mode_names_the_instance_that_shows_the_widget_or_a_node_inside() {
    for (reference, widget, expected) in [
        // The editor looks for an instance of this id in the graph itself.
        (format!("{PAINT}:15"), "value", "breadth 15:3.width 15:3.height"),
        // Without one, it is a node of the subgraph.
        (format!("{PAINT}:3"), "batch_size", "batch_size 12:3.batch_size 15:3.batch_size"),
        (
            "e13112f7-3d09-4ae1-9e84-633a0627d945:12:value".to_owned(),
            "value",
            "breadth 12:3.width 12:3.height",
        ),
    ] {
        let app = json!({"linearData": {"inputs": [[reference, widget]], "outputs": []}});
        let made = from_ui(saved_twice(app));
        assert_eq!(listed(&manifest(&made)), [expected]);
        assert!(made.missing.is_empty(), "{:?}", made.missing);
    }
}

#[test]
fn an_app_from_before_its_nodes_were_in_a_subgraph_names_what_the_instance_shows_for_them() {
    let app = json!({"linearData": {"inputs": [[3, "width"]], "outputs": []}});
    // The instance shows `width` and `height` as one widget, which the author named.
    assert_eq!(listed(&manifest(&from_ui(saved(app.clone())))), ["breadth 12:3.width 12:3.height"]);
    // With two instances, nothing tells which is meant.
    assert_eq!(from_ui(saved_twice(app)).missing, ["[3,\"width\"]"]);
}

#[test]
fn a_promoted_widget_of_a_nested_instance_is_found_by_the_innermost_node_that_its_entry_names() {
    let outer = "2a3ff4f1-6ef4-4f33-9e5c-5b8e6a3f2d10";
    for entry in [json!(["12", "3: color"]), json!(["12", "color", "3"]), json!(["12", "color"])] {
        let mut graph = saved(json!({}));
        let instance = graph["nodes"][0].clone();
        graph["nodes"][0] = json!({"id": 20, "type": outer, "title": "Outer", "inputs": [],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "widgets_values": [],
            "properties": {"proxyWidgets": [entry]}});
        graph["links"][0] = json!([1, 20, 0, 4, 0, "IMAGE"]);
        graph["definitions"]["subgraphs"].as_array_mut().unwrap().push(json!({
            "id": outer, "name": "Outer", "inputs": [], "nodes": [instance],
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "linkIds": [1]}],
            "links": [{"id": 1, "origin_id": 12, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"}],
        }));
        let manifest = manifest(&from_ui(graph));
        let color = manifest.input("color").unwrap_or_else(|| panic!("{entry}: {:?}", listed(&manifest)));
        assert_eq!(color.targets[0].node, "20:12:3", "{entry}");
    }
}

#[test]
fn values_that_hang_on_one_primitive_are_one_input_and_a_fixed_seed_stays_fixed() {
    let input =
        |name: &str, link: i64| json!({"name": name, "type": "INT", "link": link, "widget": {"name": name}});
    let made = from_ui(json!({
        "nodes": [
            {"id": 1, "type": "PrimitiveNode", "title": "stpes", "inputs": [],
                "outputs": [{"name": "INT", "type": "INT", "links": [1, 2], "widget": {"name": "steps"}}], "widgets_values": [7, "fixed"]},
            {"id": 2, "type": "KSampler", "inputs": [input("steps", 1)], "outputs": [], "widgets_values": [5, "fixed", 20, 8, "euler", "normal", 1]},
            {"id": 3, "type": "KSamplerAdvanced", "inputs": [input("steps", 2)], "outputs": [],
                "widgets_values": ["enable", 6, "fixed", 20, 8, "euler", "normal", 0, 10000, "disable"]},
        ],
        "links": [[1, 1, 0, 2, 0, "INT"], [2, 1, 0, 3, 0, "INT"]],
    }));
    let manifest = manifest(&made);
    let steps = manifest.input("steps").unwrap();
    assert_eq!((steps.targets.len(), steps.title(), &steps.default), (2, "Steps", &Some(json!(7))));
    assert_eq!(manifest.input("seed").unwrap().default, Some(json!(5)));
}

#[test]
fn a_combo_of_the_authors_own_offers_the_authors_choices() {
    let manifest = from_api(json!({
        "c": {"class_type": "CustomCombo", "inputs": {"choice": "Turbo", "option1": "Quality", "option2": "Turbo", "option3": ""},
            "_meta": {"title": "Mode"}},
        "p": {"class_type": "PreviewAny", "inputs": {"source": ["c", 0]}},
    }));
    let mode = manifest.input("mode").unwrap();
    let options: Vec<_> = mode.options.iter().map(|choice| choice.value.clone()).collect();
    assert_eq!((options, &mode.default), (vec![json!("Quality"), json!("Turbo")], &Some(json!("Turbo"))));
}

#[test]
fn strings_with_braces_stay_what_they_are() {
    let texts = ["{{a}} b", "{{ x", "a }} {{ b }} c", "{{ \"{{\" }}", "{{{{}}}}", "{{%}}"];
    for text in texts {
        let graph = Graph::from_value(json!({
            "p": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["m", 1]}, "_meta": {"title": text}},
            "j": {"class_type": "StringConcatenate", "inputs": {"string_a": text, "string_b": {"deep": [text]}, "delimiter": "{{,}}"}},
            "m": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
        }))
        .unwrap();
        let made = scaffold(&graph, None, &schemas(), "made");
        let compiled = Workflow::new(manifest(&made), &made.graph.to_string(), None).unwrap();
        let params =
            Params::check(compiled.workflow.manifest(), &serde_json::Map::new(), &Uploads::new(), &mut || 1)
                .unwrap();
        let folder = OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 1);
        assert_eq!(compiled.workflow.assemble(&params, &folder).unwrap().graph, graph, "{text}");
    }
}
