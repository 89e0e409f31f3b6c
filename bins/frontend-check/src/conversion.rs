//! The conversions that are checked.

use std::path::Path;

use anyhow::Context;
use comfy_runner_editor::{Annotations, FrontendVersion, UiGraph, from_api_for, to_api_for};
use comfy_runner_protocol::{Graph, ObjectInfo};
use serde_json::Value;

/// Reads the schemas of a file.
pub fn schemas(file: &Path) -> anyhow::Result<ObjectInfo> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} does not contain node schemas", file.display()))
}

/// Returns the version of the editor in a folder, if the folder is from an installed package.
pub fn frontend_version(folder: &Path) -> Option<FrontendVersion> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.filter_map(Result::ok).find_map(|entry| {
        let name = entry.file_name();
        let version = name.to_str()?.strip_prefix("comfyui_frontend_package-")?.strip_suffix(".dist-info")?;
        FrontendVersion::from_package_version(version)
    })
}

/// Converts UI format to API format.
pub fn to_prompt(graph: &str, schemas: &ObjectInfo, frontend: FrontendVersion) -> anyhow::Result<Value> {
    let graph: UiGraph = serde_json::from_str(graph)?;
    Ok(serde_json::to_value(to_api_for(frontend, &graph, schemas)?)?)
}

/// Converts API format to UI format.
pub fn to_workflow(
    prompt: &Value,
    schemas: &ObjectInfo,
    frontend: FrontendVersion,
) -> anyhow::Result<String> {
    let prompt: Graph = serde_json::from_value(prompt.clone())?;
    let converted = from_api_for(frontend, &prompt, schemas, &Annotations::default())?;
    Ok(serde_json::to_string(&converted.graph)?)
}
