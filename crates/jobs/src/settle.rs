//! What ComfyUI's queue and history mean for a job.

use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_client::ClientError;

use crate::config::JobsConfig;
use crate::job::{Job, SubmissionState};
use crate::lost_jobs::Loss;
use crate::remote_state::RemoteState;

/// Unreadable answers about a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unreadable {
    /// When the first of them came.
    since: Duration,
    /// Their number.
    tries: u32,
}

impl Job {
    /// Applies what ComfyUI says of the job. Returns how the job was lost, if it was; the caller then ends it.
    pub(crate) fn settle(&mut self, state: RemoteState, now: Duration, config: &JobsConfig) -> Option<Loss> {
        if let RemoteState::Unreadable { error, has_left } = state {
            self.count_unreadable(&error, has_left, now, config);
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
                self.close_history();
            }
        }
        self.submission = SubmissionState::Accepted;
        None
    }

    /// Counts an unreadable answer. ComfyUI is asked again some times, and then the job ends.
    fn count_unreadable(&mut self, error: &ClientError, has_left: bool, now: Duration, config: &JobsConfig) {
        if matches!(self.submission, SubmissionState::InFlight | SubmissionState::Waiting) {
            return;
        }
        let Unreadable { since, tries } = self.unreadable.unwrap_or(Unreadable { since: now, tries: 0 });
        let tries = tries + 1;
        self.unreadable = Some(Unreadable { since, tries });
        let given_up = tries >= config.unreadable_tries && now.saturating_sub(since) >= config.unreadable_for;
        // A job that was to be cancelled and no longer runs has stopped.
        if self.cancel_asked && (has_left || given_up) {
            self.progress.cancelled();
        } else if given_up {
            let reason = error.without_address();
            self.progress.failed(format!("it cannot be found out how the job ended: {reason}; run it again"));
        } else {
            return;
        }
        self.unreadable = None;
        self.close_history();
    }

    /// Handles a job that is neither in the queue nor in the history.
    fn vanish(&mut self, now: Duration, patience: Duration) -> Option<Loss> {
        match self.submission {
            _ if self.is_over() => {}
            SubmissionState::InFlight | SubmissionState::Waiting => return None,
            // It was in ComfyUI before the request to cancel it, and now it is not. However that happened, the caller asked
            // for it; above all it must not be submitted again.
            SubmissionState::Accepted if self.cancel_asked => {
                self.progress.cancelled();
            }
            SubmissionState::Unconfirmed(since) | SubmissionState::Recovered(since) => {
                let recovered = self.submission == SubmissionState::Recovered(since);
                let lost = now.saturating_sub(since) >= patience;
                if !lost || !self.cancel_asked {
                    return lost.then_some(Loss::NeverAccepted { recovered });
                }
                self.progress.cancelled();
            }
            // If the connection was lost meanwhile, ComfyUI has most likely restarted, and dropped its queue and history.
            // A running prompt does not vanish without a message either.
            SubmissionState::Accepted
                if self.missed_messages || self.progress.status() != Status::Pending =>
            {
                return Some(Loss::Dropped);
            }
            // A pending prompt that is deleted from the queue vanishes without a message.
            SubmissionState::Accepted => {
                self.progress.cancelled();
            }
        }
        self.close_history();
        None
    }
}

#[cfg(test)]
mod tests {
    use comfy_runner_protocol::HistoryEntry;
    use serde_json::Value;

    use super::*;
    use crate::jobs::tests::{jobs, status};

    fn config() -> JobsConfig {
        JobsConfig { silence: Duration::from_secs(5), ..JobsConfig::default() }
    }

    fn settled(missed: bool, runs: bool, state: RemoteState) -> (Status, Option<Loss>) {
        let jobs = jobs(&["p"], 10);
        let loss = jobs.change("p", |job| {
            job.missed_messages = missed;
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
    fn the_queue_gives_the_status_of_an_open_job() {
        assert_eq!(settled(true, false, RemoteState::Pending).0, Status::Pending);
        assert_eq!(settled(true, false, RemoteState::Running).0, Status::Running);
    }

    #[test]
    fn the_history_gives_the_status_of_an_ended_job() {
        let ended = |name: &str| settled(true, true, RemoteState::Ended(Box::new(recorded_history(name)))).0;
        assert_eq!(ended("success_with_preview"), Status::Completed);
        assert_eq!(ended("runtime_error"), Status::Error);
        assert_eq!(ended("interrupted"), Status::Cancelled);
    }

    #[test]
    fn a_pending_job_that_vanishes_was_deleted_and_any_other_was_lost() {
        assert_eq!(settled(false, false, RemoteState::Unknown), (Status::Cancelled, None));
        for (missed, runs) in [(true, false), (false, true), (true, true)] {
            assert_eq!(
                settled(missed, runs, RemoteState::Unknown).1,
                Some(Loss::Dropped),
                "missed {missed}, runs {runs}"
            );
        }
    }

    #[test]
    fn a_prompt_that_may_be_on_its_way_is_waited_for_and_then_was_never_accepted() {
        let at = Duration::from_secs;
        for (submission, recovered) in
            [(SubmissionState::Unconfirmed(at(1)), false), (SubmissionState::Recovered(at(1)), true)]
        {
            let jobs = jobs(&["p"], 10);
            let settle = |state, now| jobs.change("p", |job| job.settle(state, now, &config())).unwrap();
            jobs.change("p", |job| job.submission = submission);
            assert_eq!(settle(RemoteState::Unknown, at(5)), None);
            assert_eq!(settle(RemoteState::Unknown, at(6)), Some(Loss::NeverAccepted { recovered }));
            assert_eq!(settle(RemoteState::Pending, at(7)), None);
            assert!(jobs.lock().table.get("p").unwrap().is_accepted(), "ComfyUI has it");
        }
    }

    #[test]
    fn a_job_that_is_over_stays_what_it_is_when_comfyui_forgets_it() {
        let jobs = jobs(&["p"], 10);
        let loss = jobs.change("p", |job| {
            job.missed_messages = true;
            job.progress.failed("it broke");
            job.settle(RemoteState::Unknown, Duration::ZERO, &config())
        });
        assert_eq!((loss.unwrap(), status(&jobs, "p")), (None, Some(Status::Error)));
        assert_eq!(jobs.lock().table.open().count(), 0);
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
        assert_eq!(settle(RemoteState::Running, at(101)), Status::Running, "and it starts again");
        for now in [200, 201, 202, 203, 259] {
            assert_eq!(settle(unreadable(false), at(now)), Status::Running, "59 seconds are too few");
        }
        assert_eq!(settle(unreadable(false), at(260)), Status::Error);
        let error = jobs.with_progress("p", |progress, _| progress.error().unwrap().to_owned()).unwrap();
        assert_eq!(
            error,
            "it cannot be found out how the job ended: ComfyUI answered GET /history/p with 500; run it again"
        );
        assert_eq!(jobs.lock().table.open().count(), 0);
    }

    #[test]
    fn a_job_that_was_to_stop_and_has_left_the_queue_is_cancelled_whatever_the_history_says() {
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
            job.missed_messages = true;
            job.progress.failed("it broke");
            job.settle(unreadable(true), Duration::ZERO, &config)
        });
        let error = jobs.with_progress("p", |progress, _| progress.error().map(str::to_owned)).unwrap();
        assert_eq!((status(&jobs, "p"), error.as_deref()), (Some(Status::Error), Some("it broke")));
        assert_eq!(jobs.lock().table.open().count(), 0);
    }
}
