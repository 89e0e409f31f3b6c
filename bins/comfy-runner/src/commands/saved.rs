//! A file with a graph that somebody saved.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use comfy_runner_editor::Saved;
use comfy_runner_editor::file::{SavedFile, read_saved};

use crate::cli::GraphFormat;
use crate::terminal::errln;

/// Reads every graph of the file.
pub fn read(file: &Path) -> anyhow::Result<SavedFile> {
    let name = file.display();
    let mut opened = File::open(file).with_context(|| format!("cannot read {name}"))?;
    let saved = read_saved(&mut opened).with_context(|| format!("{name}"))?;
    if let Some(warning) = &saved.warning {
        errln!("warning: {name}: {warning}");
    }
    Ok(saved)
}

/// Reads one graph: of a file that has both formats, the one that is `wanted`.
pub fn read_one(file: &Path, wanted: GraphFormat) -> anyhow::Result<Saved> {
    let SavedFile { prompt, workflow, .. } = read(file)?;
    let (prompt, workflow) = (prompt.map(Saved::Api), workflow.map(Saved::Ui));
    let one = if wanted == GraphFormat::Api { prompt.or(workflow) } else { workflow.or(prompt) };
    one.with_context(|| format!("{} has no graph", file.display()))
}
