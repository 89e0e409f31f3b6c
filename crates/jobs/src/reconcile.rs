//! What became of jobs of which nothing is heard: they are held against ComfyUI's queue and history.

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::Status;
use comfy_runner_protocol::{HistoryEntry, Queue};

use crate::table::{Job, Jobs};

/// Where ComfyUI says that a prompt is.
pub(crate) enum Standing {
    /// It waits.
    Pending,
    /// It runs.
    Running,
    /// It is over.
    Ended(Box<HistoryEntry>),
    /// ComfyUI does not know it.
    Unknown,
}

impl Standing {
    /// Looks for a prompt in a queue that was just fetched, and then in the history. In this order nothing slips
    /// through: ComfyUI moves a prompt from the one to the other in one step.
    pub async fn look_up(client: &Client, queue: &Queue, prompt_id: &str) -> Result<Self, ClientError> {
        if queue.is_running(prompt_id) {
            return Ok(Self::Running);
        }
        if queue.is_pending(prompt_id) {
            return Ok(Self::Pending);
        }
        Ok(client.history(prompt_id).await?.map_or(Self::Unknown, |entry| Self::Ended(Box::new(entry))))
    }
}

impl Job {
    /// Takes ComfyUI's word for where the job is.
    fn settle(&mut self, standing: Standing) {
        match standing {
            Standing::Pending => {}
            Standing::Running => {
                self.progress.started();
            }
            Standing::Ended(entry) => {
                self.progress.finish(&entry);
                (self.gap, self.closed) = (false, false);
            }
            Standing::Unknown => self.vanish(),
        }
    }

    /// The job is neither in the queue nor in the history.
    fn vanish(&mut self) {
        // A pending prompt that somebody deletes leaves without a word. With the connection lost meanwhile, ComfyUI has
        // most likely restarted: it then drops its queue and its history.
        if self.progress.status() == Status::Pending && !self.gap {
            self.progress.cancelled();
        } else {
            self.progress.failed(
                "ComfyUI no longer knows this job: it restarted and dropped its queue, or somebody cleared it; run it \
                 again",
            );
        }
        (self.gap, self.closed) = (false, false);
    }
}

/// Holds jobs against ComfyUI: those of which nothing was heard for a while or of which only the history knows the end, or
/// `all` of them. A job that ComfyUI may
/// not have taken yet is left alone.
pub(crate) async fn reconcile(jobs: &Jobs, client: &Client, all: bool) -> Result<(), ClientError> {
    let now = jobs.now();
    let silence = jobs.config().silence;
    let due: Vec<String> = {
        let mut table = jobs.table();
        let due = table
            .open()
            .filter(|job| job.accepted && (all || job.closed || now.saturating_sub(job.heard) >= silence));
        due.map(|job| {
            job.heard = now;
            job.progress.prompt_id().to_owned()
        })
        .collect()
    };
    if due.is_empty() {
        return Ok(());
    }
    let queue = client.queue().await?;
    for prompt_id in due {
        let standing = Standing::look_up(client, &queue, &prompt_id).await?;
        jobs.change(&prompt_id, |job| job.settle(standing));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::table::tests::{jobs, status};

    fn settled(gap: bool, runs: bool, standing: Standing) -> (Jobs, Status) {
        let jobs = jobs(&["p"], 10);
        jobs.change("p", |job| {
            job.gap = gap;
            if runs {
                job.progress.started();
            }
            job.settle(standing);
        });
        let status = status(&jobs, "p").unwrap();
        (jobs, status)
    }

    fn recorded_history(name: &str) -> HistoryEntry {
        let path = format!("{}/../../fixtures/recordings/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let by_id = recording["history"].as_object().unwrap().values().next().unwrap();
        serde_json::from_value(by_id.as_object().unwrap().values().next().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_the_queue_says_is_true() {
        assert_eq!(settled(true, false, Standing::Pending).1, Status::Pending);
        assert_eq!(settled(true, false, Standing::Running).1, Status::Running);
    }

    #[test]
    fn what_the_history_says_is_the_end() {
        let ended = |name: &str| settled(true, true, Standing::Ended(Box::new(recorded_history(name)))).1;
        assert_eq!(ended("success_with_preview"), Status::Completed);
        assert_eq!(ended("runtime_error"), Status::Error);
        assert_eq!(ended("interrupted"), Status::Cancelled);
    }

    #[test]
    fn a_pending_job_that_vanishes_was_deleted_and_any_other_was_lost() {
        assert_eq!(settled(false, false, Standing::Unknown).1, Status::Cancelled);
        for (gap, runs) in [(true, false), (false, true), (true, true)] {
            let (jobs, status) = settled(gap, runs, Standing::Unknown);
            assert_eq!(status, Status::Error, "gap {gap}, runs {runs}");
            let reason = jobs.with_progress("p", |progress, _| progress.error().map(str::to_owned));
            assert!(reason.flatten().unwrap().contains("restarted"));
        }
    }
}
