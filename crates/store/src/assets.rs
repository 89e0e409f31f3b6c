//! Records of assets: files that callers uploaded through the Comfy API v2. Their bytes are in the file store.

use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use crate::error::Failure;

type Result<T> = std::result::Result<T, Failure>;

/// An uploaded file with an id. Several assets may have the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AssetRecord {
    /// Its id.
    pub id: String,
    /// The hash of its bytes: their name in the file store.
    pub hash: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type, as the caller declared it.
    pub content_type: String,
    /// The name that the caller gave it.
    pub file_path: String,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at: i64,
    /// When it is deleted; `None` for never.
    pub expires_at: Option<i64>,
}

impl AssetRecord {
    /// Creates a record that does not expire.
    pub fn new(
        id: impl Into<String>,
        hash: impl Into<String>,
        size: u64,
        content_type: impl Into<String>,
        file_path: impl Into<String>,
        created_at: i64,
    ) -> Self {
        Self {
            id: id.into(),
            hash: hash.into(),
            size,
            content_type: content_type.into(),
            file_path: file_path.into(),
            created_at,
            expires_at: None,
        }
    }
}

pub(crate) fn add(db: &Connection, asset: &AssetRecord) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO assets (id, hash, size, content_type, file_path, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        asset.id,
        asset.hash,
        i64::try_from(asset.size).unwrap_or(i64::MAX),
        asset.content_type,
        asset.file_path,
        asset.created_at,
        asset.expires_at,
    ])?;
    Ok(())
}

/// Returns the asset with an id.
pub(crate) fn get(db: &Connection, id: &str) -> Result<Option<AssetRecord>> {
    let mut statement = db.prepare_cached("SELECT * FROM assets WHERE id = ?")?;
    Ok(statement.query_row([id], asset).optional()?)
}

/// Returns the newest asset with these bytes.
pub(crate) fn with_hash(db: &Connection, hash: &str) -> Result<Option<AssetRecord>> {
    let mut statement = db.prepare_cached("SELECT * FROM assets WHERE hash = ? ORDER BY seq DESC LIMIT 1")?;
    Ok(statement.query_row([hash], asset).optional()?)
}

/// Returns for each of these names the newest asset that was given it.
pub(crate) fn named(db: &Connection, file_paths: Vec<String>) -> Result<Vec<AssetRecord>> {
    let places = vec!["?"; file_paths.len()].join(", ");
    let mut statement = db.prepare(&format!(
        "SELECT * FROM assets WHERE seq IN (SELECT max(seq) FROM assets WHERE file_path IN ({places}) GROUP BY file_path)"
    ))?;
    let found = statement.query_map(params_from_iter(file_paths.into_iter().map(Sql::from)), asset)?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Deletes an asset. Returns whether there was one.
pub(crate) fn delete(db: &Connection, id: &str) -> Result<bool> {
    Ok(db.execute("DELETE FROM assets WHERE id = ?", [id])? > 0)
}

/// Deletes the assets that expired before this time. Returns their number.
pub(crate) fn prune(db: &Connection, before: i64) -> Result<usize> {
    Ok(db.execute("DELETE FROM assets WHERE expires_at < ?", [before])?)
}

fn asset(row: &Row<'_>) -> rusqlite::Result<AssetRecord> {
    Ok(AssetRecord {
        id: row.get("id")?,
        hash: row.get("hash")?,
        size: u64::try_from(row.get::<_, i64>("size")?).unwrap_or_default(),
        content_type: row.get("content_type")?,
        file_path: row.get("file_path")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
    })
}
