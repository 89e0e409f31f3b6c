//! Records of what is in the file store: outputs that were copied there, and which contents are still needed.
//!
//! The contents of uploads and assets are in their own records.

use std::collections::HashSet;

use comfy_runner_protocol::{NodeId, OutputFile};
use indexmap::IndexMap;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::from_str;

use crate::error::Failure;

type Result<T> = std::result::Result<T, Failure>;

/// Every table whose rows refer to contents of the file store, by an indexed column `hash`. A content to which none of them
/// refers is deleted.
const REFERRERS: [&str; 3] = ["uploads", "kept_outputs", "assets"];

/// An output of a job that was copied into the file store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptOutput {
    /// The file, as ComfyUI names it.
    pub file: OutputFile,
    /// The hash of its content: its name in the file store.
    pub hash: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was copied, in milliseconds since the Unix epoch.
    pub kept_at: i64,
}

impl KeptOutput {
    /// Creates a record.
    pub fn new(file: OutputFile, hash: impl Into<String>, size: u64, kept_at: i64) -> Self {
        Self { file, hash: hash.into(), size, kept_at }
    }
}

/// A job that is over and whose outputs have not all been copied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnkeptJob {
    /// The position after which the next jobs follow.
    pub seq: i64,
    /// The job's id.
    pub prompt_id: String,
    /// The name of the ComfyUI that ran it, if it is known.
    pub comfyui: Option<String>,
    /// The outputs that have not been copied yet.
    pub files: Vec<OutputFile>,
}

/// Records a copied output. Returns whether there is such a job.
pub(crate) fn keep(db: &Connection, prompt_id: &str, kept: &KeptOutput) -> Result<bool> {
    let KeptOutput { file, hash, size, kept_at } = kept;
    let size = i64::try_from(*size).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(
        "INSERT OR REPLACE INTO kept_outputs (seq, kind, subfolder, filename, hash, size, kept_at) \
         SELECT seq, ?, ?, ?, ?, ?, ? FROM jobs WHERE prompt_id = ?",
    )?;
    let added = statement.execute(params![
        file.kind,
        file.subfolder,
        file.filename,
        hash,
        size,
        kept_at,
        prompt_id
    ])?;
    Ok(added > 0)
}

pub(crate) fn all_kept(db: &Connection, prompt_id: &str) -> Result<()> {
    db.prepare_cached("UPDATE jobs SET outputs_kept = TRUE WHERE prompt_id = ?")?.execute([prompt_id])?;
    Ok(())
}

pub(crate) fn unkept(db: &Connection, after: Option<i64>, limit: u32) -> Result<Vec<UnkeptJob>> {
    let mut statement = db.prepare_cached(
        "SELECT seq, prompt_id, comfyui, outputs FROM jobs WHERE NOT outputs_kept \
         AND status IN ('completed', 'error', 'cancelled') AND seq > ? ORDER BY seq LIMIT ?",
    )?;
    let rows = statement.query_map((after.unwrap_or(0), limit), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?))
    })?;
    let mut jobs = Vec::new();
    for row in rows {
        let (seq, prompt_id, comfyui, outputs) = row?;
        // The record is damaged, which lists of jobs report. It names no files.
        let outputs: IndexMap<NodeId, Vec<OutputFile>> = from_str(&outputs).unwrap_or_default();
        let mut known: HashSet<_> = kept_by(db, seq)?.into_iter().map(|kept| kept.file).collect();
        let files = outputs.into_values().flatten().filter(|file| known.insert(file.clone())).collect();
        jobs.push(UnkeptJob { seq, prompt_id, comfyui, files });
    }
    Ok(jobs)
}

fn kept_by(db: &Connection, seq: i64) -> Result<Vec<KeptOutput>> {
    let mut statement = db.prepare_cached("SELECT * FROM kept_outputs WHERE seq = ?")?;
    let kept = statement.query_map([seq], kept_output)?;
    Ok(kept.collect::<rusqlite::Result<_>>()?)
}

/// Returns the copy of an output by its name. If several jobs made a file of this name, it is the newest one's.
pub(crate) fn kept(db: &Connection, file: &OutputFile) -> Result<Option<KeptOutput>> {
    let mut statement = db.prepare_cached(
        "SELECT * FROM kept_outputs WHERE filename = ? AND subfolder = ? AND kind = ? ORDER BY seq DESC LIMIT 1",
    )?;
    Ok(statement.query_row([&file.filename, &file.subfolder, &file.kind], kept_output).optional()?)
}

fn kept_output(row: &Row<'_>) -> rusqlite::Result<KeptOutput> {
    let file = OutputFile {
        filename: row.get("filename")?,
        subfolder: row.get("subfolder")?,
        kind: row.get("kind")?,
    };
    let size = u64::try_from(row.get::<_, i64>("size")?).unwrap_or_default();
    Ok(KeptOutput::new(file, row.get::<_, String>("hash")?, size, row.get("kept_at")?))
}

/// Returns those of the hashes to which no record refers.
pub(crate) fn unreferenced(db: &Connection, mut hashes: Vec<String>) -> Result<Vec<String>> {
    for table in REFERRERS {
        let mut statement =
            db.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE hash = ?)"))?;
        let mut failed = None;
        hashes.retain(|hash| {
            let referenced = statement.query_row([hash], |row| row.get::<_, bool>(0));
            !referenced.unwrap_or_else(|error| {
                failed = Some(error);
                true
            })
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    Ok(hashes)
}
