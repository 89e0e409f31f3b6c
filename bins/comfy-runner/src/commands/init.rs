//! `comfy-runner init`

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use comfy_runner_manifest::{Diagnostic, Diagnostics, MANIFEST_FILE, Manifest, refuse_id};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Scaffold, Workflow, scaffold_file};
use serde::Serialize;

use super::findings::{Finding, print_warnings};
use super::{saved, schemas};
use crate::cli::Init;
use crate::terminal::{errln, outln};
use crate::workflow_folder;

/// The output of `--json`.
#[derive(Serialize)]
struct Written<'a> {
    manifest: &'a Path,
    /// The number of inputs.
    inputs: usize,
    findings: &'a [Finding],
}

pub fn init(options: Init) -> anyhow::Result<ExitCode> {
    let (id, library) = (&options.id, &options.workflows.dir);
    if let Some(reason) = refuse_id(id) {
        bail!(reason);
    }
    let folder = library.join(id);
    if folder.symlink_metadata().is_ok() {
        bail!("{} is there already; choose another id, or move that folder away", folder.display());
    }
    let mut findings = Vec::new();
    let saved = saved::read(&options.file, &mut findings)?;
    let why = "finding a workflow's inputs needs node schemas, which say what each value is";
    let schemas = schemas::needed(&options.schemas, why)?;
    let made = scaffold_file(saved, &schemas, id)
        .inspect_err(|_| print_warnings(&findings))
        .with_context(|| format!("cannot make a workflow from {}", options.file.display()))?;
    let (workflow, warnings) = check(&made, &schemas, id)?;
    workflow_folder::create(library, id, &made.manifest, &made.graph.to_string())
        .with_context(|| format!("cannot write {}", folder.display()))?;
    let manifest = folder.join(MANIFEST_FILE);
    findings.extend(left_out(&made).map(|message| Finding::warning(&manifest, message)));
    if options.json {
        findings.extend(warnings.iter().map(|warning| Finding::new(&folder, warning).into_warning()));
        let written = Written { manifest: &manifest, inputs: made.inputs, findings: &findings };
        outln!("{}", serde_json::to_string_pretty(&written)?);
    } else {
        for warning in &warnings {
            errln!("{}", Finding::new(&folder, warning).into_warning());
        }
        print_warnings(&findings);
        outln!("{}", manifest.display());
        errln!("{}", summary(workflow.manifest(), findings.len() + warnings.len()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what was written, and what to do next.
fn summary(manifest: &Manifest, warnings: usize) -> String {
    let ids: Vec<_> = manifest.inputs.iter().map(|input| input.id.as_str()).collect();
    let inputs = match ids.as_slice() {
        [] => "no inputs".to_owned(),
        [one] => format!("1 input ({one})"),
        several => format!("{} inputs ({})", several.len(), several.join(", ")),
    };
    let warnings = match warnings {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        several => format!(", {several} warnings"),
    };
    let id = &manifest.id;
    format!("created \"{id}\" with {inputs}{warnings}; run it with `comfy-runner run {id}`")
}

/// Validates the folder as the library would. What this ComfyUI lacks is a warning: models can be installed later.
fn check(made: &Scaffold, schemas: &ObjectInfo, id: &str) -> anyhow::Result<(Workflow, Diagnostics)> {
    let listed = |diagnostics: &[Diagnostic]| {
        diagnostics.iter().map(|diagnostic| format!("\n  {diagnostic}")).collect::<String>()
    };
    match made.check(schemas, id) {
        Ok(checked) => Ok(checked),
        Err(diagnostics) => bail!("no workflow can be made of this graph:{}", listed(&diagnostics)),
    }
}

/// Returns a sentence for each thing that the manifest leaves out, and one if it has no inputs.
fn left_out(made: &Scaffold) -> impl Iterator<Item = String> {
    let none = (made.inputs == 0).then(|| "no inputs were found; add them to the manifest".to_owned());
    made.left_out().chain(none)
}
