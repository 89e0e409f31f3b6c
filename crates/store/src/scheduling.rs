//! What the placement of jobs depends on, as rows: the ComfyUIs that get no jobs, and how long jobs and the loading of
//! their models took.

use comfy_runner_scheduler::{JobTimes, Mean, WorkflowTimes};
use rusqlite::{Connection, params};

use crate::error::Failure;

type Result<T> = std::result::Result<T, Failure>;

pub(crate) fn draining(db: &Connection) -> Result<Vec<String>> {
    let mut statement = db.prepare_cached("SELECT comfyui FROM draining")?;
    let names = statement.query_map([], |row| row.get(0))?;
    Ok(names.collect::<std::result::Result<_, _>>()?)
}

pub(crate) fn set_draining(db: &Connection, comfyui: &str, draining: bool) -> Result<()> {
    let sql = match draining {
        true => "INSERT OR IGNORE INTO draining VALUES (?)",
        false => "DELETE FROM draining WHERE comfyui = ?",
    };
    db.prepare_cached(sql)?.execute([comfyui])?;
    Ok(())
}

pub(crate) fn job_times(db: &Connection) -> Result<JobTimes> {
    let mut times = JobTimes::default();
    let mut statement = db.prepare_cached("SELECT * FROM workflow_times")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mean = |seconds: &str, count: &str| -> rusqlite::Result<Mean> {
            Ok(Mean { seconds: row.get(seconds)?, count: row.get(count)? })
        };
        let (cold, warm) = (mean("cold_seconds", "cold_count")?, mean("warm_seconds", "warm_count")?);
        times.set_workflow(row.get("workflow_id")?, WorkflowTimes { cold, warm });
    }
    let mut statement = db.prepare_cached("SELECT models, seconds, count FROM model_loads")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let models: String = row.get(0)?;
        times.set_load(serde_json::from_str(&models)?, Mean { seconds: row.get(1)?, count: row.get(2)? });
    }
    let mut statement = db.prepare_cached("SELECT comfyui, slowness FROM comfyui_slowness")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        times.set_slowness(row.get(0)?, row.get(1)?);
    }
    Ok(times)
}

pub(crate) fn remember_job_times(db: &mut Connection, times: &JobTimes) -> Result<()> {
    let savepoint = db.savepoint()?;
    for (workflow_id, WorkflowTimes { cold, warm }) in times.workflows() {
        savepoint
            .prepare_cached(
                "INSERT OR REPLACE INTO workflow_times \
                 (workflow_id, cold_seconds, cold_count, warm_seconds, warm_count) VALUES (?, ?, ?, ?, ?)",
            )?
            .execute(params![workflow_id, cold.seconds, cold.count, warm.seconds, warm.count])?;
    }
    for (models, load) in times.loads() {
        savepoint
            .prepare_cached("INSERT OR REPLACE INTO model_loads (models, seconds, count) VALUES (?, ?, ?)")?
            .execute(params![serde_json::to_string(models)?, load.seconds, load.count])?;
    }
    for (comfyui, slowness) in times.slowness() {
        savepoint
            .prepare_cached("INSERT OR REPLACE INTO comfyui_slowness (comfyui, slowness) VALUES (?, ?)")?
            .execute(params![comfyui, slowness])?;
    }
    Ok(savepoint.commit()?)
}
