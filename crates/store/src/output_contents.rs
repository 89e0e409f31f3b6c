//! Sizes and hashes of outputs, which ComfyUI does not know: each file was read once.

use comfy_runner_protocol::OutputFile;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::Failure;

type Result<T> = std::result::Result<T, Failure>;

/// The size and hash of an output's content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputContent {
    /// The hash.
    pub hash: String,
    /// The size in bytes.
    pub size: u64,
}

impl OutputContent {
    /// Creates a description.
    pub fn new(hash: impl Into<String>, size: u64) -> Self {
        Self { hash: hash.into(), size }
    }
}

/// Records the content of a job's output. Returns whether there is such a job.
pub(crate) fn record(
    db: &Connection,
    prompt_id: &str,
    file: &OutputFile,
    content: &OutputContent,
) -> Result<bool> {
    let size = i64::try_from(content.size).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(
        "INSERT OR REPLACE INTO output_contents (seq, kind, subfolder, filename, hash, size) \
         SELECT seq, ?, ?, ?, ?, ? FROM jobs WHERE prompt_id = ?",
    )?;
    let added = statement.execute(params![
        file.kind,
        file.subfolder,
        file.filename,
        content.hash,
        size,
        prompt_id
    ])?;
    Ok(added > 0)
}

/// Returns the content of a job's output.
pub(crate) fn get(db: &Connection, prompt_id: &str, file: &OutputFile) -> Result<Option<OutputContent>> {
    let mut statement = db.prepare_cached(
        "SELECT hash, size FROM output_contents WHERE seq = (SELECT seq FROM jobs WHERE prompt_id = ?) \
         AND kind = ? AND subfolder = ? AND filename = ?",
    )?;
    let found = statement.query_row(params![prompt_id, file.kind, file.subfolder, file.filename], |row| {
        let size = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
        Ok(OutputContent::new(row.get::<_, String>(0)?, size))
    });
    Ok(found.optional()?)
}
