//! Records as rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_progress::{Durations, MeanDuration};
use rusqlite::types::{FromSql, Type, Value as Sql};
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};
use serde::de::DeserializeOwned;
use serde_json::{from_str, to_string};

use crate::error::Failure;
use crate::record::{Outcome, Record, Summary};
use crate::store::{Created, Deleted, Filter, Page, Retention};

/// The columns of [`summary`], in the order in which it reads them.
const SUMMARY: &str = "seq, prompt_id, client_id, workflow_id, workflow_name, output_folder, retry_of, automatic, queued_at, \
                       metadata, priority, status, comfyui, answered, losses, stopped, accepted, cancel_asked, started_at, \
                       finished_at, error, warnings, node_errors, outputs, failed_node, texts";
/// The columns of [`record`] after those, in the order in which it reads them.
const REST: &str =
    "params, seeds, graph, result_nodes, input_files, idempotency_key, request_digest, caller, required_tags";
const REQUESTS: &str = "jobs LEFT JOIN requests USING (seq)";
const OVER: &str = "status IN ('completed', 'error', 'cancelled')";

type Result<T> = std::result::Result<T, Failure>;

pub(crate) fn create(db: &mut Connection, record: &Record) -> Result<Created> {
    let db = db.savepoint()?;
    if let Some(key) = &record.idempotency_key {
        db.execute(
            "UPDATE jobs SET idempotency_key = NULL WHERE idempotency_key = ? AND status = 'error' AND NOT accepted \
             AND NOT answered",
            [key],
        )?;
        if let Some(known) = by_key(&db, key)? {
            return Ok(Created::Known(Box::new(known)));
        }
    }
    let summary = &record.summary;
    if let Some(retry_of) = summary.retry_of.as_ref().filter(|_| summary.automatic)
        && let Some(before) = one(&db, "automatic AND retry_of = ?", retry_of)?
    {
        return Ok(Created::Repeated(Box::new(before)));
    }
    let outcome = &summary.outcome;
    db.prepare_cached(
        "INSERT INTO jobs (prompt_id, client_id, workflow_id, workflow_name, output_folder, queued_at, retry_of, \
         automatic, idempotency_key, request_digest, priority, caller, required_tags, losses, stopped, status, comfyui, \
         answered, accepted, cancel_asked, started_at, finished_at, error, warnings, node_errors, outputs, failed_node, \
         texts, metadata) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        summary.prompt_id,
        summary.client_id,
        summary.workflow_id,
        summary.workflow_name,
        summary.output_folder,
        summary.queued_at,
        summary.retry_of,
        summary.automatic,
        record.idempotency_key,
        record.request_digest,
        summary.priority,
        record.caller,
        to_string(&record.required_tags)?,
        outcome.losses,
        to_string(&outcome.stopped)?,
        outcome.status.as_str(),
        outcome.comfyui,
        outcome.answered,
        outcome.accepted,
        outcome.cancel_asked,
        outcome.started_at,
        outcome.finished_at,
        outcome.error,
        to_string(&outcome.warnings)?,
        to_string(&outcome.node_errors)?,
        to_string(&outcome.outputs)?,
        outcome.failed_node,
        to_string(&outcome.texts)?,
        summary.metadata.as_ref().map(to_string).transpose()?,
    ])?;
    let seq = db.last_insert_rowid();
    db.prepare_cached("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
        seq,
        to_string(&record.params)?,
        to_string(&record.seeds)?,
        to_string(&record.graph)?,
        to_string(&record.result_nodes)?,
        to_string(&record.input_files)?,
    ])?;
    for filename in &record.input_files {
        db.prepare_cached("INSERT OR IGNORE INTO job_inputs VALUES (?, ?)")?.execute((filename, seq))?;
    }
    db.commit()?;
    Ok(Created::New)
}

pub(crate) fn update(db: &mut Connection, outcomes: &[(String, Outcome)]) -> Result<()> {
    let db = db.savepoint()?;
    for (prompt_id, outcome) in outcomes {
        db.prepare_cached(
            "UPDATE jobs SET status = ?, comfyui = ?, answered = ?, losses = ?, stopped = ?, accepted = ?, \
             cancel_asked = ?, started_at = ?, finished_at = ?, error = ?, warnings = ?, node_errors = ?, outputs = ?, \
             failed_node = ?, texts = ? WHERE prompt_id = ?",
        )?
        .execute(params![
            outcome.status.as_str(),
            outcome.comfyui,
            outcome.answered,
            outcome.losses,
            to_string(&outcome.stopped)?,
            outcome.accepted,
            outcome.cancel_asked,
            outcome.started_at,
            outcome.finished_at,
            outcome.error,
            to_string(&outcome.warnings)?,
            to_string(&outcome.node_errors)?,
            to_string(&outcome.outputs)?,
            outcome.failed_node,
            to_string(&outcome.texts)?,
            prompt_id,
        ])?;
    }
    Ok(db.commit()?)
}

pub(crate) fn rename(db: &Connection, prompt_id: &str, to: &str) -> Result<bool> {
    Ok(db.execute("UPDATE jobs SET prompt_id = ? WHERE prompt_id = ?", [to, prompt_id])? > 0)
}

pub(crate) fn withdraw(db: &Connection, prompt_id: &str) -> Result<bool> {
    Ok(db.execute("DELETE FROM jobs WHERE prompt_id = ? AND NOT accepted", [prompt_id])? > 0)
}

pub(crate) fn delete(db: &mut Connection, prompt_id: &str) -> Result<Deleted> {
    let db = db.savepoint()?;
    let done = db.execute(&format!("DELETE FROM jobs WHERE prompt_id = ? AND {OVER}"), [prompt_id])? > 0;
    let active =
        db.query_row("SELECT 1 FROM jobs WHERE prompt_id = ?", [prompt_id], |_| Ok(())).optional()?;
    db.commit()?;
    Ok(match (done, active) {
        (true, _) => Deleted::Done,
        (false, Some(())) => Deleted::Active,
        (false, None) => Deleted::Unknown,
    })
}

pub(crate) fn get(db: &Connection, prompt_id: &str) -> Result<Option<Record>> {
    one(db, "prompt_id = ?", prompt_id)
}

pub(crate) fn by_key(db: &Connection, key: &str) -> Result<Option<Record>> {
    one(db, "idempotency_key = ?", key)
}

fn one(db: &Connection, which: &str, value: &str) -> Result<Option<Record>> {
    let mut statement =
        db.prepare_cached(&format!("SELECT {SUMMARY}, {REST} FROM {REQUESTS} WHERE {which}"))?;
    let found = statement.query_row([value], |row| {
        let prompt_id = row.get::<_, String>("prompt_id").unwrap_or_default();
        Ok(record(row).map_err(|error| Failure::Damaged { prompt_id, why: error.to_string() }))
    });
    found.optional()?.transpose()
}

pub(crate) fn list(db: &Connection, logged: &mut LoggedDamage, filter: &Filter) -> Result<Page> {
    let mut sql = format!("SELECT {SUMMARY} FROM jobs WHERE TRUE");
    let mut values: Vec<Sql> = Vec::new();
    if !filter.statuses.is_empty() {
        sql += &format!(" AND status IN ({})", vec!["?"; filter.statuses.len()].join(", "));
        values.extend(filter.statuses.iter().map(|status| Sql::from(status.as_str().to_owned())));
    }
    let mut and = |condition: &str, value: Option<Sql>| {
        if let Some(value) = value {
            sql += condition;
            values.push(value);
        }
    };
    and(" AND workflow_id = ?", filter.workflow_id.clone().map(Sql::from));
    and(" AND instr(prompt_id, ?) = 1", filter.prompt_id_prefix.clone().map(Sql::from));
    and(" AND queued_at >= ?", filter.since.map(Sql::from));
    and(" AND queued_at < ?", filter.until.map(Sql::from));
    and(" AND seq < ?", filter.after.map(Sql::from));
    for (key, value) in &filter.labels {
        // A JSON path names a key in quotes; one with a quote of its own is no label.
        sql += " AND metadata IS NOT NULL AND json_extract(metadata, ?) = ?";
        values.extend([Sql::from(format!("$.\"{}\"", key.replace('"', ""))), Sql::from(value.clone())]);
    }
    sql += " ORDER BY seq DESC";
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    // One more than asked for shows whether there is a next page.
    let wanted = if filter.limit == 0 { usize::MAX } else { filter.limit as usize + 1 };
    let mut found = Vec::new();
    while found.len() < wanted
        && let Some(row) = rows.next()?
    {
        if let Some(summary) = logged.unless_damaged(row, summary(row)) {
            found.push((row.get::<_, i64>(0)?, summary));
        }
    }
    let more = found.len() == wanted;
    if more {
        found.pop();
    }
    let next = if more { found.last().map(|(seq, _)| *seq) } else { None };
    Ok(Page { jobs: found.into_iter().map(|(_, summary)| summary).collect(), next })
}

pub(crate) fn open(
    db: &Connection,
    logged: &mut LoggedDamage,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Record>> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {SUMMARY}, {REST} FROM {REQUESTS} WHERE NOT {OVER} AND seq > coalesce((SELECT seq FROM jobs WHERE prompt_id = ?), 0) ORDER BY seq"
    ))?;
    let mut rows = statement.query([after])?;
    let mut found = Vec::new();
    while found.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        found.extend(logged.unless_damaged(row, record(row)));
    }
    Ok(found)
}

/// The rows whose damage is in the log already: one entry is enough, however often jobs are listed.
#[derive(Debug, Default)]
pub(crate) struct LoggedDamage {
    seqs: HashSet<i64>,
}

impl LoggedDamage {
    /// Returns what was read of a row. A damaged row is skipped, so that the others can be listed, and logged once.
    fn unless_damaged<T>(&mut self, row: &Row<'_>, read: Result<T>) -> Option<T> {
        read.inspect_err(|error| {
            if self.seqs.insert(row.get("seq").unwrap_or_default()) {
                let prompt_id = row.get::<_, String>("prompt_id").unwrap_or_default();
                tracing::error!(
                    prompt_id,
                    "the record of a job is damaged and is left out of lists: {error}"
                );
            }
        })
        .ok()
    }
}

pub(crate) fn prune(db: &Connection, retention: Retention) -> Result<usize> {
    let mut forgotten = 0;
    if let Some(before) = retention.before {
        forgotten += db.execute(&format!("DELETE FROM jobs WHERE {OVER} AND finished_at < ?"), [before])?;
    }
    if let Some(keep) = retention.keep {
        let first_too_many = format!("SELECT seq FROM jobs WHERE {OVER} ORDER BY seq DESC LIMIT 1 OFFSET ?");
        forgotten +=
            db.execute(&format!("DELETE FROM jobs WHERE {OVER} AND seq <= ({first_too_many})"), [keep])?;
    }
    Ok(forgotten)
}

pub(crate) fn reserve_event_ids(db: &mut Connection, from: u64, count: u64) -> Result<u64> {
    let db = db.savepoint()?;
    let reserved = db.query_row("SELECT next FROM event_ids", [], |row| row.get::<_, i64>(0)).optional()?;
    let first = from.max(reserved.map_or(0, i64::unsigned_abs));
    let next = i64::try_from(first.saturating_add(count)).unwrap_or(i64::MAX);
    db.execute("INSERT OR REPLACE INTO event_ids VALUES (1, ?)", [next])?;
    db.commit()?;
    Ok(first)
}

pub(crate) fn durations(db: &Connection, workflow_id: &str) -> Result<Durations> {
    let mut statement = db.prepare_cached(
        "SELECT class_type, count, mean_ms, mean_steps FROM node_durations WHERE workflow_id = ?",
    )?;
    let rows = statement.query_map([workflow_id], |row| {
        let mean = Duration::try_from_secs_f64(row.get::<_, f64>(2)? / 1e3).unwrap_or_default();
        let (count, steps) = (row.get::<_, i64>(1)?.unsigned_abs(), row.get(3)?);
        Ok((row.get(0)?, MeanDuration { mean, steps, count }))
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

pub(crate) fn remember_durations(
    db: &mut Connection,
    workflow_id: &str,
    durations: &Durations,
) -> Result<()> {
    let savepoint = db.savepoint()?;
    for (class_type, known) in durations.iter() {
        let count = i64::try_from(known.count).unwrap_or(i64::MAX);
        let mean_ms = known.mean.as_secs_f64() * 1e3;
        savepoint
            .prepare_cached(
                "INSERT OR REPLACE INTO node_durations (workflow_id, class_type, count, mean_ms, mean_steps) \
                 VALUES (?, ?, ?, ?, ?)",
            )?
            .execute(params![workflow_id, class_type, count, mean_ms, known.steps])?;
    }
    Ok(savepoint.commit()?)
}

/// Reads the columns of a row one after the other. To find a column by its name, the names of all before it are compared, which
/// takes longer than to read it.
struct Columns<'a, 'row> {
    row: &'a Row<'row>,
    next: usize,
}

impl Columns<'_, '_> {
    fn next<T: FromSql>(&mut self) -> Result<T> {
        let at = self.next;
        self.next += 1;
        Ok(self.row.get(at)?)
    }

    fn next_json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let at = self.next;
        self.next += 1;
        let text = self.row.get_ref(at)?.as_str();
        let text =
            text.map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, error.into()))?;
        Ok(from_str(text)?)
    }
}

fn record(row: &Row<'_>) -> Result<Record> {
    let mut columns = Columns { row, next: 0 };
    Ok(Record {
        summary: read_summary(&mut columns)?,
        params: columns.next_json()?,
        seeds: columns.next_json()?,
        graph: Arc::new(columns.next_json()?),
        result_nodes: columns.next_json()?,
        input_files: columns.next_json()?,
        idempotency_key: columns.next()?,
        request_digest: columns.next()?,
        caller: columns.next()?,
        required_tags: columns.next_json()?,
    })
}

fn summary(row: &Row<'_>) -> Result<Summary> {
    read_summary(&mut Columns { row, next: 0 })
}

/// Reads the columns of [`SUMMARY`].
fn read_summary(columns: &mut Columns<'_, '_>) -> Result<Summary> {
    columns.next::<i64>()?;
    Ok(Summary {
        prompt_id: columns.next()?,
        client_id: columns.next()?,
        workflow_id: columns.next()?,
        workflow_name: columns.next()?,
        output_folder: columns.next()?,
        retry_of: columns.next()?,
        automatic: columns.next()?,
        queued_at: columns.next()?,
        metadata: columns.next::<Option<String>>()?.map(|json| from_str(&json)).transpose()?,
        priority: columns.next()?,
        outcome: read_outcome(columns)?,
    })
}

fn read_outcome(columns: &mut Columns<'_, '_>) -> Result<Outcome> {
    Ok(Outcome {
        // The column has the word that the status serialises to.
        status: serde_json::from_value::<Status>(columns.next::<String>()?.into())?,
        comfyui: columns.next()?,
        answered: columns.next()?,
        losses: columns.next()?,
        stopped: columns.next_json()?,
        accepted: columns.next()?,
        cancel_asked: columns.next()?,
        started_at: columns.next()?,
        finished_at: columns.next()?,
        error: columns.next()?,
        warnings: columns.next_json()?,
        node_errors: columns.next_json()?,
        outputs: columns.next_json()?,
        failed_node: columns.next()?,
        texts: columns.next_json()?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use serde_json::json;
    use tracing::subscriber::with_default;

    use super::*;
    use crate::migrations::migrate;

    /// The lines of a log.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn record(prompt_id: &str) -> Record {
        Record::new(Summary::new(prompt_id, "c", "w", 1), Arc::default())
    }

    #[test]
    fn each_column_is_read_into_the_field_that_it_was_written_from() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        for flag in 0..4 {
            let summary = Summary {
                client_id: "client".into(),
                workflow_name: "name".into(),
                output_folder: "folder".into(),
                retry_of: Some("before".into()),
                automatic: flag == 0,
                metadata: Some(json!({"a": 1})),
                priority: -3,
                outcome: Outcome {
                    status: Status::Error,
                    comfyui: Some("gpu".into()),
                    answered: flag == 1,
                    losses: 7,
                    stopped: vec!["stopped".into()],
                    accepted: flag == 2,
                    cancel_asked: flag == 3,
                    started_at: Some(11),
                    finished_at: Some(12),
                    error: Some("error".into()),
                    failed_node: Some("5".into()),
                    warnings: vec!["warning".into()],
                    node_errors: serde_json::from_value(json!({"6": {"errors": [], "dependent_outputs": [],
                        "class_type": "X"}}))
                    .unwrap(),
                    outputs: serde_json::from_value(
                        json!({"8": [{"filename": "a.png", "subfolder": "b", "type": "output"}]}),
                    )
                    .unwrap(),
                    texts: [("9".to_owned(), vec!["text".to_owned()])].into_iter().collect(),
                },
                ..Summary::new(format!("job {flag}"), "c", "workflow", 10)
            };
            let graph = json!({"1": {"class_type": "X", "inputs": {}}});
            let mut written = Record::new(summary, Arc::new(serde_json::from_value(graph).unwrap()));
            written.params = [("param".to_owned(), json!(1))].into_iter().collect();
            written.seeds = [("seed".to_owned(), 2)].into_iter().collect();
            written.result_nodes = vec!["result".into()];
            written.input_files = vec!["input".into()];
            written.idempotency_key = Some(format!("key {flag}"));
            written.request_digest = Some("digest".into());
            written.caller = "caller".into();
            written.required_tags = vec!["tag".into()];
            create(&mut db, &written).unwrap();
            let read = get(&db, &written.summary.prompt_id).unwrap().unwrap();
            assert_eq!(read, written);
            let listed = list(&db, &mut LoggedDamage::default(), &Filter::default()).unwrap();
            assert_eq!(listed.jobs[0], written.summary);
        }
    }

    #[test]
    fn a_damaged_record_is_logged_once_however_often_jobs_are_listed() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        for prompt_id in ["well", "first", "second"] {
            create(&mut db, &record(prompt_id)).unwrap();
        }
        db.execute("UPDATE jobs SET outputs = 'x' WHERE prompt_id <> 'well'", []).unwrap();
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        with_default(log, || {
            let mut logged = LoggedDamage::default();
            for _ in 0..3 {
                assert_eq!(list(&db, &mut logged, &Filter::default()).unwrap().jobs.len(), 1);
                assert_eq!(open(&db, &mut logged, None, 10).unwrap().len(), 1);
            }
        });
        let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.matches("is damaged").count(), 2, "{log}");
        assert!(log.contains("first") && log.contains("second"), "{log}");
    }
}
