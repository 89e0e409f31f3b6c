//! A graph in UI format, as a string.

use std::path::Path;

use comfy_runner_editor::{Annotations, from_api};
use comfy_runner_protocol::{Graph, ObjectInfo};

use super::findings::Finding;

/// Converts a graph to UI format. Adds what UI format cannot represent to `findings`, as warnings about `file`.
pub fn to_ui_format(
    graph: &Graph,
    schemas: &ObjectInfo,
    annotations: &Annotations,
    file: &Path,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<String> {
    let converted = from_api(graph, schemas, annotations)?;
    findings.extend(converted.warnings.iter().map(|warning| Finding::warning(file, warning)));
    Ok(serde_json::to_string_pretty(&converted.graph)?)
}
