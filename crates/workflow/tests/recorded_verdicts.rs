//! Our verdict on graphs against the answers that real ComfyUIs gave.

mod verdicts;

use std::fs;
use std::path::{Path, PathBuf};

use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Release, Validator};
use serde_json::{Value, json};
use verdicts::normalized;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn schemas(release: &str) -> ObjectInfo {
    serde_json::from_value(read(&fixture(&format!("object_info/{release}.json")))).unwrap()
}

#[test]
fn every_recorded_answer_is_given_again() {
    for release in ["0.3.64", "0.8.0", "0.33.0"] {
        let mut info = schemas(release);
        // The recording ComfyUIs had the three test nodes, whose schemas are among those of 0.8.0.
        info.extend(schemas("0.8.0").into_iter().filter(|(name, _)| name.starts_with("RunnerTest")));
        let validator = Validator::with_release(&info, Release::parse(release).unwrap());
        let recording = read(&fixture(&format!("recordings/{release}/validation_errors.json")));
        let prompts = recording["prompts"].as_array().unwrap();
        assert_eq!(prompts.len(), 11);
        for prompt in prompts {
            let ours = serde_json::to_value(validator.validate_json(&prompt["request"])).unwrap();
            assert_eq!(
                normalized(&ours),
                normalized(&prompt["response"]),
                "{release}: {}",
                prompt["request"]
            );
        }
    }
}

/// The graphs are not ours to keep. `TEMPLATE_PROMPTS` names a folder with the editor's prompt of each template,
/// `NAME.api.json`, as `frontend-check editor` writes them.
#[test]
fn every_official_template_of_0_33_0_gets_the_verdict_of_comfyui() {
    let Ok(folder) = std::env::var("TEMPLATE_PROMPTS") else {
        println!("skipped: TEMPLATE_PROMPTS names no folder of the editor's prompts");
        return;
    };
    let info = schemas("0.33.0");
    let validator = Validator::new(&info);
    let recorded = read(&fixture("verdicts/0.33.0.json"));
    let recorded = recorded.as_object().unwrap();
    assert_eq!(recorded.len(), 222);
    let mut different = Vec::new();
    for (name, expected) in recorded {
        let prompt = read(&Path::new(&folder).join(format!("{name}.api.json")));
        let ours = short(&serde_json::to_value(validator.validate_json(&prompt)).unwrap());
        if ours != sorted(expected) {
            different.push(format!("{name}:\n  ours     {ours}\n  ComfyUI  {}", sorted(expected)));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

/// An answer in the form of the recorded verdicts.
fn short(answer: &Value) -> Value {
    let nodes = answer["node_errors"].as_object().into_iter().flatten().map(|(id, problem)| {
        let errors = problem["errors"].as_array().into_iter().flatten();
        let errors: Vec<Value> = errors
            .map(|error| json!({"input": error["extra_info"]["input_name"], "type": error["type"]}))
            .collect();
        (id.clone(), Value::from(errors))
    });
    let node_errors: Value = nodes.collect::<serde_json::Map<_, _>>().into();
    let status = if answer["error"].is_null() { 200 } else { 400 };
    sorted(&json!({"error": answer["error"]["type"], "node_errors": node_errors, "status": status}))
}

fn sorted(verdict: &Value) -> Value {
    let mut verdict = verdict.clone();
    for (_, errors) in verdict["node_errors"].as_object_mut().into_iter().flatten() {
        if let Some(errors) = errors.as_array_mut() {
            errors.sort_by_cached_key(Value::to_string);
        }
    }
    verdict
}
