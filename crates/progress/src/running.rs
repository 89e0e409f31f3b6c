//! A running node: its steps, their rate, and what it expanded into.

use std::collections::VecDeque;
use std::time::Duration;

use crate::outline::Position;

/// The number of steps over which the rate is measured.
const RATE_STEPS: f64 = 10.0;

/// A running node.
#[derive(Debug, Clone)]
pub(crate) struct RunningNode {
    pub(crate) node: Position,
    pub(crate) since: Duration,
    pub(crate) steps: Steps,
    /// The number of nodes that it expanded into and that have started.
    pub(crate) children: u32,
}

/// The steps of a node, or of the running node that it expanded into.
#[derive(Debug, Clone, Default)]
pub(crate) struct Steps {
    pub(crate) value: f64,
    /// 0 for a node that reports no steps.
    pub(crate) total: f64,
    /// Whether this is not the node's first loop.
    again: bool,
    /// The times of the last ten steps.
    reached: VecDeque<(Duration, f64)>,
}

impl RunningNode {
    pub(crate) fn new(node: Position, since: Duration) -> Self {
        Self { node, since, steps: Steps::default(), children: 0 }
    }

    /// Returns whether its steps say how much of it is done: it has not expanded into nodes that each report steps, and this
    /// is its only loop so far.
    pub(crate) fn counts(&self) -> bool {
        self.children == 0 && self.steps.total > 0.0 && !self.steps.again
    }

    /// Returns the done fraction of the node. The number of nodes that an expansion starts is unknown, so `n` of them count as
    /// n parts of n + 1: the fraction grows with each and never reaches 1.
    pub(crate) fn fraction(&self) -> f64 {
        match self.children {
            0 => self.steps.fraction(),
            n => (f64::from(n - 1) + self.steps.fraction()) / f64::from(n + 1),
        }
    }
}

impl Steps {
    pub(crate) fn fraction(&self) -> f64 {
        if self.total > 0.0 { (self.value / self.total).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// Adds a step. The same step reported twice counts once. A step backwards or another total starts a new loop: nodes run
    /// several loops one after the other.
    pub(crate) fn reach(&mut self, value: f64, total: f64, now: Duration) {
        if !(value.is_finite() && total.is_finite() && total > 0.0 && value >= 0.0) {
            return;
        }
        if total != self.total || value < self.value {
            self.again |= !self.reached.is_empty();
            self.reached.clear();
        } else if value == self.value && !self.reached.is_empty() {
            return;
        }
        (self.value, self.total) = (value, total);
        self.reached.push_back((now, value));
        while self.reached.len() > 2 && value - self.reached[1].1 >= RATE_STEPS {
            self.reached.pop_front();
        }
    }

    /// Returns the steps per second over the last ten steps.
    pub(crate) fn rate(&self) -> Option<f64> {
        let ((first_at, first), (last_at, last)) = (self.reached.front()?, self.reached.back()?);
        let seconds = last_at.checked_sub(*first_at)?.as_secs_f64();
        let steps = last - first;
        (seconds > 0.0 && steps > 0.0).then(|| steps / seconds)
    }

    /// Returns the time of the remaining steps at that rate.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        let (last_at, _) = self.reached.back()?;
        let seconds = (self.total - self.value).max(0.0) / self.rate()?;
        Some(Duration::try_from_secs_f64(seconds).ok()?.saturating_sub(now.saturating_sub(*last_at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: f64) -> Duration {
        Duration::from_secs_f64(n)
    }

    #[test]
    fn the_rate_is_that_of_the_last_ten_steps() {
        let mut steps = Steps::default();
        for step in 1..=20 {
            steps.reach(f64::from(step), 40.0, seconds(f64::from(step) * 5.0));
        }
        for step in 21..=30 {
            steps.reach(f64::from(step), 40.0, seconds(100.0 + f64::from(step - 20) * 0.5));
        }
        assert_eq!(steps.rate(), Some(2.0));
        assert_eq!(steps.left(seconds(106.0)), Some(seconds(4.0)));
    }

    #[test]
    fn a_step_told_twice_is_one_step() {
        let mut steps = Steps::default();
        steps.reach(1.0, 5.0, seconds(1.0));
        steps.reach(2.0, 5.0, seconds(2.0));
        steps.reach(2.0, 5.0, seconds(9.0));
        assert_eq!(steps.rate(), Some(1.0));
    }

    #[test]
    fn another_loop_of_the_same_node_begins_anew() {
        let mut steps = Steps::default();
        steps.reach(4.0, 5.0, seconds(1.0));
        steps.reach(5.0, 5.0, seconds(2.0));
        steps.reach(1.0, 5.0, seconds(3.0));
        assert_eq!((steps.value, steps.rate()), (1.0, None));
        let mut node = RunningNode::new(0, seconds(0.0));
        node.steps.reach(1.0, 5.0, seconds(1.0));
        assert!(node.counts());
        node.steps = steps;
        assert!(!node.counts(), "how many loops are to come is not known");
    }

    #[test]
    fn numbers_that_are_none_are_passed_over() {
        let mut steps = Steps::default();
        for (value, total) in [(f64::NAN, 3.0), (1.0, 0.0), (-1.0, 3.0), (1.0, f64::INFINITY)] {
            steps.reach(value, total, seconds(1.0));
        }
        assert_eq!((steps.value, steps.total, steps.fraction()), (0.0, 0.0, 0.0));
    }

    #[test]
    fn an_expanding_node_moves_on_with_each_of_its_nodes_and_is_never_quite_done() {
        let mut node = RunningNode::new(0, seconds(0.0));
        let mut last = 0.0;
        for children in 1..50 {
            node.children = children;
            node.steps = Steps { value: 3.0, total: 4.0, ..Steps::default() };
            assert!(node.fraction() > last && node.fraction() < 1.0);
            last = node.fraction();
        }
    }
}
