//! Our conversions, as they are checked here.

use std::path::Path;

use anyhow::Context;
use comfy_runner_editor::{Annotations, UiGraph, from_api, to_api};
use comfy_runner_protocol::{Graph, ObjectInfo};
use serde_json::Value;

/// The schemas of a file.
pub fn schemas(file: &Path) -> anyhow::Result<ObjectInfo> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no node schemas", file.display()))
}

/// UI format to API format.
pub fn to_prompt(drawn: &str, schemas: &ObjectInfo) -> anyhow::Result<Value> {
    let drawn: UiGraph = serde_json::from_str(drawn)?;
    Ok(serde_json::to_value(to_api(&drawn, schemas)?)?)
}

/// API format to UI format.
pub fn to_drawing(prompt: &Value, schemas: &ObjectInfo) -> anyhow::Result<String> {
    let prompt: Graph = serde_json::from_value(prompt.clone())?;
    let drawing = from_api(&prompt, schemas, &Annotations::default())?;
    Ok(serde_json::to_string(&drawing.graph)?)
}
