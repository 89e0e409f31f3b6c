//! `comfy-runner init`

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use comfy_runner_manifest::{MANIFEST_FILE, Manifest, Problem, refuse_id};
use comfy_runner_protocol::{Graph, ObjectInfo};
use comfy_runner_workflow::{Draft, Workflow, draft, validate};

use super::{saved, schemas};
use crate::cli::{GraphFormat, Init};
use crate::terminal::{errln, outln};

pub fn init(options: Init) -> anyhow::Result<ExitCode> {
    let (id, library) = (&options.id, &options.workflows.dir);
    if let Some(reason) = refuse_id(id) {
        bail!(reason);
    }
    let folder = library.join(id);
    if folder.symlink_metadata().is_ok() {
        bail!("{} is there already; choose another id, or move that folder away", folder.display());
    }
    let saved = saved::read(&options.file, GraphFormat::Api)?;
    let why = "finding a workflow's inputs needs node schemas, which say what each value is";
    let schemas = schemas::needed(&options.schemas, why)?;
    let graph = saved
        .into_prompt(Some(&schemas))
        .with_context(|| format!("cannot convert {}", options.file.display()))?;
    if graph.is_empty() {
        bail!("{} has no nodes; save a graph that runs", options.file.display());
    }
    let draft = draft(&graph, &schemas, id);
    check(&draft, &graph, &schemas, id)?;
    write(library, &folder, &draft.manifest, &graph)?;
    report(&draft, &folder);
    Ok(ExitCode::SUCCESS)
}

/// The library's own check. What this ComfyUI lacks is told, but no reason to stop: models come later.
fn check(draft: &Draft, graph: &Graph, schemas: &ObjectInfo, id: &str) -> anyhow::Result<()> {
    let compiled = Manifest::parse(&draft.manifest, id).and_then(|(manifest, mut warnings)| {
        let compiled = Workflow::new(manifest, &graph.to_string(), None)?;
        warnings.extend(compiled.warnings);
        Ok((compiled.workflow, warnings))
    });
    let told =
        |problems: &[Problem]| problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    match compiled {
        Ok((workflow, warnings)) => {
            for problem in warnings.iter().chain(&validate(&workflow, schemas)) {
                errln!("{id}/{problem}");
            }
            Ok(())
        }
        Err(problems) => bail!("no workflow can be made of this graph:{}", told(&problems)),
    }
}

/// Writes the folder whole or not at all.
fn write(library: &Path, folder: &Path, manifest: &str, graph: &Graph) -> anyhow::Result<()> {
    let written = || format!("cannot write {}", folder.display());
    fs::create_dir_all(library).with_context(written)?;
    // A name that no workflow can have, so that nobody reads it half written.
    let mut part = tempfile::Builder::new();
    part.prefix(".init-");
    #[cfg(unix)]
    // What the umask leaves of it, as for any new folder.
    part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let part = part.tempdir_in(library).with_context(written)?;
    fs::write(part.path().join(MANIFEST_FILE), manifest).with_context(written)?;
    fs::write(part.path().join("workflow.json"), format!("{graph}\n")).with_context(written)?;
    fs::rename(part.path(), folder).with_context(written)?;
    // It is no temporary folder any more.
    let _ = part.keep();
    Ok(())
}

fn report(draft: &Draft, folder: &Path) {
    for (node, class) in &draft.unknown {
        errln!("warning: node {node}: type \"{class}\" has no schema; no inputs were looked for in it");
    }
    if draft.inputs == 0 {
        errln!("warning: no inputs were found; add them to the manifest");
    }
    outln!("{}", folder.join(MANIFEST_FILE).display());
}
