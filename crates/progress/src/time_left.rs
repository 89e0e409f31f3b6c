//! The remaining time of a job.

use std::time::Duration;

use crate::expected::mean;
use crate::progress::{NodeMark, Progress};
use crate::running::RunningNode;

impl Progress {
    /// Returns the remaining time of the job, or `None` while it is unknown.
    ///
    /// It is the time of the running nodes (the longest of them, as they run concurrently) and of the nodes to come. A node
    /// without an expected duration counts as the mean of the nodes that finished in this job.
    pub fn time_left(&self, now: Duration) -> Option<Duration> {
        let so_far = mean(self.durations.iter().map(|(_, took)| *took));
        let left = self.running.iter().map(|run| self.left_of(run, now, so_far));
        let now_left = left.reduce(|one, other| Some(one?.max(other?))).unwrap_or(Some(Duration::ZERO))?;
        let mut to_come =
            (0..self.nodes.len()).filter(|&at| self.runs(at) && self.nodes[at] == NodeMark::Waiting);
        to_come.try_fold(now_left, |left, at| left.checked_add(self.expected_of(at).or(so_far)?))
    }

    fn left_of(&self, run: &RunningNode, now: Duration, so_far: Option<Duration>) -> Option<Duration> {
        let elapsed = now.saturating_sub(run.since);
        let by_rate = run.steps.left(now);
        let Some(expected) = self.expected_of(run.node) else {
            return if run.steps.total > 0.0 { by_rate } else { Some(so_far?.saturating_sub(elapsed)) };
        };
        let by_clock = expected.saturating_sub(elapsed);
        match by_rate {
            // The rate is uncertain at the first steps, and nearly exact at the last ones.
            Some(by_rate) if run.counts() => {
                let certainty = run.steps.fraction();
                let left = by_rate.as_secs_f64() * certainty + by_clock.as_secs_f64() * (1.0 - certainty);
                Duration::try_from_secs_f64(left).ok()
            }
            _ => Some(by_clock),
        }
    }
}
