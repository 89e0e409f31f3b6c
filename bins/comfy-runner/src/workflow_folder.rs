//! Writes the folder of a new workflow: complete, or not at all.

use std::fs;
use std::io;
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
