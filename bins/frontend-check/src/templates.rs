//! The official templates whose node types have schemas.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_runner_protocol::ObjectInfo;
use serde_json::Value;

/// Types that only the editor knows.
const EDITORS_OWN: [&str; 4] = ["Note", "MarkdownNote", "Reroute", "PrimitiveNode"];
/// The editor's numbers for nodes that are muted and bypassed.
const NOT_RUN: [i64; 2] = [2, 4];

/// A template that can be checked.
pub struct Template {
    /// The file's name without `.json`.
    pub name: String,
    /// The graph, as in the file.
    pub graph: String,
}

/// Returns the templates of a folder and its subfolders, by name, whose node types are in the schemas. Muted and bypassed
/// nodes need no schema, because they are not sent.
pub fn known_templates(folder: &Path, schemas: &ObjectInfo) -> anyhow::Result<Vec<Template>> {
    let mut templates = Vec::new();
    for file in json_files(folder)? {
        let graph = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed: Value =
            serde_json::from_str(&graph).with_context(|| format!("{} is not JSON", file.display()))?;
        if parsed["nodes"].is_array() && unknown_types(&parsed, schemas).is_empty() {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            templates.push(Template { name, graph });
        }
    }
    templates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(templates)
}

/// Returns the JSON files of a folder and its subfolders.
fn json_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(json_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Returns the types without a schema of nodes that run, in the graph or in its subgraphs.
fn unknown_types<'g>(graph: &'g Value, schemas: &ObjectInfo) -> Vec<&'g str> {
    let subgraphs = items(&graph["definitions"]["subgraphs"]);
    let is_known = |kind: &str| {
        schemas.contains_key(kind)
            || EDITORS_OWN.contains(&kind)
            || subgraphs.iter().any(|subgraph| subgraph["id"] == kind)
    };
    std::iter::once(graph)
        .chain(subgraphs)
        .flat_map(|graph| items(&graph["nodes"]))
        .filter(|node| !node["mode"].as_i64().is_some_and(|mode| NOT_RUN.contains(&mode)))
        .filter_map(|node| node["type"].as_str())
        .filter(|kind| !is_known(kind))
        .collect()
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_type_that_runs_must_have_a_schema_also_within_subgraphs() {
        let schemas: ObjectInfo = serde_json::from_value(json!({"A": {}})).unwrap();
        let graph = json!({
            "nodes": [{"type": "A"}, {"type": "Note"}, {"type": "s"}, {"type": "B", "mode": 4}, {"type": "C", "mode": 0}],
            "definitions": {"subgraphs": [{"id": "s", "nodes": [{"type": "A"}, {"type": "D"}]}]},
        });
        assert_eq!(unknown_types(&graph, &schemas), ["C", "D"]);
    }
}
