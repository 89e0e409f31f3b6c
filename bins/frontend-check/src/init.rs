//! `frontend-check init`: checks that the workflow that `comfy-runner init` creates from a template builds the same graph.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use comfy_runner_editor::{UiGraph, to_api};
use comfy_runner_manifest::{Diagnostic, InputKind, Manifest, NodeField, Params, Uploads};
use comfy_runner_protocol::{Graph, ObjectInfo};
use comfy_runner_workflow::{OutputFolder, Workflow, scaffold};
use serde_json::Value;

use crate::InitCheck;
use crate::conversion::schemas;
use crate::difference::differences;
use crate::templates::known_templates;

/// The number of differences that are printed for a template.
const SHOWN: usize = 5;

pub fn run(options: &InitCheck) -> anyhow::Result<ExitCode> {
    let schemas = schemas(&options.object_info)?;
    let mut templates = known_templates(&options.templates, &schemas)?;
    if !options.only.is_empty() {
        templates.retain(|template| options.only.contains(&template.name));
    }
    let (mut failed, mut unconverted) = (0, 0);
    for template in &templates {
        let saved: UiGraph = serde_json::from_str(&template.graph)?;
        // `compare` reports graphs that cannot be converted.
        let Ok(graph) = to_api(&saved, &schemas) else {
            unconverted += 1;
            continue;
        };
        let made = scaffold(&graph, Some(&saved), &schemas, "made");
        if let Some(folder) = &options.out {
            fs::create_dir_all(folder)?;
            fs::write(folder.join(format!("{}.yaml", template.name)), &made.manifest)?;
        }
        let wrong = match rebuilt(&made.manifest, &made.graph, &schemas) {
            Ok(built) => {
                differences(&comparable(&built.graph, &built.seeds)?, &comparable(&graph, &built.seeds)?)
            }
            Err(error) => vec![format!("{error:#}")],
        };
        if !wrong.is_empty() {
            failed += 1;
            println!("{}", template.name);
            wrong.iter().take(SHOWN).for_each(|line| println!("    {line}"));
        }
    }
    let count = templates.len() - unconverted;
    println!("init: {} of {count} templates build the graph that was saved", count - failed);
    if unconverted > 0 {
        println!("init: {unconverted} templates cannot be converted and were left out");
    }
    Ok(ExitCode::from(u8::from(failed > 0 || count == 0)))
}

struct Built {
    graph: Graph,
    /// The fields that get a new seed in each build.
    seeds: Vec<NodeField>,
}

/// Builds the workflow without params.
fn rebuilt(manifest: &str, graph: &Graph, schemas: &ObjectInfo) -> anyhow::Result<Built> {
    let (manifest, warnings) = Manifest::parse(manifest, "made").map_err(|problems| all(&problems))?;
    if !warnings.is_empty() {
        bail!(all(&warnings));
    }
    let compiled =
        Workflow::new(manifest, &graph.to_string(), Some(schemas)).map_err(|problems| all(&problems))?;
    if !compiled.warnings.is_empty() {
        bail!(all(&compiled.warnings));
    }
    let nothing = serde_json::Map::new();
    let params = Params::check(compiled.workflow.manifest(), &nothing, &Uploads::new(), &mut || 4711)?;
    let folder = OutputFolder::new(time::OffsetDateTime::UNIX_EPOCH, 0);
    let assembled = compiled.workflow.assemble(&params, &folder).context("assemble")?;
    let inputs = compiled.workflow.manifest().inputs.iter();
    let random = inputs.filter(|input| input.kind == InputKind::Seed && input.default == Some((-1).into()));
    let seeds = random.flat_map(|input| input.targets.clone()).collect();
    Ok(Built { graph: assembled.graph, seeds })
}

fn all(problems: &[Diagnostic]) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(Diagnostic::to_string).collect();
    anyhow::anyhow!(lines.join("\n    "))
}

/// Returns the graph without these seeds and without output folders, which differ in each build.
fn comparable(graph: &Graph, seeds: &[NodeField]) -> anyhow::Result<Value> {
    let mut graph = serde_json::to_value(graph)?;
    for (id, node) in graph.as_object_mut().into_iter().flatten() {
        let Some(inputs) = node["inputs"].as_object_mut() else { continue };
        let is_seed = |name: &str| seeds.iter().any(|seed| seed.node == *id && seed.field == name);
        inputs.retain(|name, _| name != "filename_prefix" && !is_seed(name));
    }
    Ok(graph)
}
