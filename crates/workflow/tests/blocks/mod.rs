//! Dynamic workflows in a test's own words: a manifest and its blocks, no folder.

#![allow(dead_code)] // Each test file uses a part.

use std::collections::HashMap;

use comfy_runner_manifest::{Compiled, Diagnostic, DiagnosticKind, Diagnostics, Manifest, Params, Uploads};
use comfy_runner_workflow::{AssembleError, Assembled, OutputFolder, Workflow};
use serde_json::{Map, Value, json};
use time::macros::datetime;

pub fn folder() -> OutputFolder {
    OutputFolder::new(datetime!(2026-03-24 14:30:52 UTC), 0xa1b2c3)
}

/// Compiles a manifest (its `id` and `type` are added) and blocks by file name.
pub fn compile(manifest: &str, blocks: &[(&str, Value)]) -> Result<Compiled<Workflow>, Diagnostics> {
    let (manifest, mut warnings) = Manifest::parse(&format!("id: w\ntype: dynamic\n{manifest}"), "w")?;
    let texts: HashMap<String, String> = blocks
        .iter()
        .map(|(file, block)| (format!("blocks/{file}"), serde_json::to_string_pretty(block).unwrap()))
        .collect();
    let mut read = |file: &str| {
        let missing = || Diagnostic::error(DiagnosticKind::File, file, "the file does not exist");
        texts.get(file).cloned().ok_or_else(missing)
    };
    let compiled = Workflow::from_blocks(manifest, &mut read)?;
    warnings.extend(compiled.warnings);
    Ok(Compiled { warnings, ..compiled })
}

/// A workflow that has nothing wrong with it.
pub fn workflow(manifest: &str, blocks: &[(&str, Value)]) -> Workflow {
    let compiled =
        compile(manifest, blocks).unwrap_or_else(|problems| panic!("{}", reported(&problems).join("\n")));
    assert_eq!(reported(&compiled.warnings), Vec::<String>::new());
    compiled.workflow
}

/// Everything that is wrong, warnings included.
pub fn problems(manifest: &str, blocks: &[(&str, Value)]) -> Vec<String> {
    match compile(manifest, blocks) {
        Ok(compiled) => reported(&compiled.warnings),
        Err(problems) => reported(&problems),
    }
}

fn reported(problems: &[Diagnostic]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

pub fn params(workflow: &Workflow, given: Value) -> Params {
    let given: Map<String, Value> = given.as_object().unwrap().clone();
    Params::check(workflow.manifest(), &given, &Uploads::new(), &mut || 4711).unwrap()
}

pub fn assemble(workflow: &Workflow, given: Value) -> Result<Assembled, AssembleError> {
    workflow.assemble(&params(workflow, given), &folder())
}

/// The graph without titles, node by node: `{id: [class_type, inputs]}`.
pub fn graph(workflow: &Workflow, given: Value) -> Value {
    let assembled = assemble(workflow, given).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(assembled.graph.dangling_links().count(), 0, "{}", assembled.graph);
    let nodes = assembled.graph.nodes.into_iter();
    nodes.map(|(id, node)| (id, json!([node.class_type, node.inputs]))).collect::<Map<_, _>>().into()
}

/// The inputs of one node.
pub fn inputs(workflow: &Workflow, given: Value, node: &str) -> Value {
    graph(workflow, given)[node][1].clone()
}

/// The ids of the graph's nodes.
pub fn ids(workflow: &Workflow, given: Value) -> Vec<String> {
    graph(workflow, given).as_object().unwrap().keys().cloned().collect()
}

pub fn node(class: &str, inputs: Value) -> Value {
    json!({"class_type": class, "inputs": inputs})
}

/// A block of one node `n` with these inputs, which exports its first output under this name.
pub fn block(inputs: Value, imports: &[&str], export: &str) -> Value {
    json!({"nodes": {"n": node("T", inputs)}, "imports": imports, "exports": {export: {"node": "n", "output": 0}}})
}
