//! Sessions of the server's own page that ended before their time, as rows.

use rusqlite::Connection;

use crate::error::Failure;

type Result<T> = std::result::Result<T, Failure>;

/// A session whose holder has signed out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedSession {
    /// What distinguishes it from other sessions.
    pub id: String,
    /// When it would have ended by itself, in seconds since the Unix epoch.
    pub expires_at: i64,
}

impl EndedSession {
    /// Takes the id of a session and its time.
    pub fn new(id: impl Into<String>, expires_at: i64) -> Self {
        Self { id: id.into(), expires_at }
    }
}

pub(crate) fn ended(db: &Connection) -> Result<Vec<EndedSession>> {
    let mut statement = db.prepare_cached("SELECT id, expires_at FROM ended_sessions")?;
    let sessions =
        statement.query_map([], |row| Ok(EndedSession { id: row.get(0)?, expires_at: row.get(1)? }))?;
    Ok(sessions.collect::<std::result::Result<_, _>>()?)
}

pub(crate) fn end(db: &mut Connection, session: &EndedSession, now: i64) -> Result<()> {
    let transaction = db.transaction()?;
    transaction.execute("DELETE FROM ended_sessions WHERE expires_at <= ?", [now])?;
    transaction
        .execute("INSERT OR IGNORE INTO ended_sessions VALUES (?, ?)", (&session.id, session.expires_at))?;
    Ok(transaction.commit()?)
}
