//! Migrations of the schema. `user_version` is the number of steps that were applied to a file.

use rusqlite::Connection;

use crate::error::Failure;

/// Each step is applied once and never changed after a release; a change of the schema is a new step.
///
/// Large values that never change are in a table of their own, because SQLite writes a changed row as a whole.
const STEPS: &[&str] = &[
    "
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        prompt_id TEXT NOT NULL UNIQUE,
        client_id TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        workflow_name TEXT NOT NULL,
        output_folder TEXT NOT NULL,
        queued_at INTEGER NOT NULL,
        retry_of TEXT,
        automatic INTEGER NOT NULL,
        idempotency_key TEXT UNIQUE,
        request_digest TEXT,
        status TEXT NOT NULL,
        accepted INTEGER NOT NULL,
        started_at INTEGER,
        finished_at INTEGER,
        error TEXT,
        warnings TEXT NOT NULL,
        node_errors TEXT NOT NULL,
        outputs TEXT NOT NULL
    ) STRICT;
    CREATE INDEX jobs_by_status ON jobs (status, seq);
    CREATE INDEX jobs_by_workflow ON jobs (workflow_id, seq);
    CREATE UNIQUE INDEX jobs_retried_automatically ON jobs (retry_of) WHERE automatic;
    CREATE TABLE requests (
        seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
        params TEXT NOT NULL,
        seeds TEXT NOT NULL,
        graph TEXT NOT NULL,
        result_nodes TEXT NOT NULL,
        input_files TEXT NOT NULL
    ) STRICT;
    CREATE TABLE node_durations (
        workflow_id TEXT NOT NULL,
        class_type TEXT NOT NULL,
        count INTEGER NOT NULL,
        mean_ms REAL NOT NULL,
        PRIMARY KEY (workflow_id, class_type)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE identity (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL) STRICT;
",
    "ALTER TABLE node_durations ADD COLUMN mean_steps REAL",
    "ALTER TABLE jobs ADD COLUMN cancel_asked INTEGER NOT NULL DEFAULT FALSE",
    "CREATE TABLE event_ids (only INTEGER PRIMARY KEY CHECK (only = 1), next INTEGER NOT NULL) STRICT",
    "
    CREATE TABLE uploads (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        filename TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL,
        uploaded_at INTEGER NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE jobs ADD COLUMN failed_node TEXT;
    ALTER TABLE jobs ADD COLUMN texts TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE jobs ADD COLUMN metadata TEXT;
    CREATE INDEX jobs_with_metadata ON jobs (seq) WHERE metadata IS NOT NULL;
",
    "
    ALTER TABLE uploads ADD COLUMN hash TEXT;
    ALTER TABLE uploads ADD COLUMN caller TEXT;
    CREATE INDEX uploads_by_hash ON uploads (hash) WHERE hash IS NOT NULL;
    CREATE TABLE job_inputs (
        filename TEXT NOT NULL,
        seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
        PRIMARY KEY (filename, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX job_inputs_by_job ON job_inputs (seq);
    INSERT OR IGNORE INTO job_inputs
        SELECT value, requests.seq FROM requests, json_each(input_files) WHERE json_valid(input_files);
    CREATE TABLE kept_outputs (
        seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        subfolder TEXT NOT NULL,
        filename TEXT NOT NULL,
        hash TEXT NOT NULL,
        size INTEGER NOT NULL,
        kept_at INTEGER NOT NULL,
        PRIMARY KEY (seq, kind, subfolder, filename)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX kept_outputs_by_name ON kept_outputs (filename, subfolder, kind, seq);
    CREATE INDEX kept_outputs_by_hash ON kept_outputs (hash);
    ALTER TABLE jobs ADD COLUMN outputs_kept INTEGER NOT NULL DEFAULT FALSE;
    CREATE INDEX jobs_without_kept_outputs ON jobs (seq) WHERE NOT outputs_kept;
",
    "
    ALTER TABLE jobs ADD COLUMN comfyui TEXT;
    ALTER TABLE jobs ADD COLUMN answered INTEGER NOT NULL DEFAULT FALSE;
    ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN caller TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN required_tags TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE jobs ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN stopped TEXT NOT NULL DEFAULT '[]';
    UPDATE jobs SET losses = 1 WHERE automatic;
",
    "
    CREATE TABLE assets (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL,
        size INTEGER NOT NULL,
        content_type TEXT NOT NULL,
        file_path TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER
    ) STRICT;
    CREATE INDEX assets_by_hash ON assets (hash);
    CREATE INDEX assets_by_file_path ON assets (file_path);
    CREATE INDEX assets_that_expire ON assets (expires_at) WHERE expires_at IS NOT NULL;
",
    "
    CREATE TABLE draining (comfyui TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TABLE workflow_times (
        workflow_id TEXT PRIMARY KEY,
        cold_seconds REAL NOT NULL,
        cold_count INTEGER NOT NULL,
        warm_seconds REAL NOT NULL,
        warm_count INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE comfyui_slowness (comfyui TEXT PRIMARY KEY, slowness REAL NOT NULL) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE output_contents (
        seq INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        subfolder TEXT NOT NULL,
        filename TEXT NOT NULL,
        hash TEXT NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (seq, kind, subfolder, filename)
    ) STRICT, WITHOUT ROWID;
",
    "CREATE TABLE model_loads (models TEXT PRIMARY KEY, seconds REAL NOT NULL, count INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE ended_sessions (id TEXT PRIMARY KEY, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
];

/// Applies the missing steps to a database. A database with a newer schema is an error.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let known = STEPS.len() as u32;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > known {
        return Err(Failure::TooNew { found, known });
    }
    for (done, step) in (found..).zip(&STEPS[found as usize..]) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", done + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_earlier_jobs_read_are_known() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        for (seq, files) in [(1, r#"["a.png", "b.png", "a.png"]"#), (2, "[]"), (3, "damaged")] {
            let job = format!(
                "({seq}, 'p{seq}', '', '', '', '', 0, NULL, 0, NULL, NULL, '', 0, 0, 0, '', '', '', '{{}}')"
            );
            connection.execute(&format!("INSERT INTO jobs VALUES {job}"), []).unwrap();
            connection.execute("INSERT INTO requests VALUES (?, '', '', '', '', ?)", (seq, files)).unwrap();
        }
        migrate(&mut connection).unwrap();
        let mut statement = connection.prepare("SELECT filename, seq FROM job_inputs").unwrap();
        let known =
            statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).unwrap();
        let known: Vec<_> = known.map(Result::unwrap).collect();
        assert_eq!(known, [("a.png".to_owned(), 1), ("b.png".to_owned(), 1)]);
    }

    #[test]
    fn a_store_of_the_first_schema_keeps_what_it_holds() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection.execute("INSERT INTO identity VALUES (1, 'old')", []).unwrap();
        connection.execute("INSERT INTO node_durations VALUES ('w', 'KSampler', 3, 250.0)", []).unwrap();
        migrate(&mut connection).unwrap();
        let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version as usize, STEPS.len());
        let kept =
            connection.query_row("SELECT id, count, mean_steps FROM identity, node_durations", [], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, Option<f64>>(2)?))
            });
        assert_eq!(kept.unwrap(), ("old".to_owned(), 3, None));
    }
}
