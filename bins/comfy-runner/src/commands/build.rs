//! `comfy-runner build`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_runner_workflow::OutputFolder;

use super::findings::print_warnings;
use super::ui_format::to_ui_format;
use super::{request, schemas};
use crate::cli::{Build, GraphFormat};
use crate::terminal::outln;

pub fn build(options: Build) -> anyhow::Result<ExitCode> {
    let needed = || schemas::needed(&options.schemas, "node schemas say what is in it");
    let (workflow, params) = request::read(&options.request, needed)?;
    let assembled = workflow.request(&params).folder(OutputFolder::fixed()).assemble()?;
    if options.format == GraphFormat::Api {
        outln!("{}", assembled.graph);
        return Ok(ExitCode::SUCCESS);
    }
    let schemas = schemas::needed(&options.schemas, "node schemas say what a node looks like in the editor")?;
    let mut warnings = Vec::new();
    let annotations = workflow.annotations(&assembled);
    let file = Path::new(&options.request.id);
    let graph = to_ui_format(&assembled.graph, &schemas, &annotations, file, &mut warnings)
        .context("the graph cannot be converted to UI format")?;
    print_warnings(&warnings);
    outln!("{graph}");
    Ok(ExitCode::SUCCESS)
}
