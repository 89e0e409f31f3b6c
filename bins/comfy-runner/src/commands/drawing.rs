//! A graph as the editor opens it.

use comfy_runner_protocol::{Graph, ObjectInfo};
use comfy_runner_workflow::ui::from_api::{Legend, from_api};

/// The text of the drawn graph. What could not be drawn as it should be is told on stderr.
pub fn drawn(graph: &Graph, schemas: &ObjectInfo, legend: &Legend) -> anyhow::Result<String> {
    let drawing = from_api(graph, schemas, legend)?;
    for remark in &drawing.remarks {
        eprintln!("warning: {remark}");
    }
    Ok(serde_json::to_string_pretty(&drawing.graph)?)
}
