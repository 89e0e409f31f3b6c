//! `frontend-check screenshot`: takes a screenshot of a graph in the editor.

use std::fs;
use std::process::ExitCode;

use anyhow::Context;
use comfy_runner_editor::FrontendVersion;
use serde_json::Value;

use crate::Screenshot;
use crate::conversion::{frontend_version, schemas, to_workflow};
use crate::editor::Editor;

pub async fn run(options: Screenshot) -> anyhow::Result<ExitCode> {
    let file = options.graph.display();
    let mut graph = fs::read_to_string(&options.graph).with_context(|| format!("cannot read {file}"))?;
    let parsed: Value = serde_json::from_str(&graph).with_context(|| format!("{file} is not JSON"))?;
    if !parsed["nodes"].is_array() {
        let schemas = schemas(&options.source.object_info)?;
        let frontend = frontend_version(&options.source.frontend);
        let frontend = frontend.unwrap_or_else(|| FrontendVersion::detect(&schemas));
        graph = to_workflow(&parsed, &schemas, frontend)?;
    }
    let name = options.graph.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut editor = Editor::open(&options.source).await?;
    editor.resize(options.width, options.height).await?;
    let opened = editor.load(&name, &graph).await?.map_err(anyhow::Error::msg)?;
    for warning in &opened.warnings {
        eprintln!("the editor: {warning}");
    }
    fs::write(&options.out, editor.screenshot().await?)
        .with_context(|| format!("cannot write {}", options.out.display()))?;
    Ok(ExitCode::SUCCESS)
}
