//! Writes the folder of a new workflow, and the manifest of one that exists: complete, or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use comfy_runner_manifest::MANIFEST_FILE;

/// The graph's file, unless the manifest names another.
const GRAPH_FILE: &str = "workflow.json";

/// Writes a manifest and a graph as the workflow `id` of a library. The library's folder is created if it is missing.
///
/// # Errors
/// There is such a folder, or it cannot be written.
pub fn create(library: &Path, id: &str, manifest: &str, graph: &str) -> io::Result<()> {
    fs::create_dir_all(library)?;
    let folder = library.join(id);
    if folder.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // No workflow can have this name, so an incomplete folder is never read as one.
    let mut part = tempfile::Builder::new();
    part.prefix(".init-");
    #[cfg(unix)]
    // The umask applies, as for any new folder.
    part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let part = part.tempdir_in(library)?;
    fs::write(part.path().join(MANIFEST_FILE), manifest)?;
    fs::write(part.path().join(GRAPH_FILE), format!("{graph}\n"))?;
    fs::rename(part.path(), folder)?;
    // The folder has its final name.
    let _ = part.keep();
    Ok(())
}

/// Replaces the manifest in a workflow's folder. A link to the file stays one.
///
/// # Errors
/// There is no manifest, or it cannot be written.
pub fn replace_manifest(folder: &Path, manifest: &str) -> io::Result<()> {
    let file = folder.join(MANIFEST_FILE).canonicalize()?;
    let folder = file.parent().ok_or(io::ErrorKind::NotFound)?;
    let mut part = tempfile::Builder::new().prefix(".manifest-").tempfile_in(folder)?;
    part.write_all(manifest.as_bytes())?;
    part.as_file().set_permissions(fs::metadata(&file)?.permissions())?;
    // A file that has its name before its content would be empty after a power failure.
    part.as_file().sync_all()?;
    part.persist(file)?;
    Ok(())
}
