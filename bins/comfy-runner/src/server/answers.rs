//! What the crates know of jobs, as the types of the API.

use comfy_runner_api as api;
use comfy_runner_jobs::Submitted;
use comfy_runner_progress::{NodeFiles, Snapshot, Status};
use comfy_runner_store::{Outcome, Record, Summary};
use time::OffsetDateTime;
use time::macros::format_description;

/// Converts a status.
pub fn status(status: Status) -> api::Status {
    match status {
        Status::Pending => api::Status::Pending,
        Status::Running => api::Status::Running,
        Status::Completed => api::Status::Completed,
        Status::Error => api::Status::Error,
        Status::Cancelled => api::Status::Cancelled,
    }
}

/// Converts a job's state at one moment.
pub fn job_status(snapshot: Snapshot<'_>) -> api::JobStatus {
    match snapshot {
        Snapshot::Pending(pending) => api::JobStatus::Pending(api::PendingStatus {
            step: pending.step,
            total_steps: pending.total_steps,
        }),
        Snapshot::Running(running) => {
            let node_outputs = running.node_outputs.into_iter();
            api::JobStatus::Running(Box::new(api::RunningStatus {
                node_title: running.node_title.map(str::to_owned),
                node_type: running.node_type.map(str::to_owned),
                step: running.step,
                total_steps: running.total_steps,
                percent: running.percent,
                nodes_done: running.nodes_done,
                total_nodes: running.total_nodes,
                effective_total: running.effective_total,
                cached_count: running.cached_count,
                eta_seconds: running.eta_seconds,
                step_rate: running.step_rate,
                node_outputs: node_outputs.map(|(id, files)| (id.to_owned(), node_files(files))).collect(),
            }))
        }
        Snapshot::Completed(completed) => {
            let outputs = completed.outputs.into_values();
            let outputs = outputs.map(|file| (file.media(), file.clone())).collect();
            api::JobStatus::Completed(api::CompletedStatus { outputs })
        }
        Snapshot::Failed(failed) => {
            let details = api::FailedStatus { error: failed.error.map(str::to_owned) };
            match failed.status {
                Status::Cancelled => api::JobStatus::Cancelled(details),
                _ => api::JobStatus::Error(details),
            }
        }
    }
}

fn node_files(files: NodeFiles<'_>) -> api::NodeFiles {
    let items = files.items.into_iter();
    api::NodeFiles {
        node_title: files.node_title.to_owned(),
        node_type: files.node_type.to_owned(),
        items: items.map(|item| api::ReportedFile { file: item.file.clone(), media: item.media }).collect(),
    }
}

/// Converts the answer to a submission.
pub fn submitted(submitted: Submitted) -> api::Submitted {
    let Submitted { prompt_id, client_id, seeds, retry_of, warnings, node_errors } = submitted;
    api::Submitted { prompt_id, client_id, seeds, retry_of, warnings, node_errors }
}

/// Converts what a list shows of a job.
pub fn summary(summary: Summary) -> api::JobSummary {
    let Summary { prompt_id, client_id, workflow_id, workflow_name, output_folder, .. } = summary;
    let Outcome {
        status: outcome_status,
        started_at,
        finished_at,
        error,
        warnings,
        node_errors,
        outputs,
        ..
    } = summary.outcome;
    api::JobSummary {
        prompt_id,
        client_id,
        workflow_id,
        workflow_name,
        output_folder,
        retry_of: summary.retry_of,
        automatic: summary.automatic,
        queued_at: timestamp(summary.queued_at),
        status: status(outcome_status),
        started_at: started_at.and_then(timestamp),
        finished_at: finished_at.and_then(timestamp),
        error,
        warnings,
        node_errors,
        outputs,
    }
}

/// Converts a job's record.
pub fn record(record: Record) -> api::JobRecord {
    let Record { params, seeds, input_files, result_nodes, graph, .. } = record;
    api::JobRecord { summary: summary(record.summary), params, seeds, input_files, result_nodes, graph }
}

/// The time of so many milliseconds since 1970; None for a year that RFC 3339 cannot write.
fn timestamp(milliseconds: i64) -> Option<api::Timestamp> {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()?;
    Some(api::Timestamp::new(time.format(format).ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use comfy_runner_progress::Progress;
    use comfy_runner_protocol::{Graph, Message};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_job_is_written_as_its_snapshot_and_its_record_are() {
        let node = json!({"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Keep"}});
        let graph = Graph::from_value(json!({"1": node, "2": node})).unwrap();
        let mut progress = Progress::new("p", &graph, None);
        let same = |progress: &Progress| {
            let snapshot = progress.snapshot(Duration::ZERO);
            let expected = serde_json::to_string(&snapshot).unwrap();
            assert_eq!(serde_json::to_string(&job_status(snapshot)).unwrap(), expected);
        };
        same(&progress);
        progress.started();
        let image = r#"{"filename": "a.png", "subfolder": "s", "type": "output"}"#;
        let executed = format!(
            r#"{{"type": "executed", "data": {{"node": "1", "output": {{"images": [{image}]}}, "prompt_id": "p"}}}}"#
        );
        progress.apply(&Message::parse(&executed).unwrap(), Duration::ZERO);
        same(&progress);
        let files: Vec<_> = progress.final_files().into_iter().cloned().collect();
        let mut completed = progress.clone();
        completed.restore(Status::Completed, None, [("1", &files[..])]);
        same(&completed);
        completed.restore(Status::Cancelled, None, []);
        same(&completed);
        progress.failed("it broke");
        same(&progress);

        let kept = Record {
            summary: Summary {
                prompt_id: "p".to_owned(),
                client_id: "c".to_owned(),
                workflow_id: "w".to_owned(),
                workflow_name: "W".to_owned(),
                output_folder: "f".to_owned(),
                retry_of: None,
                automatic: true,
                queued_at: 1_774_362_652_123,
                outcome: Outcome {
                    status: Status::Completed,
                    started_at: Some(1_774_362_653_001),
                    outputs: [("1".to_owned(), files)].into_iter().collect(),
                    ..Outcome::default()
                },
            },
            params: serde_json::Map::from_iter([("a".to_owned(), Value::from(1))]),
            seeds: [("seed".to_owned(), u64::MAX)].into_iter().collect(),
            input_files: vec!["b.png".to_owned()],
            result_nodes: vec!["1".to_owned()],
            graph: graph.into(),
            idempotency_key: Some("key".to_owned()),
            request_digest: None,
        };
        let expected = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::to_string(&record(kept)).unwrap(), expected);
    }
}
