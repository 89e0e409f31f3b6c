//! How long it will still take.

use std::time::Duration;

use crate::running::RunningNode;

/// How long finished nodes took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NodeTimes {
    finished: u32,
    sum: Duration,
}

impl NodeTimes {
    pub(crate) fn add(&mut self, took: Duration) {
        self.finished = self.finished.saturating_add(1);
        self.sum = self.sum.saturating_add(took);
    }

    fn mean(&self) -> Option<Duration> {
        self.sum.checked_div(self.finished)
    }
}

/// What is left of the running nodes (the longest of them, as they run side by side) plus the nodes that are to come
/// at the mean of the finished ones; `None` while one of the two is unknown.
pub(crate) fn time_left(
    running: &[RunningNode],
    to_come: usize,
    times: NodeTimes,
    now: Duration,
) -> Option<Duration> {
    let mean = times.mean();
    let of_running = running.iter().map(|node| {
        if node.steps.total > 0.0 {
            node.steps.left(now)
        } else {
            mean.map(|mean| mean.saturating_sub(now.saturating_sub(node.since)))
        }
    });
    let now_left = of_running.reduce(|one, other| Some(one?.max(other?))).unwrap_or(Some(Duration::ZERO))?;
    let to_come = u32::try_from(to_come).ok()?;
    let later = if to_come == 0 { Duration::ZERO } else { mean?.checked_mul(to_come)? };
    now_left.checked_add(later)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn node_at_step(step: u32, total: u32) -> RunningNode {
        let mut node = RunningNode::new(0, seconds(0));
        for value in 1..=step {
            node.steps.reach(f64::from(value), f64::from(total), seconds(u64::from(value)));
        }
        node
    }

    #[test]
    fn what_is_left_of_a_node_and_the_mean_of_those_to_come_add_up() {
        let mut times = NodeTimes::default();
        times.add(seconds(2));
        times.add(seconds(4));
        assert_eq!(time_left(&[node_at_step(3, 10)], 2, times, seconds(3)), Some(seconds(7 + 2 * 3)));
        assert_eq!(time_left(&[RunningNode::new(0, seconds(1))], 0, times, seconds(2)), Some(seconds(2)));
    }

    #[test]
    fn what_nobody_can_know_is_unknown() {
        let times = NodeTimes::default();
        assert_eq!(time_left(&[node_at_step(1, 10)], 0, times, seconds(3)), None);
        assert_eq!(time_left(&[node_at_step(3, 10)], 1, times, seconds(3)), None);
        assert_eq!(time_left(&[RunningNode::new(0, seconds(1))], 0, times, seconds(2)), None);
        assert_eq!(time_left(&[node_at_step(3, 10)], 0, times, seconds(3)), Some(seconds(7)));
    }
}
