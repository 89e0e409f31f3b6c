//! Files with saved graphs.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use comfy_runner_editor::Saved;
use comfy_runner_editor::file::{SavedFile, read_saved};

use super::findings::Finding;
use crate::cli::GraphFormat;

/// Reads every graph of the file. A part of it that cannot be read is a finding.
pub fn read(file: &Path, findings: &mut Vec<Finding>) -> anyhow::Result<SavedFile> {
    let name = file.display();
    let mut opened = File::open(file).with_context(|| format!("cannot read {name}"))?;
    let saved = read_saved(&mut opened).with_context(|| format!("{name}"))?;
    findings.extend(saved.warning.iter().map(|warning| Finding::warning(file, format!("{name}: {warning}"))));
    Ok(saved)
}

/// Reads one graph. Of a file with both formats, the `wanted` one is read.
pub fn read_one(file: &Path, wanted: GraphFormat, findings: &mut Vec<Finding>) -> anyhow::Result<Saved> {
    let SavedFile { prompt, workflow, .. } = read(file, findings)?;
    let (prompt, workflow) = (prompt.map(Saved::Api), workflow.map(Saved::Ui));
    let one = if wanted == GraphFormat::Api { prompt.or(workflow) } else { workflow.or(prompt) };
    one.with_context(|| format!("{} has no graph", file.display()))
}
