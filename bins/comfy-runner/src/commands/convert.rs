//! `comfy-runner convert`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_runner_editor::diagnostics::{invalid_values, unrendered_views};
use comfy_runner_editor::{Annotations, Saved};
use serde::Serialize;
use serde_json::value::RawValue;

use super::findings::{Finding, print_warnings};
use super::partial_file::PartialFile;
use super::ui_format::to_ui_format;
use super::{saved, schemas};
use crate::cli::{Convert, GraphFormat};
use crate::terminal::outln;

/// The output of `--json`.
#[derive(Serialize)]
struct Converted<'a> {
    /// The graph, unless it was written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    graph: Option<&'a RawValue>,
    /// The file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Path>,
    findings: &'a [Finding],
}

pub fn convert(options: Convert) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    let graph = converted(&options, &mut findings).inspect_err(|_| print_warnings(&findings))?;
    if let Some(file) = &options.output {
        write(file, &graph).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if options.json {
        let raw = serde_json::from_str(&graph)?;
        let graph = options.output.is_none().then_some(raw);
        let converted = Converted { graph, output: options.output.as_deref(), findings: &findings };
        outln!("{}", serde_json::to_string(&converted)?);
        return Ok(ExitCode::SUCCESS);
    }
    print_warnings(&findings);
    if options.output.is_none() {
        outln!("{graph}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the graph in the requested format, as JSON.
fn converted(options: &Convert, findings: &mut Vec<Finding>) -> anyhow::Result<String> {
    let file = &options.file;
    let cannot_convert = || format!("cannot convert {}", file.display());
    Ok(match (saved::read_one(file, options.to, findings)?, options.to) {
        (Saved::Api(graph), GraphFormat::Api) => graph.to_string(),
        (Saved::Ui(graph), GraphFormat::Workflow) => serde_json::to_string_pretty(&graph)?,
        (ui @ Saved::Ui(_), GraphFormat::Api) => {
            let why = "converting to API format needs node schemas, which name the values";
            let schemas = schemas::needed(&options.schemas, why)?;
            let graph = ui.into_prompt(Some(&schemas)).with_context(cannot_convert)?;
            findings.extend(
                invalid_values(&graph, &schemas).into_iter().map(|found| Finding::warning(file, found)),
            );
            findings.extend(
                unrendered_views(&graph, &schemas).into_iter().map(|found| Finding::warning(file, found)),
            );
            graph.to_string()
        }
        (Saved::Api(graph), GraphFormat::Workflow) => {
            let why = "converting to UI format needs node schemas, which describe how nodes look";
            let schemas = schemas::needed(&options.schemas, why)?;
            to_ui_format(&graph, &schemas, &Annotations::default(), file, findings)
                .with_context(cannot_convert)?
        }
    })
}

/// Writes the complete file, or leaves an existing one unchanged.
fn write(file: &Path, graph: &str) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let partial = PartialFile::new_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(partial.open()?, "{graph}")?;
    Ok(partial.replace(file)?)
}
