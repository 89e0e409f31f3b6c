//! A graph in UI or API format from any bytes, with the node schemas of ComfyUI 0.8.0: a prompt that converts back, or an
//! error. Never a panic.

#![no_main]

use std::sync::LazyLock;

use comfy_runner_editor::saved::Saved;
use comfy_runner_editor::{Annotations, from_api};
use comfy_runner_protocol::object_info::ObjectInfo;
use libfuzzer_sys::fuzz_target;

static SCHEMAS: LazyLock<ObjectInfo> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../fixtures/object_info/0.8.0.json")).expect("node schemas")
});

fuzz_target!(|input: &str| {
    let saved = match Saved::from_json(input) {
        Ok(saved) => saved,
        Err(error) => return drop(error.to_string()),
    };
    match saved.into_prompt(Some(&SCHEMAS)) {
        Ok(graph) => {
            if let Ok(converted) = from_api(&graph, &SCHEMAS, &Annotations::default()) {
                serde_json::to_string(&converted.graph).expect("a graph is JSON");
            }
        }
        Err(error) => drop(error.to_string()),
    }
});
