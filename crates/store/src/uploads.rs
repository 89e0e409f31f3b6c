//! Records of uploaded files.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::error::Failure;

type Result<T> = std::result::Result<T, Failure>;

/// A file that was uploaded to ComfyUI's input folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upload {
    /// The name under which ComfyUI stored it.
    pub filename: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was uploaded, in milliseconds since the Unix epoch.
    pub uploaded_at: i64,
    /// The hash of its content, if it is in the file store: its name there.
    pub hash: Option<String>,
    /// Who uploaded it, as far as callers are told apart.
    pub caller: Option<String>,
}

impl Upload {
    /// Creates a record.
    pub fn new(filename: impl Into<String>, size: u64, uploaded_at: i64) -> Self {
        Self { filename: filename.into(), size, uploaded_at, hash: None, caller: None }
    }

    /// Sets [`Upload::hash`].
    pub fn with_hash(mut self, hash: Option<String>) -> Self {
        self.hash = hash;
        self
    }

    /// Sets [`Upload::caller`].
    pub fn with_caller(mut self, caller: Option<String>) -> Self {
        self.caller = caller;
        self
    }
}

/// Some uploaded files, newest first.
#[derive(Debug)]
#[non_exhaustive]
pub struct UploadPage {
    /// The files.
    pub uploads: Vec<Upload>,
    /// The `after` of the next page; `None` on the last.
    pub next: Option<i64>,
}

/// Whether an uploaded file can be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadUse {
    /// There is no record of such a file.
    Unknown,
    /// The job with this id reads it and is not over.
    InUse(String),
    /// No job that is not over reads it.
    Unused,
}

pub(crate) fn add(db: &Connection, upload: &Upload) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO uploads (filename, size, uploaded_at, hash, caller) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (filename) DO UPDATE SET size = ?2, uploaded_at = ?3, hash = ?4, caller = ?5",
    )?
    .execute(params![
        upload.filename,
        i64::try_from(upload.size).unwrap_or(i64::MAX),
        upload.uploaded_at,
        upload.hash,
        upload.caller,
    ])?;
    Ok(())
}

fn upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    let size = u64::try_from(row.get::<_, i64>("size")?).unwrap_or_default();
    let upload = Upload::new(row.get::<_, String>("filename")?, size, row.get("uploaded_at")?);
    Ok(upload.with_hash(row.get("hash")?).with_caller(row.get("caller")?))
}

/// Returns those of the names that are recorded.
pub(crate) fn named(db: &Connection, filenames: &[String]) -> Result<Vec<Upload>> {
    let mut statement = db.prepare_cached("SELECT * FROM uploads WHERE filename = ?")?;
    let mut found = Vec::new();
    for filename in filenames {
        found.extend(statement.query_row([filename], upload).optional()?);
    }
    Ok(found)
}

/// Deletes the records of files in the file store that were uploaded before this time and that no recorded job reads.
pub(crate) fn prune(db: &Connection, before: i64) -> Result<usize> {
    Ok(db.execute(
        "DELETE FROM uploads WHERE hash IS NOT NULL AND uploaded_at < ? \
         AND NOT EXISTS (SELECT 1 FROM job_inputs WHERE job_inputs.filename = uploads.filename)",
        [before],
    )?)
}

pub(crate) fn list(db: &Connection, limit: u32, after: Option<i64>) -> Result<UploadPage> {
    let mut statement = db.prepare_cached("SELECT * FROM uploads WHERE seq < ? ORDER BY seq DESC LIMIT ?")?;
    // One more than asked for shows whether there is a next page.
    let found = statement.query_map((after.unwrap_or(i64::MAX), i64::from(limit) + 1), |row| {
        Ok((row.get::<_, i64>("seq")?, upload(row)?))
    })?;
    let mut found: Vec<(i64, Upload)> = found.collect::<rusqlite::Result<_>>()?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().map(|(seq, _)| *seq).filter(|_| has_more);
    Ok(UploadPage { uploads: found.into_iter().map(|(_, upload)| upload).collect(), next })
}

pub(crate) fn usage(db: &Connection, filename: &str) -> Result<UploadUse> {
    let known =
        db.query_row("SELECT 1 FROM uploads WHERE filename = ?", [filename], |_| Ok(())).optional()?;
    if known.is_none() {
        return Ok(UploadUse::Unknown);
    }
    let reader = db
        .prepare_cached(
            "SELECT prompt_id FROM jobs JOIN requests USING (seq) \
             WHERE status NOT IN ('completed', 'error', 'cancelled') \
             AND EXISTS (SELECT 1 FROM json_each(input_files) WHERE value = ?)",
        )?
        .query_row([filename], |row| row.get(0))
        .optional()?;
    Ok(reader.map_or(UploadUse::Unused, UploadUse::InUse))
}

pub(crate) fn delete(db: &Connection, filename: &str) -> Result<bool> {
    Ok(db.execute("DELETE FROM uploads WHERE filename = ?", [filename])? > 0)
}
