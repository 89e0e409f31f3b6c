//! `comfy-runner build`

use std::process::ExitCode;

use anyhow::Context as _;
use comfy_runner_workflow::ui::from_api::from_api;

use super::{request, schemas};
use crate::assembly::assemble_for_show;
use crate::cli::{Build, GraphFormat};

pub fn build(options: Build) -> anyhow::Result<ExitCode> {
    let needed = || schemas::needed(&options.schemas, "node schemas say what is in it");
    let (workflow, params) = request::read(&options.request, needed)?;
    let assembled = assemble_for_show(&workflow, &params)?.assembled;
    if options.format == GraphFormat::Api {
        println!("{}", assembled.graph);
        return Ok(ExitCode::SUCCESS);
    }
    let schemas = schemas::needed(&options.schemas, "node schemas say what a node looks like in the editor")?;
    let drawing = from_api(&assembled.graph, &schemas, &workflow.legend(&assembled))
        .context("the graph cannot be drawn")?;
    for remark in &drawing.remarks {
        eprintln!("warning: {remark}");
    }
    println!("{}", serde_json::to_string_pretty(&drawing.graph)?);
    Ok(ExitCode::SUCCESS)
}
