//! What became of jobs of which nothing is heard: they are held against ComfyUI's queue and history.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_runner_client::{Client, ClientError};
use comfy_runner_progress::Status;
use futures::{StreamExt as _, stream};

use crate::lost::Loss;
use crate::remote::{QueuePositions, RemoteState};
use crate::table::{Handover, Job, Jobs, JobsConfig};

/// As many jobs are looked up at once.
const LOOK_UPS_AT_ONCE: usize = 8;

/// Answers about a job from which it cannot be seen what became of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unreadable {
    /// When the first of them came.
    since: Duration,
    /// How many came.
    tries: u32,
}

impl Job {
    /// Takes ComfyUI's word for where the job is. Says so if it is lost; then it is for the caller to end it.
    pub(crate) fn settle(&mut self, state: RemoteState, now: Duration, config: &JobsConfig) -> Option<Loss> {
        if let RemoteState::Unreadable { error, has_left } = state {
            self.not_read(&error, has_left, now, config);
            return None;
        }
        self.unreadable = None;
        match state {
            RemoteState::Unknown => return self.vanish(now, config.silence),
            RemoteState::Pending | RemoteState::Unreadable { .. } => {}
            RemoteState::Running => {
                self.progress.started();
            }
            RemoteState::Ended(entry) => {
                let (started, finished) = entry.times();
                let time = |time: Option<u64>| time.and_then(|time| i64::try_from(time).ok());
                self.started_at = self.started_at.or(time(started));
                self.finished_at = self.finished_at.or(time(finished));
                self.progress.finish(&entry);
                (self.gap, self.closed) = (false, false);
            }
        }
        self.handover = Handover::Accepted;
        None
    }

    /// ComfyUI's answer does not tell what became of the job. It is asked again some times, and then the job ends.
    fn not_read(&mut self, error: &ClientError, has_left: bool, now: Duration, config: &JobsConfig) {
        if self.handover == Handover::InFlight {
            return;
        }
        let Unreadable { since, tries } = self.unreadable.unwrap_or(Unreadable { since: now, tries: 0 });
        let tries = tries + 1;
        self.unreadable = Some(Unreadable { since, tries });
        let given_up = tries >= config.unreadable_tries && now.saturating_sub(since) >= config.unreadable_for;
        // A job that was to stop and does not run any more has stopped.
        if self.cancel_asked && (has_left || given_up) {
            self.progress.cancelled();
        } else if given_up {
            let reason = error.without_address();
            self.progress.failed(format!("it cannot be found out how the job ended: {reason}; run it again"));
        } else {
            return;
        }
        self.unreadable = None;
        (self.gap, self.closed) = (false, false);
    }

    /// The job is neither in the queue nor in the history.
    fn vanish(&mut self, now: Duration, patience: Duration) -> Option<Loss> {
        let over = self.progress.status().is_over();
        match self.handover {
            _ if over => {}
            Handover::InFlight => return None,
            // It had been found there before somebody asked for it to be stopped, and now it is gone: that will do,
            // whatever happened. Above all it is not submitted again.
            Handover::Accepted if self.cancel_asked => {
                self.progress.cancelled();
            }
            Handover::Unconfirmed(since) | Handover::Recovered(since) => {
                let recovered = self.handover == Handover::Recovered(since);
                let lost = now.saturating_sub(since) >= patience;
                if !lost || !self.cancel_asked {
                    return lost.then_some(Loss::NeverAccepted { recovered });
                }
                self.progress.cancelled();
            }
            // With the connection lost meanwhile, ComfyUI has most likely restarted: it then drops its queue and its
            // history. A prompt that runs does not leave without a word either.
            Handover::Accepted if self.gap || self.progress.status() != Status::Pending => {
                return Some(Loss::Dropped);
            }
            // A pending prompt that somebody deletes leaves without a word.
            Handover::Accepted => {
                self.progress.cancelled();
            }
        }
        (self.gap, self.closed) = (false, false);
        None
    }
}

/// Holds jobs against ComfyUI: those of which nothing was heard for a while or of which only the history knows the end, or
/// `all` of them. A job that ComfyUI may not have taken yet is left alone. What goes wrong with one job is no hindrance for
/// another.
///
/// # Errors
/// ComfyUI does not answer.
pub(crate) async fn reconcile(jobs: &Jobs, client: &Client, all: bool) -> Result<(), ClientError> {
    let due = due(jobs, all);
    if due.is_empty() {
        return Ok(());
    }
    // A few are asked for one by one where that is possible: the queue holds the graphs of all.
    let queue = match due.len() <= LOOK_UPS_AT_ONCE && jobs.may_ask_for_one() {
        true => None,
        false => Some(QueuePositions::fetch(client).await?),
    };
    let look_ups = due.iter().enumerate().map(|(place, prompt_id)| {
        let queue = queue.as_ref();
        async move {
            let state = match queue {
                Some(queue) => RemoteState::look_up(client, queue, prompt_id).await,
                None => jobs.look_up(client, prompt_id).await,
            };
            (place, prompt_id, state)
        }
    });
    let mut look_ups = stream::iter(look_ups).buffer_unordered(LOOK_UPS_AT_ONCE);
    let mut lost = BTreeMap::new();
    let mut silence = Ok(());
    while let Some((place, prompt_id, state)) = look_ups.next().await {
        match state {
            Ok(state) => {
                if let Some(loss) = jobs.settle(prompt_id, state) {
                    lost.insert(place, (prompt_id, loss));
                }
            }
            Err(error) => silence = Err(error),
        }
    }
    for (prompt_id, loss) in lost.into_values() {
        if let Err(error) = jobs.lose(client, prompt_id, loss).await {
            tracing::warn!(prompt_id, %error, "it cannot be decided what becomes of a lost job; will try again");
        }
    }
    silence
}

impl Jobs {
    /// Takes ComfyUI's word for where a job is. See [`Job::settle`].
    pub(crate) fn settle(&self, prompt_id: &str, state: RemoteState) -> Option<Loss> {
        let now = self.now();
        self.change(prompt_id, |job| job.settle(state, now, self.config())).flatten()
    }
}

/// The jobs to look at, in the order in which they came: those that are lost go back into the queue in it.
pub(crate) fn due(jobs: &Jobs, all: bool) -> Vec<String> {
    let now = jobs.now();
    let silence = jobs.config().silence;
    let mut table = jobs.table();
    let mut due: Vec<_> = table
        .open()
        .filter(|job| job.handover != Handover::InFlight)
        .filter(|job| {
            // One that only the history can end is looked up at once, but not again and again.
            let at_once = job.closed && job.unreadable.is_none();
            all || at_once || now.saturating_sub(job.heard) >= silence
        })
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
    use comfy_runner_protocol::HistoryEntry;
    use serde_json::Value;

    use super::*;
    use crate::table::tests::{jobs, status};

    fn config() -> JobsConfig {
        JobsConfig { silence: Duration::from_secs(5), ..JobsConfig::default() }
    }

    fn settled(gap: bool, runs: bool, state: RemoteState) -> (Status, Option<Loss>) {
        let jobs = jobs(&["p"], 10);
        let loss = jobs.change("p", |job| {
            job.gap = gap;
            if runs {
                job.progress.started();
            }
            job.settle(state, Duration::ZERO, &config())
        });
        (status(&jobs, "p").unwrap(), loss.unwrap())
    }

    fn recorded_history(name: &str) -> HistoryEntry {
        let path = format!("{}/../../fixtures/recordings/0.33.0/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let by_id = recording["history"].as_object().unwrap().values().next().unwrap();
        serde_json::from_value(by_id.as_object().unwrap().values().next().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_the_queue_says_is_true() {
        assert_eq!(settled(true, false, RemoteState::Pending).0, Status::Pending);
        assert_eq!(settled(true, false, RemoteState::Running).0, Status::Running);
    }

    #[test]
    fn what_the_history_says_is_the_end() {
        let ended = |name: &str| settled(true, true, RemoteState::Ended(Box::new(recorded_history(name)))).0;
        assert_eq!(ended("success_with_preview"), Status::Completed);
        assert_eq!(ended("runtime_error"), Status::Error);
        assert_eq!(ended("interrupted"), Status::Cancelled);
    }

    #[test]
    fn a_pending_job_that_vanishes_was_deleted_and_any_other_was_lost() {
        assert_eq!(settled(false, false, RemoteState::Unknown), (Status::Cancelled, None));
        for (gap, runs) in [(true, false), (false, true), (true, true)] {
            assert_eq!(
                settled(gap, runs, RemoteState::Unknown).1,
                Some(Loss::Dropped),
                "gap {gap}, runs {runs}"
            );
        }
    }

    #[test]
    fn a_prompt_that_may_be_on_its_way_is_waited_for_and_then_was_never_taken() {
        let at = Duration::from_secs;
        for (handover, recovered) in
            [(Handover::Unconfirmed(at(1)), false), (Handover::Recovered(at(1)), true)]
        {
            let jobs = jobs(&["p"], 10);
            let settle = |state, now| jobs.change("p", |job| job.settle(state, now, &config())).unwrap();
            jobs.change("p", |job| job.handover = handover);
            assert_eq!(settle(RemoteState::Unknown, at(5)), None);
            assert_eq!(settle(RemoteState::Unknown, at(6)), Some(Loss::NeverAccepted { recovered }));
            assert_eq!(settle(RemoteState::Pending, at(7)), None);
            assert!(jobs.table().get("p").unwrap().is_accepted(), "whoever has it has taken it");
        }
    }

    #[test]
    fn a_job_that_is_over_stays_what_it_is_when_comfyui_forgets_it() {
        let jobs = jobs(&["p"], 10);
        let loss = jobs.change("p", |job| {
            job.gap = true;
            job.progress.failed("it broke");
            job.settle(RemoteState::Unknown, Duration::ZERO, &config())
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
        jobs.change("d", |job| job.handover = Handover::InFlight);
        assert_eq!(due(&jobs, true), ["a", "b", "c"]);
        assert!(due(&jobs, false).is_empty(), "somebody has just looked");
    }
    fn unreadable(has_left: bool) -> RemoteState {
        let (address, request) = ("10.0.0.7:8188".to_owned(), "GET /history/p".to_owned());
        let error = ClientError::Status { address, request, status: 500, hint: String::new() };
        RemoteState::Unreadable { error, has_left }
    }

    #[test]
    fn a_job_whose_history_stays_unreadable_ends_after_some_tries_and_some_time() {
        let at = Duration::from_secs;
        let config = JobsConfig { unreadable_tries: 3, unreadable_for: at(60), ..JobsConfig::default() };
        let jobs = jobs(&["p"], 10);
        let settle = |state, now| {
            assert_eq!(jobs.change("p", |job| job.settle(state, now, &config)), Some(None));
            status(&jobs, "p").unwrap()
        };
        assert_eq!(settle(unreadable(true), at(0)), Status::Pending);
        assert_eq!(settle(unreadable(true), at(100)), Status::Pending, "two tries are too few");
        assert_eq!(settle(RemoteState::Running, at(101)), Status::Running, "and it starts anew");
        for now in [200, 201, 202, 203, 259] {
            assert_eq!(settle(unreadable(false), at(now)), Status::Running, "59 seconds are too few");
        }
        assert_eq!(settle(unreadable(false), at(260)), Status::Error);
        let error = jobs.with_progress("p", |progress, _| progress.error().unwrap().to_owned()).unwrap();
        assert_eq!(
            error,
            "it cannot be found out how the job ended: ComfyUI answered GET /history/p with 500; run it again"
        );
        assert_eq!(jobs.table().open().count(), 0);
    }

    #[test]
    fn a_job_that_was_to_stop_and_has_left_the_queue_is_cancelled_whatever_its_history() {
        let jobs = jobs(&["p", "q"], 10);
        for (id, has_left) in [("p", true), ("q", false)] {
            jobs.change(id, |job| {
                job.cancel_asked = true;
                job.settle(unreadable(has_left), Duration::ZERO, &config())
            });
        }
        assert_eq!(status(&jobs, "p"), Some(Status::Cancelled));
        assert_eq!(status(&jobs, "q"), Some(Status::Pending), "it may still run");
    }

    #[test]
    fn a_job_that_is_over_stays_what_it_is_when_its_history_stays_unreadable() {
        let jobs = jobs(&["p"], 10);
        let config = JobsConfig { unreadable_tries: 1, unreadable_for: Duration::ZERO, ..config() };
        jobs.change("p", |job| {
            job.gap = true;
            job.progress.failed("it broke");
            job.settle(unreadable(true), Duration::ZERO, &config)
        });
        let error = jobs.with_progress("p", |progress, _| progress.error().map(str::to_owned)).unwrap();
        assert_eq!((status(&jobs, "p"), error.as_deref()), (Some(Status::Error), Some("it broke")));
        assert_eq!(jobs.table().open().count(), 0);
    }

    #[test]
    fn a_job_whose_history_was_unreadable_is_looked_up_again_only_after_a_silence() {
        let jobs = jobs(&["p"], 10);
        jobs.change("p", |job| job.closed = true);
        assert_eq!(due(&jobs, false), ["p"]);
        assert_eq!(due(&jobs, false), ["p"], "at once");
        jobs.settle("p", unreadable(true));
        assert!(due(&jobs, false).is_empty());
    }
}
