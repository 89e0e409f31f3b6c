//! A workflow's folder, and the files read from it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::diagnostic::{Diagnostic, DiagnosticKind};

/// The largest file that is read, in bytes. Graphs of thousands of nodes have one or two million.
pub const LARGEST_FILE: u64 = 16 << 20;

/// A file that was changed less than this before it was read may change again without a new time stamp: some file
/// systems store time stamps with a resolution of one or two seconds.
const RACY: Duration = Duration::from_secs(2);

/// A workflow's folder while it is being compiled. Every read is recorded, so that a later change is detected.
#[derive(Debug)]
pub struct WorkflowDir {
    id: String,
    path: PathBuf,
    seen: Vec<Seen>,
}

/// The state of a file when it was read, or found missing.
#[derive(Debug)]
struct Seen {
    /// The name, relative to the folder, or to the folder that contains it.
    file: String,
    place: Place,
    stamp: Option<Stamp>,
    /// Whether the file may have changed since without a new stamp.
    racy: bool,
    /// A digest of the content, or of the reason why it could not be read.
    digest: u64,
}

/// Where a file lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the workflow's folder.
    Inside,
    /// Beside that folder.
    Beside,
}

/// Metadata that changes with the file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl WorkflowDir {
    /// Returns the folder of the workflow with this id.
    pub fn new(id: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { id: id.into(), path: path.into(), seen: Vec::new() }
    }

    /// Returns the workflow's id: the folder's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a text file in the folder. `file` is relative to it, with `/` between its parts.
    ///
    /// Only a regular file is opened: a FIFO, a device or a socket is refused.
    ///
    /// # Errors
    /// A path that is absolute or leads out of the folder (also by way of a link), and a file that is missing, not a
    /// regular file, larger than [`LARGEST_FILE`], or not UTF-8.
    pub fn read(&mut self, file: &str) -> Result<String, Diagnostic> {
        let path = self.locate(file)?;
        self.read_seen(file, Place::Inside, &path)
    }

    /// Reads a text file beside the workflow's folder, which workflows share. Returns `None` if there is none.
    ///
    /// # Errors
    /// Those of [`WorkflowDir::read`], with the folder that contains the workflow's. Diagnostics have `../` before the
    /// name.
    pub fn read_beside(&mut self, file: &str) -> Result<Option<String>, Diagnostic> {
        self.locate(file)?;
        let path = self.path_of(file, Place::Beside);
        let missing = fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        let text = self.read_seen(file, Place::Beside, &path);
        if missing { Ok(None) } else { text.map(Some) }
    }

    /// Reads a file and records its state.
    fn read_seen(&mut self, file: &str, place: Place, path: &Path) -> Result<String, Diagnostic> {
        // Before reading: a change from now on has another stamp, or is racy.
        let (stamp, racy) = Stamp::now(path);
        let text = match place {
            Place::Inside => read_path(file, path, &self.path),
            Place::Beside => read_path(&format!("../{file}"), path, path.parent().unwrap_or(path)),
        };
        self.seen.push(Seen { file: file.to_owned(), place, stamp, racy, digest: digest(&text) });
        text
    }

    /// Reads a text file in the folder that need not be there: `None` if it is not.
    ///
    /// # Errors
    /// Those of [`WorkflowDir::read`], for a file that is there.
    pub fn read_optional(&mut self, file: &str) -> Result<Option<String>, Diagnostic> {
        let read = self.read(file);
        match read {
            Err(_)
                if fs::symlink_metadata(self.locate(file)?)
                    .is_err_and(|e| e.kind() == io::ErrorKind::NotFound) =>
            {
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    fn path_of(&self, file: &str, place: Place) -> PathBuf {
        match place {
            Place::Inside => self.path.join(file),
            // By name, as the folder may be a link.
            Place::Beside => self.path.with_file_name(file),
        }
    }

    /// Returns the path of a file in the folder, if the name does not lead out of it.
    fn locate(&self, file: &str) -> Result<PathBuf, Diagnostic> {
        let plain = !file.is_empty() && !file.contains(['\\', '\0']);
        let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if plain && inside {
            Ok(self.path.join(file))
        } else {
            let message = format!("{file:?} must be a plain path inside the workflow's folder, without `..`");
            Err(Diagnostic::error(DiagnosticKind::File, file, message))
        }
    }

    /// Returns whether all files that were read are unchanged. Costs one `stat` for each file.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.seen
            .iter()
            .all(|seen| !seen.racy && Stamp::read(&self.path_of(&seen.file, seen.place)) == seen.stamp)
    }

    /// Reads files again that changed just before they were read, or whose stamp has changed. Returns the folder with
    /// new stamps if their contents are unchanged, `None` otherwise.
    pub(crate) fn reread(&self) -> Option<Self> {
        let mut again = Self::new(self.id.as_str(), self.path.as_path());
        for seen in &self.seen {
            // A failure to read is compared as well.
            let _text = match seen.place {
                Place::Inside => again.read(&seen.file).map(Some),
                Place::Beside => again.read_beside(&seen.file),
            };
            if again.seen.last().is_none_or(|now| now.digest != seen.digest) {
                return None;
            }
        }
        Some(again)
    }
}

/// Reads a text file. `root` is the folder that it must not lead out of.
fn read_path(file: &str, path: &Path, root: &Path) -> Result<String, Diagnostic> {
    let refuse = |message: String| Diagnostic::error(DiagnosticKind::File, file, message);
    let cannot = |error: io::Error| refuse(io_reason(&error));
    let path = path.canonicalize().map_err(cannot)?;
    if !path.starts_with(folder_of(root).canonicalize().map_err(cannot)?) {
        return Err(refuse("this is a link that leads out of the workflow's folder".to_owned()));
    }
    let Some(open) = open_regular_file(&path).map_err(cannot)? else {
        return Err(refuse("this is not a regular file".to_owned()));
    };
    let mut bytes = Vec::new();
    // The limit holds while reading, as a file may grow after it was measured.
    open.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let message = format!("the file has more than {LARGEST_FILE} bytes, which is the limit");
        return Err(Diagnostic::error(DiagnosticKind::Limit, file, message));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| refuse("the file is not UTF-8 text".to_owned()))?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

impl Stamp {
    /// Returns the stamp, and whether the file may change again without a new stamp.
    fn now(path: &Path) -> (Option<Self>, bool) {
        let stamp = Self::read(path);
        let age = |stamp: Self| {
            let (now, modified) = (SystemTime::now(), stamp.modified?);
            Some(now.duration_since(modified).unwrap_or_else(|error| error.duration()))
        };
        (stamp, stamp.and_then(age).is_some_and(|age| age < RACY))
    }

    fn read(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: metadata.modified().ok(), length: metadata.len(), inode })
    }
}

/// Opens a file for reading if it is a regular one. Nothing else is opened: opening a FIFO waits for a writer, and
/// opening a device may have side effects.
fn open_regular_file(path: &Path) -> io::Result<Option<fs::File>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(None);
    }
    let mut options = fs::OpenOptions::new();
    options.read(true);
    // The file may have been replaced since: a link is not followed, a FIFO not waited for.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let open = options.open(path)?;
    Ok(open.metadata()?.is_file().then_some(open))
}

fn digest(text: &Result<String, Diagnostic>) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.as_ref().map_err(|problem| &problem.message).hash(&mut hasher);
    hasher.finish()
}

/// Returns the folder as a path that can be opened: that of a relative name without a folder is empty.
fn folder_of(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Returns why a file could not be read, without the server's path.
fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    }
}
