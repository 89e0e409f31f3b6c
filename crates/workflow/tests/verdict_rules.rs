//! Rules of ComfyUI's validation that were found by comparing verdicts with real ComfyUIs.

use std::fs;
use std::path::Path;

use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::validate::{FileName, Release, Validator, Verdict};
use serde_json::{Value, json};

fn schemas(release: &str) -> ObjectInfo {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/object_info");
    serde_json::from_str(&fs::read_to_string(folder.join(format!("{release}.json"))).unwrap()).unwrap()
}

fn verdict(release: &str, prompt: &Value) -> Verdict {
    Validator::with_release(&schemas(release), Release::parse(release).unwrap()).validate_json(prompt)
}

fn kind(verdict: &Verdict) -> &str {
    verdict.error.as_ref().map_or("", |error| &error.kind)
}

#[test]
fn choices_that_are_a_tuple_are_quoted_in_parentheses() {
    let prompt = json!({"1": {"class_type": "LoraSave", "inputs": {
        "filename_prefix": "x", "rank": 8, "lora_type": "full", "bias_diff": true,
    }}});
    let verdict = verdict("0.33.0", &prompt);
    assert_eq!(
        verdict.node_errors["1"].errors[0].details,
        "lora_type: 'full' not in ('standard', 'full_diff')"
    );
}

#[test]
fn a_limit_below_64_bits_is_the_one_that_the_node_has() {
    let trimmed = |start: Value| {
        let prompt = json!({
            "1": {"class_type": "LoadAudio", "inputs": {"audio": "a.mp3 [output]"}},
            "2": {"class_type": "TrimAudioDuration", "inputs": {"audio": ["1", 0], "start_index": start, "duration": 1}},
            "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
        });
        verdict("0.33.0", &prompt).node_errors.get("2").map(|problem| problem.errors[0].message.clone())
    };
    // -2^64, which is less than -(2^64 - 1).
    let message = "Value -1.8446744073709552e+19 smaller than min of -18446744073709551615";
    assert_eq!(trimmed(json!(i64::MIN as f64 * 2.0)).as_deref(), Some(message));
    assert_eq!(
        trimmed(json!("-inf")).as_deref(),
        Some("Value -inf smaller than min of -18446744073709551615")
    );
    assert_eq!(trimmed(json!(-1e18)), None);
}

#[test]
fn a_node_that_is_no_object_matters_only_when_comfyui_gets_to_it_before_0_14() {
    let refused_first = json!({"1": {"class_type": "NoSuchNode", "inputs": {}}, "2": null});
    let broken_first = json!({"2": null, "1": {"class_type": "NoSuchNode", "inputs": {}}});
    for release in ["0.3.64", "0.8.0"] {
        assert_eq!(kind(&verdict(release, &refused_first)), "invalid_prompt");
        assert_eq!(kind(&verdict(release, &broken_first)), "internal_server_error");
    }
    // Later releases look for nodes of former types first.
    for prompt in [&refused_first, &broken_first] {
        assert_eq!(kind(&verdict("0.33.0", prompt)), "internal_server_error");
    }
}

#[test]
fn a_type_that_is_a_list_is_an_internal_error_when_it_is_looked_up() {
    let unknown = json!({"class_type": "NoSuchNode", "inputs": {}});
    let list = json!({"class_type": ["KSampler"], "inputs": {}});
    let without_inputs = json!({"class_type": ["KSampler"]});
    for release in ["0.3.64", "0.8.0"] {
        assert_eq!(kind(&verdict(release, &json!({"1": unknown, "2": list}))), "invalid_prompt");
        assert_eq!(kind(&verdict(release, &json!({"1": list, "2": unknown}))), "internal_server_error");
    }
    assert_eq!(kind(&verdict("0.33.0", &json!({"1": unknown, "2": list}))), "internal_server_error");
    assert_eq!(kind(&verdict("0.33.0", &json!({"1": unknown, "2": without_inputs}))), "missing_node_type");
    assert_eq!(
        kind(&verdict("0.33.0", &json!({"1": without_inputs, "2": unknown}))),
        "internal_server_error"
    );
}

#[test]
fn camera_controls_need_a_movement_and_stop_at_the_first_value_that_is_no_number() {
    let controls = |pan: Value, zoom: Value| {
        let prompt = json!({
            "1": {"class_type": "KlingCameraControls", "inputs": {
                "camera_control_type": "simple", "horizontal_movement": 0, "vertical_movement": "0", "pan": pan,
                "tilt": 0, "roll": 0, "zoom": zoom,
            }},
            "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        });
        let verdict = verdict("0.3.64", &prompt);
        verdict.node_errors.get("1").map_or(String::new(), |problem| {
            let error = &problem.errors[0];
            format!("{}: {}", error.kind, error.details)
        })
    };
    assert_eq!(controls(json!(0), json!(0.5)), "");
    assert!(controls(json!(0), json!(0)).starts_with("custom_validation_failed: "));
    assert_eq!(
        controls(json!(""), json!(0.5)),
        "exception_during_inner_validation: must be real number, not str"
    );
    // The first movement is enough.
    assert_eq!(
        controls(json!("nan"), json!("")),
        "invalid_input_type: zoom, , could not convert string to float: ''"
    );
}

#[test]
fn a_file_that_is_known_to_be_there_is_a_choice_of_inputs_for_uploads_only() {
    let schemas: ObjectInfo = serde_json::from_value(json!({"LoadMask": {
        "input": {"required": {"mask": [["a.png"], {"image_upload": true}], "style": [["a.png"], {}]}},
        "output": [], "output_is_list": [], "output_name": [], "name": "LoadMask", "display_name": "Load Mask",
        "description": "", "python_module": "nodes", "category": "", "output_node": true,
    }}))
    .unwrap();
    let prompt = json!({"1": {"class_type": "LoadMask", "inputs": {"mask": "fox.png", "style": "fox.png"}}});
    let errors = |files: &[&str]| {
        let files = files.iter().map(|name| (FileName::parse(name).unwrap(), true)).collect();
        let errors = Validator::new(&schemas).with_files(files).validate_json(&prompt).node_errors;
        errors["1"].errors.iter().map(|error| error.details.clone()).collect::<Vec<_>>()
    };
    let style = "style: 'fox.png' not in ['a.png']";
    assert_eq!(errors(&[]), ["mask: 'fox.png' not in ['a.png']", style]);
    assert_eq!(errors(&["fox.png"]), [style]);
}
