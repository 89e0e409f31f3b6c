//! The percent of a job that is done.

use crate::outline::Position;
use crate::progress::{NodeMark, Progress};
use crate::running::RunningNode;

/// The fraction at which a node stays that takes longer than expected.
const NEARLY_DONE: f64 = 0.95;

impl Progress {
    /// Updates percent to the present time. It never falls.
    pub(crate) fn move_percent(&mut self) {
        self.weigh();
        self.percent = self.percent.max(self.percent_now());
    }

    /// Returns the done part of all nodes that run, weighted by their expected durations. Without these it is
    /// `(nodes_done - 1 + step/total_steps) / effective_total * 100`, extended to several running nodes.
    fn percent_now(&self) -> u8 {
        let weight = |at: Position| self.expected_of(at).map_or(1.0, |expected| expected.as_secs_f64());
        let counts = |at: &Position| !self.outline.does_nothing(*at);
        let nodes = 0..self.nodes.len();
        let in_all: f64 = nodes.clone().filter(|&at| self.runs(at)).map(weight).sum();
        let finished = nodes.filter(|&at| self.nodes[at] == NodeMark::Finished).filter(counts).map(weight);
        let at_work = self.running.iter().filter(|run| counts(&run.node));
        let at_work = at_work.map(|run| weight(run.node) * self.fraction(run));
        let done = finished.sum::<f64>() + at_work.sum::<f64>();
        // The conversion saturates, and turns NaN into 0.
        ((done / in_all * 100.0) as u8).min(99)
    }

    /// Returns the done fraction of a running node: by its steps, or by the clock if it reports none and its duration is known.
    fn fraction(&self, run: &RunningNode) -> f64 {
        match self.expected_of(run.node) {
            Some(expected) if !run.counts() => {
                let elapsed = self.now.saturating_sub(run.since);
                (elapsed.as_secs_f64() / expected.as_secs_f64()).min(NEARLY_DONE)
            }
            _ => run.fraction(),
        }
    }
}
