//! A graph in UI format, as a string.

use comfy_runner_editor::{Annotations, from_api};
use comfy_runner_protocol::{Graph, ObjectInfo};

use crate::terminal::errln;

/// Converts a graph to UI format. Warnings go to stderr.
pub fn to_ui_format(
    graph: &Graph,
    schemas: &ObjectInfo,
    annotations: &Annotations,
) -> anyhow::Result<String> {
    let converted = from_api(graph, schemas, annotations)?;
    for warning in &converted.warnings {
        errln!("warning: {warning}");
    }
    Ok(serde_json::to_string_pretty(&converted.graph)?)
}
