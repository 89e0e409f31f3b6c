//! ComfyUI's folders, where the server can reach them: ComfyUI deletes no files over HTTP.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use comfy_runner_workflow::OutputFolder;

/// ComfyUI's folders on this machine.
#[derive(Debug, Clone, Default)]
pub struct ComfyUiFolders {
    /// The input folder.
    pub input: Option<PathBuf>,
    /// The output folder.
    pub output: Option<PathBuf>,
}

/// A folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{option} {} is not a folder", .path.display())]
pub struct NotAFolder {
    option: &'static str,
    path: PathBuf,
}

impl ComfyUiFolders {
    /// Checks that each is a folder.
    pub fn check(&self) -> Result<(), NotAFolder> {
        let folders = [("--comfyui-input-dir", &self.input), ("--comfyui-output-dir", &self.output)];
        for (option, path) in folders {
            if let Some(path) = path.as_ref().filter(|path| !path.is_dir()) {
                return Err(NotAFolder { option, path: path.clone() });
            }
        }
        Ok(())
    }
}

/// Deletes a file in a folder, and returns whether it was there.
///
/// # Errors
/// The name has more than one part, it is that of a folder or link, or the file system refuses.
pub fn delete_file(folder: &Path, name: &str) -> io::Result<bool> {
    if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\\', ':', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name is not that of a file"));
    }
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is not a regular file")),
        Ok(_) => {}
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        deleted => deleted.map(|()| true),
    }
}

/// Deletes a job's folder below ComfyUI's output folder with everything in it, and returns the number of files. Links are
/// deleted, and not followed.
///
/// # Errors
/// The folder is a link or a file, or the file system refuses.
pub fn delete_job_folder(output: &Path, folder: &OutputFolder) -> io::Result<u64> {
    let path = output.join(folder.as_str());
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
        Ok(found) if !found.is_dir() => return Err(io::Error::other("the job's folder is not a folder")),
        Ok(_) => {}
    }
    let files = count_files(&path)?;
    fs::remove_dir_all(path)?;
    Ok(files)
}

/// Returns the number of files below a folder.
fn count_files(folder: &Path) -> io::Result<u64> {
    let (mut folders, mut files) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => files += 1,
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_directly_in_the_folder_is_deleted() {
        let root = tempfile::tempdir().unwrap();
        let input = root.path().join("input");
        fs::create_dir_all(input.join("sub")).unwrap();
        for file in ["a.png", "sub/b.png", "../outside.png"] {
            fs::write(input.join(file), "x").unwrap();
        }
        for name in ["", ".", "..", "../outside.png", "sub/b.png", "sub\\b.png", "/etc/passwd", "C:a", "sub"]
        {
            assert!(delete_file(&input, name).is_err(), "{name}");
        }
        assert!(delete_file(&input, "a.png").unwrap());
        assert!(!delete_file(&input, "a.png").unwrap());
        assert!(root.path().join("outside.png").exists() && input.join("sub/b.png").exists());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (output, elsewhere) = (root.path().join("output"), root.path().join("elsewhere"));
        fs::create_dir_all(&output).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        fs::write(elsewhere.join("keep.png"), "x").unwrap();
        let link = |at: &Path| std::os::unix::fs::symlink(&elsewhere, at).unwrap();
        link(&output.join("20260324_143052_a1b2c3"));
        let linked = OutputFolder::parse("20260324_143052_a1b2c3").unwrap();
        assert!(delete_job_folder(&output, &linked).is_err());
        let own = OutputFolder::parse("20260324_143052_a1b2c4").unwrap();
        let folder = output.join(own.as_str());
        fs::create_dir_all(folder.join("final")).unwrap();
        fs::write(folder.join("final/a.png"), "x").unwrap();
        link(&folder.join("link"));
        assert_eq!(delete_job_folder(&output, &own).unwrap(), 2);
        assert!(!folder.exists() && elsewhere.join("keep.png").exists());
        assert_eq!(delete_job_folder(&output, &own).unwrap(), 0);
        fs::write(output.join("linked.png"), "x").unwrap();
        link(&output.join("file-link"));
        assert!(delete_file(&output, "file-link").is_err());
    }

    #[test]
    fn a_folder_that_is_none_is_named() {
        let folders = ComfyUiFolders { input: None, output: Some("/no/such/folder".into()) };
        let error = folders.check().unwrap_err().to_string();
        assert_eq!(error, "--comfyui-output-dir /no/such/folder is not a folder");
        assert!(ComfyUiFolders::default().check().is_ok());
    }
}
