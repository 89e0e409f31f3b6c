//! How much of a job is done, and how long it will still take.

use std::time::Duration;

use crate::durations::Durations;
use crate::outline::{Outline, Position};
use crate::progress::{NodeMark, Progress};
use crate::running::RunningNode;

/// A node that takes longer than expected stays at this part of its way, from 0 to 1.
const NEARLY_DONE: f64 = 0.95;

/// No node is expected to take less, so that each moves percent a little.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long each node of a job is expected to take, by position.
#[derive(Debug, Clone)]
pub(crate) struct Expected(Box<[Duration]>);

impl Expected {
    /// What earlier jobs tell; a node of whose class they tell nothing gets the mean of the others. `None` where they
    /// tell nothing of any node.
    fn new(outline: &Outline, history: &Durations) -> Option<Self> {
        let known: Vec<Option<Duration>> = (0..outline.len())
            .map(|at| history.expected(outline.class_type(at), outline.steps(at)))
            .map(|known| known.map(|known| known.max(SHORTEST)))
            .collect();
        let of_those_that_count = known.iter().enumerate().filter(|&(at, _)| !outline.does_nothing(at));
        let mean = mean(of_those_that_count.filter_map(|(_, known)| *known))?;
        Some(Self(known.into_iter().map(|known| known.unwrap_or(mean)).collect()))
    }
}

impl Progress {
    /// Looks up what earlier jobs tell of this one's nodes, once.
    pub(crate) fn weigh(&mut self) {
        if let Some(history) = self.history.take() {
            self.expected = Expected::new(&self.outline, &history);
        }
    }

    /// Brings percent up to now. It never falls.
    pub(crate) fn move_percent(&mut self) {
        self.weigh();
        self.percent = self.percent.max(self.percent_now());
    }

    /// The part that is done of all nodes that run, each of which counts as long as it is expected to take. Where
    /// nothing is expected this is `(nodes_done - 1 + step/total_steps) / effective_total * 100`, but for several nodes
    /// at work.
    fn percent_now(&self) -> u8 {
        let weight = |at: Position| self.expected_of(at).map_or(1.0, |expected| expected.as_secs_f64());
        let counts = |at: &Position| !self.outline.does_nothing(*at);
        let nodes = 0..self.nodes.len();
        let in_all: f64 = nodes.clone().filter(|&at| self.runs(at)).map(weight).sum();
        let finished = nodes.filter(|&at| self.nodes[at] == NodeMark::Finished).filter(counts).map(weight);
        let at_work = self.running.iter().filter(|run| counts(&run.node));
        let at_work = at_work.map(|run| weight(run.node) * self.fraction(run));
        let done = finished.sum::<f64>() + at_work.sum::<f64>();
        // A float that is too large, too small or none becomes the nearest u8, or 0.
        ((done / in_all * 100.0) as u8).min(99)
    }

    /// How much of a node at work is done, from 0 to 1: by its steps, or by the clock where it does not count them and
    /// we know how long it takes.
    fn fraction(&self, run: &RunningNode) -> f64 {
        match self.expected_of(run.node) {
            Some(expected) if !run.counts() => {
                let elapsed = self.now.saturating_sub(run.since);
                (elapsed.as_secs_f64() / expected.as_secs_f64()).min(NEARLY_DONE)
            }
            _ => run.fraction(),
        }
    }

    /// How long the job will still take.
    ///
    /// What is left of the running nodes (the longest of them, as they run side by side) and of the nodes that are to
    /// come; `None` while one of the two is unknown. What is not expected from earlier jobs takes as long as the mean
    /// of the nodes that finished in this one.
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
            // The first steps tell little of how fast the others will be, the last ones nearly all.
            Some(by_rate) if run.counts() => {
                let told = run.steps.fraction();
                let left = by_rate.as_secs_f64() * told + by_clock.as_secs_f64() * (1.0 - told);
                Duration::try_from_secs_f64(left).ok()
            }
            _ => Some(by_clock),
        }
    }

    fn expected_of(&self, at: Position) -> Option<Duration> {
        Some(self.expected.as_ref()?.0[at])
    }
}

fn mean(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let (count, sum) = times.fold((0_u32, Duration::ZERO), |(count, sum), time| {
        (count.saturating_add(1), sum.saturating_add(time))
    });
    sum.checked_div(count)
}
