//! One workflow's folder, and what was read of it.

use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::problem::{Problem, ProblemKind};

/// The largest file that is read, in bytes. Graphs of thousands of nodes have one or two million.
pub const LARGEST_FILE: u64 = 16 << 20;

/// A file that was changed less than this before it was read may change again without a trace in its time: some file
/// systems count whole seconds or two.
const RACY: Duration = Duration::from_secs(2);

/// A workflow's folder while it is being compiled. Every read is remembered, so that a later change is seen.
#[derive(Debug)]
pub struct Folder {
    id: String,
    path: PathBuf,
    seen: Vec<Seen>,
}

/// A file or directory as it was when it was read, or found missing.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    stamp: Option<Stamp>,
    racy: bool,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Folder {
    /// The folder of the workflow of this id.
    pub fn new(id: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { id: id.into(), path: path.into(), seen: Vec::new() }
    }

    /// The workflow's id: the folder's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a text file in the folder. `file` is relative to it, with `/` between its parts.
    ///
    /// # Errors
    /// A path that is absolute or leads out of the folder (also by way of a link), a file that is missing, too large
    /// or not UTF-8.
    pub fn read(&mut self, file: &str) -> Result<String, Problem> {
        let refuse = |message: String| Problem::error(ProblemKind::File, file, message);
        let path = self.locate(file)?;
        self.see(&path);
        let open = fs::File::open(&path).and_then(|open| {
            let metadata = open.metadata()?;
            Ok((open, metadata))
        });
        let (open, metadata) = open.map_err(|error| refuse(io_reason(&error)))?;
        let (home, real) = (self.path.canonicalize(), path.canonicalize());
        if !matches!((&home, &real), (Ok(home), Ok(real)) if real.starts_with(home)) {
            return Err(refuse("this is a link that leads out of the workflow's folder".to_owned()));
        }
        if !metadata.is_file() {
            return Err(refuse("this is not a file".to_owned()));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(LARGEST_FILE)).unwrap_or(0));
        // The limit holds while reading, as a file may grow after it was measured.
        open.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(|error| refuse(io_reason(&error)))?;
        if bytes.len() as u64 > LARGEST_FILE {
            let message = format!("the file has more than {LARGEST_FILE} bytes, which is the limit");
            return Err(Problem::error(ProblemKind::Limit, file, message));
        }
        let mut text =
            String::from_utf8(bytes).map_err(|_| refuse("the file is not UTF-8 text".to_owned()))?;
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Ok(text)
    }

    /// The path of a file in the folder, if the name stays in it.
    fn locate(&self, file: &str) -> Result<PathBuf, Problem> {
        let plain = !file.is_empty() && !file.contains(['\\', '\0']);
        let inside = Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
        if plain && inside {
            Ok(self.path.join(file))
        } else {
            let message = format!("{file:?} must be a plain path inside the workflow's folder, without `..`");
            Err(Problem::error(ProblemKind::File, file, message))
        }
    }

    fn see(&mut self, path: &Path) {
        let stamp = Stamp::of(path);
        // Before reading: a change from now on has another stamp, or is racy.
        let recent = |stamp: Stamp| {
            let (now, modified) = (SystemTime::now(), stamp.modified?);
            let apart = now.duration_since(modified).unwrap_or_else(|error| error.duration());
            Some(apart < RACY)
        };
        let racy = stamp.and_then(recent).unwrap_or(false);
        self.seen.push(Seen { path: path.to_owned(), stamp, racy });
    }

    /// Whether everything that was read is still as it was. Costs one `stat` for each file.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.seen.iter().all(|seen| !seen.racy && Stamp::of(&seen.path) == seen.stamp)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Some(Self { modified: metadata.modified().ok(), length: metadata.len(), inode })
    }
}

/// Why a file could not be read, without the server's path.
fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    }
}
