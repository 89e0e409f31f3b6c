//! `comfy-runner convert`

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_runner_editor::diagnostics::{invalid_values, unrendered_views};
use comfy_runner_editor::{Annotations, Saved};

use super::ui_format::to_ui_format;
use super::{saved, schemas};
use crate::cli::{Convert, GraphFormat};
use crate::terminal::{errln, outln};

pub fn convert(options: Convert) -> anyhow::Result<ExitCode> {
    let name = options.file.display();
    let graph = match (saved::read_one(&options.file, options.to)?, options.to) {
        (Saved::Api(graph), GraphFormat::Api) => graph.to_string(),
        (Saved::Ui(graph), GraphFormat::Workflow) => serde_json::to_string_pretty(&graph)?,
        (ui @ Saved::Ui(_), GraphFormat::Api) => {
            let why = "converting to API format needs node schemas, which name the values";
            let schemas = schemas::needed(&options.schemas, why)?;
            let graph = ui.into_prompt(Some(&schemas)).with_context(|| format!("cannot convert {name}"))?;
            for invalid in invalid_values(&graph, &schemas) {
                errln!("warning: {invalid}");
            }
            for view in unrendered_views(&graph, &schemas) {
                errln!("warning: {view}");
            }
            graph.to_string()
        }
        (Saved::Api(graph), GraphFormat::Workflow) => {
            let why = "converting to UI format needs node schemas, which say what a node looks like";
            let schemas = schemas::needed(&options.schemas, why)?;
            to_ui_format(&graph, &schemas, &Annotations::default())
                .with_context(|| format!("cannot convert {name}"))?
        }
    };
    match &options.output {
        None => outln!("{graph}"),
        Some(file) => write(file, &graph).with_context(|| format!("cannot write {}", file.display()))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the whole file or nothing.
fn write(file: &Path, graph: &str) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut part = tempfile::Builder::new();
    #[cfg(unix)]
    // What the umask leaves of it, as for any new file.
    part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut part = part.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    writeln!(part, "{graph}")?;
    part.persist(file)?;
    Ok(())
}
