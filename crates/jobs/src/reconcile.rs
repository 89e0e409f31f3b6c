//! What became of jobs of which nothing is heard: they are held against ComfyUI's queue and history.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::Status;
use comfy_runner_protocol::{HistoryEntry, Queue};

use crate::lost::{Loss, Undecided};
use crate::table::{Handover, Job, Jobs};

/// A queue in which prompts are found at once, however many there are.
pub(crate) struct Positions<'a> {
    running: HashSet<&'a str>,
    /// How many wait before each.
    pending: HashMap<&'a str, usize>,
}

impl<'a> Positions<'a> {
    pub fn of(queue: &'a Queue) -> Self {
        let mut waiting: Vec<_> = queue.queue_pending.iter().collect();
        waiting.sort_by(|a, b| a.number.total_cmp(&b.number));
        let pending = waiting.into_iter().enumerate().map(|(before, item)| (item.prompt_id.as_str(), before));
        let running = queue.queue_running.iter().map(|item| item.prompt_id.as_str());
        Self { running: running.collect(), pending: pending.collect() }
    }

    /// How many prompts are before this one; 0 is the one that runs.
    pub fn position(&self, prompt_id: &str) -> Option<usize> {
        if self.running.contains(prompt_id) {
            return Some(0);
        }
        // Also when nothing runs at this moment, the first that waits is not the one that runs.
        Some(self.pending.get(prompt_id)? + self.running.len().max(1))
    }
}

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
    pub async fn look_up(
        client: &Client,
        queue: &Positions<'_>,
        prompt_id: &str,
    ) -> Result<Self, ClientError> {
        if queue.running.contains(prompt_id) {
            return Ok(Self::Running);
        }
        if queue.pending.contains_key(prompt_id) {
            return Ok(Self::Pending);
        }
        Ok(client.history(prompt_id).await?.map_or(Self::Unknown, |entry| Self::Ended(Box::new(entry))))
    }
}

impl Job {
    /// Takes ComfyUI's word for where the job is. Says so if it is lost; then it is for the caller to end it. A prompt
    /// that may still be on its way gets `patience`.
    pub(crate) fn settle(&mut self, standing: Standing, now: Duration, patience: Duration) -> Option<Loss> {
        match standing {
            Standing::Unknown => return self.vanish(now, patience),
            Standing::Pending => {}
            Standing::Running => {
                self.progress.started();
            }
            Standing::Ended(entry) => {
                let (started, finished) = entry.times();
                let time = |time: Option<u64>| time.and_then(|time| i64::try_from(time).ok());
                self.started_at = self.started_at.or(time(started));
                self.finished_at = self.finished_at.or(time(finished));
                self.progress.finish(&entry);
                (self.gap, self.closed) = (false, false);
            }
        }
        self.handover = Handover::Taken;
        None
    }

    /// The job is neither in the queue nor in the history.
    fn vanish(&mut self, now: Duration, patience: Duration) -> Option<Loss> {
        let over = self.progress.status().is_over();
        match self.handover {
            _ if over => {}
            Handover::UnderWay => return None,
            // It had been found there before somebody asked for it to be stopped, and now it is gone: that will do,
            // whatever happened. Above all it is not submitted again.
            Handover::Taken if self.cancel_asked => {
                self.progress.cancelled();
            }
            Handover::Undecided(since) | Handover::Inherited(since) => {
                let inherited = self.handover == Handover::Inherited(since);
                let lost = now.saturating_sub(since) >= patience;
                if !lost || !self.cancel_asked {
                    return lost.then_some(Loss::NeverTaken { inherited });
                }
                self.progress.cancelled();
            }
            // With the connection lost meanwhile, ComfyUI has most likely restarted: it then drops its queue and its
            // history. A prompt that runs does not leave without a word either.
            Handover::Taken if self.gap || self.progress.status() != Status::Pending => {
                return Some(Loss::Dropped);
            }
            // A pending prompt that somebody deletes leaves without a word.
            Handover::Taken => {
                self.progress.cancelled();
            }
        }
        (self.gap, self.closed) = (false, false);
        None
    }
}

/// Holds jobs against ComfyUI: those of which nothing was heard for a while or of which only the history knows the end, or
/// `all` of them. A job that ComfyUI may not have taken yet is left alone.
pub(crate) async fn reconcile(jobs: &Jobs, client: &Client, all: bool) -> Result<(), Undecided> {
    let due = due(jobs, all);
    if due.is_empty() {
        return Ok(());
    }
    let queue = client.queue().await?;
    let queue = Positions::of(&queue);
    for prompt_id in due {
        let standing = Standing::look_up(client, &queue, &prompt_id).await?;
        let (now, patience) = (jobs.now(), jobs.config().silence);
        let loss = jobs.change(&prompt_id, |job| job.settle(standing, now, patience)).flatten();
        if let Some(loss) = loss {
            jobs.lose(client, &prompt_id, loss).await?;
        }
    }
    Ok(())
}

/// The jobs to look at, in the order in which they came: those that are lost go back into the queue in it.
pub(crate) fn due(jobs: &Jobs, all: bool) -> Vec<String> {
    let now = jobs.now();
    let silence = jobs.config().silence;
    let mut table = jobs.table();
    let mut due: Vec<_> = table
        .open()
        .filter(|job| job.handover != Handover::UnderWay)
        .filter(|job| all || job.closed || now.saturating_sub(job.heard) >= silence)
        .map(|job| {
            job.heard = now;
            (job.queued_at, job.progress.prompt_id().to_owned())
        })
        .collect();
    due.sort();
    due.into_iter().map(|(_, prompt_id)| prompt_id).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::table::tests::{jobs, status};

    const PATIENCE: Duration = Duration::from_secs(5);

    fn settled(gap: bool, runs: bool, standing: Standing) -> (Status, Option<Loss>) {
        let jobs = jobs(&["p"], 10);
        let loss = jobs.change("p", |job| {
            job.gap = gap;
            if runs {
                job.progress.started();
            }
            job.settle(standing, Duration::ZERO, PATIENCE)
        });
        (status(&jobs, "p").unwrap(), loss.unwrap())
    }

    fn recorded_history(name: &str) -> HistoryEntry {
        let path = format!("{}/../../fixtures/recordings/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let by_id = recording["history"].as_object().unwrap().values().next().unwrap();
        serde_json::from_value(by_id.as_object().unwrap().values().next().unwrap().clone()).unwrap()
    }

    #[test]
    fn places_in_the_queue_are_counted_in_the_order_in_which_comfyui_will_run_them() {
        let queue = r#"{"queue_running": [[5, "runs"]], "queue_pending": [[9, "last"], [7, "next"], [-8, "at the front"]]}"#;
        let queue: Queue = serde_json::from_str(queue).unwrap();
        let positions = Positions::of(&queue);
        let places = ["runs", "at the front", "next", "last", "unknown"].map(|id| positions.position(id));
        assert_eq!(places, [Some(0), Some(1), Some(2), Some(3), None]);
    }

    #[test]
    fn what_the_queue_says_is_true() {
        assert_eq!(settled(true, false, Standing::Pending).0, Status::Pending);
        assert_eq!(settled(true, false, Standing::Running).0, Status::Running);
    }

    #[test]
    fn what_the_history_says_is_the_end() {
        let ended = |name: &str| settled(true, true, Standing::Ended(Box::new(recorded_history(name)))).0;
        assert_eq!(ended("success_with_preview"), Status::Completed);
        assert_eq!(ended("runtime_error"), Status::Error);
        assert_eq!(ended("interrupted"), Status::Cancelled);
    }

    #[test]
    fn a_pending_job_that_vanishes_was_deleted_and_any_other_was_lost() {
        assert_eq!(settled(false, false, Standing::Unknown), (Status::Cancelled, None));
        for (gap, runs) in [(true, false), (false, true), (true, true)] {
            assert_eq!(
                settled(gap, runs, Standing::Unknown).1,
                Some(Loss::Dropped),
                "gap {gap}, runs {runs}"
            );
        }
    }

    #[test]
    fn a_prompt_that_may_be_on_its_way_is_waited_for_and_then_was_never_taken() {
        let at = Duration::from_secs;
        for (handover, inherited) in [(Handover::Undecided(at(1)), false), (Handover::Inherited(at(1)), true)]
        {
            let jobs = jobs(&["p"], 10);
            let settle = |standing, now| jobs.change("p", |job| job.settle(standing, now, PATIENCE)).unwrap();
            jobs.change("p", |job| job.handover = handover);
            assert_eq!(settle(Standing::Unknown, at(5)), None);
            assert_eq!(settle(Standing::Unknown, at(6)), Some(Loss::NeverTaken { inherited }));
            assert_eq!(settle(Standing::Pending, at(7)), None);
            assert!(jobs.table().get("p").unwrap().is_taken(), "whoever has it has taken it");
        }
    }

    #[test]
    fn a_job_that_is_over_stays_what_it_is_when_comfyui_forgets_it() {
        let jobs = jobs(&["p"], 10);
        let loss = jobs.change("p", |job| {
            job.gap = true;
            job.progress.failed("it broke");
            job.settle(Standing::Unknown, Duration::ZERO, PATIENCE)
        });
        assert_eq!((loss.unwrap(), status(&jobs, "p")), (None, Some(Status::Error)));
        assert_eq!(jobs.table().open().count(), 0);
    }

    #[test]
    fn jobs_are_looked_at_in_the_order_in_which_they_came_and_those_under_way_not_at_all() {
        let jobs = jobs(&["c", "a", "b", "d"], 10);
        for (id, queued_at) in [("a", 1), ("b", 2), ("c", 3)] {
            jobs.change(id, |job| job.queued_at = queued_at);
        }
        jobs.change("d", |job| job.handover = Handover::UnderWay);
        assert_eq!(due(&jobs, true), ["a", "b", "c"]);
        assert!(due(&jobs, false).is_empty(), "somebody has just looked");
    }
}
