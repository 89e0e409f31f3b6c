//! Jobs as the store keeps them, and back.

use std::time::Duration;

use comfy_runner_progress::{Progress, Status};
use comfy_runner_store::{Outcome, Record};

use crate::live::Live;
use crate::refusal::left_out;
use crate::table::{Handover, Job};

impl Job {
    /// The job of a record.
    pub fn of(record: &Record, handover: Handover, now: Duration) -> Self {
        let summary = &record.summary;
        let outcome = &summary.outcome;
        let mut progress = Progress::new(&summary.prompt_id, &record.graph, None)
            .with_result_nodes(record.result_nodes.clone());
        progress.leave_out(left_out(&outcome.node_errors));
        match outcome.status {
            Status::Pending => {}
            Status::Running => {
                progress.started();
            }
            over => {
                let files = outcome.outputs.iter().map(|(node, files)| (&**node, &**files));
                progress.restore(over, outcome.error.clone(), files);
            }
        }
        Self {
            progress,
            handover,
            gap: false,
            closed: false,
            unreadable: None,
            cancel_asked: outcome.cancel_asked,
            heard: now,
            recorded: true,
            queued_at: summary.queued_at,
            started_at: outcome.started_at,
            finished_at: outcome.finished_at,
            warnings: outcome.warnings.clone(),
            node_errors: outcome.node_errors.clone(),
            live: Live::new(&summary.client_id, &summary.workflow_id),
        }
    }

    /// What became of the job so far.
    pub fn outcome(&self) -> Outcome {
        let nodes = self.progress.node_outputs().into_iter();
        let files = nodes.map(|(id, node)| {
            (id.to_owned(), node.items.into_iter().map(|reported| reported.file.clone()).collect())
        });
        Outcome {
            status: self.progress.status(),
            accepted: self.is_accepted(),
            cancel_asked: self.cancel_asked,
            started_at: self.started_at,
            finished_at: self.finished_at,
            error: self.progress.error().map(str::to_owned),
            warnings: self.warnings.clone(),
            node_errors: self.node_errors.clone(),
            outputs: files.collect(),
        }
    }
}
