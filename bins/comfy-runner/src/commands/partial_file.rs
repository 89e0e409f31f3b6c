//! A file that gets its name when it is complete.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use actix_web::web::Bytes;
use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;

/// Saves a stream in a folder, under this name or the name with a number where it is taken. Returns the path. The file has
/// a temporary name until it is complete: a broken download must not look like a result.
pub async fn save<E: Into<anyhow::Error>>(
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    folder: &Path,
    name: &str,
) -> anyhow::Result<PathBuf> {
    let cannot_write = || format!("cannot write to the folder {}", folder.display());
    let partial = PartialFile::new_in(folder).with_context(cannot_write)?;
    let mut written = tokio::fs::File::from_std(partial.open().with_context(cannot_write)?);
    while let Some(bytes) = body.next().await {
        written.write_all(&bytes.map_err(Into::into)?).await.with_context(cannot_write)?;
    }
    written.sync_all().await.with_context(cannot_write)?;
    partial.keep_under_free_name(folder, name).with_context(cannot_write)
}

/// A file under a temporary name, which is deleted unless it is kept.
pub struct PartialFile(NamedTempFile);

impl PartialFile {
    /// Creates the file in this folder under a unique name.
    pub fn new_in(folder: &Path) -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.suffix(".part");
        #[cfg(unix)]
        // The umask applies, as for any new file.
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        builder.tempfile_in(folder).map(Self)
    }

    /// Opens the file for writing.
    pub fn open(&self) -> io::Result<File> {
        self.0.reopen()
    }

    /// Gives the file this name, and replaces an existing file.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        self.0.persist(path)?;
        Ok(())
    }

    /// Gives the file its name, with a number if a file of that name exists. Returns the path.
    pub fn keep_under_free_name(self, folder: &Path, name: &str) -> io::Result<PathBuf> {
        let mut file = self.0;
        for name in candidates(name) {
            let path = folder.join(name);
            match file.persist_noclobber(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => file = error.file,
                Err(error) => return Err(error.error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

/// Returns `a.png`, `a_2.png`, `a_3.png` and so on. Control characters, separators and a leading dot become underscores.
fn candidates(name: &str) -> impl Iterator<Item = String> {
    let plain = |c: char| if c.is_control() || matches!(c, '/' | '\\') { '_' } else { c };
    let mut name: String = name.chars().map(plain).collect();
    if name.is_empty() || name.starts_with('.') {
        name.replace_range(..name.len().min(1), "_");
    }
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) => (stem.to_owned(), format!(".{extension}")),
        None => (name.clone(), String::new()),
    };
    std::iter::once(name).chain((2..10_000).map(move |n| format!("{stem}_{n}{extension}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_file_is_overwritten_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        for (number, taken) in ["x.png", "x.part", "x_2.png"].into_iter().enumerate() {
            std::fs::write(folder.path().join(taken), [number as u8]).unwrap();
        }
        let keep = |name: &str| {
            let file = PartialFile::new_in(folder.path()).unwrap();
            std::fs::write(file.0.path(), "new").unwrap();
            let path = file.keep_under_free_name(folder.path(), name).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"new");
            path.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(keep("x.png"), "x_3.png");
        assert_eq!(keep("x.part"), "x_2.part");
        assert_eq!(keep("y"), "y");
        assert_eq!(keep("y"), "y_2");
        for (number, taken) in ["x.png", "x.part", "x_2.png"].into_iter().enumerate() {
            assert_eq!(std::fs::read(folder.path().join(taken)).unwrap(), [number as u8], "{taken}");
        }
        drop(PartialFile::new_in(folder.path()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 7, "no temporary file is left");
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        std::fs::write(&path, "old").unwrap();
        let file = PartialFile::new_in(folder.path()).unwrap();
        std::fs::write(file.0.path(), "new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        file.replace(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_hostile_name_stays_in_the_folder_and_is_plain() {
        for (name, plain) in [
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("..", "_."),
            ("", "_"),
            (".bashrc", "_bashrc"),
            ("a\x1b[2J\n.png", "a_[2J_.png"),
            ("a\\b.png", "a_b.png"),
        ] {
            assert_eq!(candidates(name).next().as_deref(), Some(plain), "{name:?}");
        }
    }
}
