//! `comfy-runner init`

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use comfy_runner_manifest::{Diagnostic, MANIFEST_FILE, refuse_id};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::{Scaffold, scaffold_file};

use super::{saved, schemas};
use crate::cli::Init;
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
    let saved = saved::read(&options.file)?;
    let why = "finding a workflow's inputs needs node schemas, which say what each value is";
    let schemas = schemas::needed(&options.schemas, why)?;
    let made = scaffold_file(saved, &schemas, id)
        .with_context(|| format!("cannot make a workflow of {}", options.file.display()))?;
    check(&made, &schemas, id)?;
    write(library, &folder, &made)?;
    report(&made, &folder);
    Ok(ExitCode::SUCCESS)
}

/// The library's own check. What this ComfyUI lacks is printed, but no reason to stop: models come later.
fn check(made: &Scaffold, schemas: &ObjectInfo, id: &str) -> anyhow::Result<()> {
    let listed =
        |problems: &[Diagnostic]| problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>();
    match made.check(schemas, id) {
        Ok((_, warnings)) => {
            warnings.iter().for_each(|problem| errln!("{id}/{problem}"));
            Ok(())
        }
        Err(problems) => bail!("no workflow can be made of this graph:{}", listed(&problems)),
    }
}

/// Writes the folder whole or not at all.
fn write(library: &Path, folder: &Path, made: &Scaffold) -> anyhow::Result<()> {
    let written = || format!("cannot write {}", folder.display());
    fs::create_dir_all(library).with_context(written)?;
    // A name that no workflow can have, so that nobody reads it half written.
    let mut part = tempfile::Builder::new();
    part.prefix(".init-");
    #[cfg(unix)]
    // What the umask leaves of it, as for any new folder.
    part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let part = part.tempdir_in(library).with_context(written)?;
    fs::write(part.path().join(MANIFEST_FILE), &made.manifest).with_context(written)?;
    fs::write(part.path().join("workflow.json"), format!("{}\n", made.graph)).with_context(written)?;
    fs::rename(part.path(), folder).with_context(written)?;
    // It is no temporary folder any more.
    let _ = part.keep();
    Ok(())
}

fn report(made: &Scaffold, folder: &Path) {
    for (node, class) in &made.unknown {
        errln!("warning: node {node}: type \"{class}\" has no schema; no inputs were looked for in it");
    }
    for entry in &made.missing {
        errln!("warning: App mode names {entry}, which is not in the graph; it was left out");
    }
    if made.inputs == 0 {
        errln!("warning: no inputs were found; add them to the manifest");
    }
    outln!("{}", folder.join(MANIFEST_FILE).display());
}
