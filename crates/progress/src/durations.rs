//! How long nodes took in earlier jobs.

use std::collections::HashMap;
use std::time::Duration;

use comfy_runner_api::Status;

use crate::progress::Progress;

/// The newest run has at least one part in this many of a mean, so that the mean follows a machine that changed.
const MEMORY: u64 = 20;

/// The durations of nodes in the jobs of one workflow, by class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    by_class: HashMap<String, MeanDuration>,
}

/// The duration of the nodes of a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanDuration {
    /// The mean, mostly of the last twenty runs.
    pub mean: Duration,
    /// The mean of the steps that the graph asked for; `None` if it asked for none. See [`NodeDuration::steps`].
    pub steps: Option<f64>,
    /// The number of runs.
    pub count: u64,
}

/// The duration of a node that has finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NodeDuration<'a> {
    /// The node's id.
    pub node_id: &'a str,
    /// Its type.
    pub class_type: &'a str,
    /// From its start to its end.
    pub took: Duration,
    /// The steps that the graph asks for, by the input `steps` of the node or of the node that its `sigmas` come from. The
    /// duration grows with them.
    pub steps: Option<f64>,
}

impl Durations {
    /// Adds the durations of a completed job, and returns whether there were any. The caller must know that no message
    /// about the job was missed, since times across a lost connection mean nothing. A job that did not complete is ignored.
    pub fn learn_from(&mut self, progress: &Progress) -> bool {
        let mut learned = false;
        if progress.status() == Status::Completed {
            for node in progress.durations() {
                self.learn(node);
                learned = true;
            }
        }
        learned
    }

    fn learn(&mut self, node: NodeDuration<'_>) {
        let Some(known) = self.by_class.get_mut(node.class_type) else {
            let first = MeanDuration { mean: node.took, steps: node.steps, count: 1 };
            self.by_class.insert(node.class_type.to_owned(), first);
            return;
        };
        known.count = known.count.saturating_add(1);
        let weight = 1.0 / known.count.min(MEMORY) as f64;
        let moved = |mean: f64, new: f64| mean + (new - mean) * weight;
        let mean = moved(known.mean.as_secs_f64(), node.took.as_secs_f64());
        known.mean = Duration::try_from_secs_f64(mean).unwrap_or(known.mean);
        known.steps = match (known.steps, node.steps) {
            (Some(steps), Some(new)) => Some(moved(steps, new)),
            // One mean without the other would be compared with what it does not belong to.
            _ => None,
        };
    }

    /// How long a node of this class takes that is to make so many steps, as far as that is known.
    pub(crate) fn expected(&self, class_type: &str, steps: Option<f64>) -> Option<Duration> {
        let known = self.by_class.get(class_type)?;
        let scale = match (steps, known.steps) {
            (Some(steps), Some(usual)) if usual > 0.0 => steps / usual,
            _ => 1.0,
        };
        Duration::try_from_secs_f64(known.mean.as_secs_f64() * scale).ok()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.by_class.is_empty()
    }

    /// The classes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, MeanDuration)> {
        self.by_class.iter().map(|(class_type, known)| (class_type.as_str(), *known))
    }
}

impl FromIterator<(String, MeanDuration)> for Durations {
    fn from_iter<I: IntoIterator<Item = (String, MeanDuration)>>(known: I) -> Self {
        Self { by_class: known.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(seconds: u64, steps: Option<f64>) -> NodeDuration<'static> {
        NodeDuration { node_id: "1", class_type: "K", took: Duration::from_secs(seconds), steps }
    }

    fn learned(runs: impl IntoIterator<Item = NodeDuration<'static>>) -> Durations {
        let mut durations = Durations::default();
        runs.into_iter().for_each(|run| durations.learn(run));
        durations
    }

    #[test]
    fn the_mean_is_that_of_all_runs_while_they_are_few() {
        let durations = learned([1, 2, 6].map(|seconds| ran(seconds, None)));
        assert_eq!(durations.expected("K", None), Some(Duration::from_secs(3)));
        assert_eq!(durations.iter().next().unwrap().1.count, 3);
        assert_eq!(durations.expected("Other", None), None);
    }

    #[test]
    fn the_mean_follows_a_machine_that_changed_however_much_was_learned_before() {
        let durations = learned((0..1000).map(|_| ran(10, None)).chain((0..100).map(|_| ran(2, None))));
        let expected = durations.expected("K", None).unwrap();
        assert!(expected < Duration::from_millis(2100), "{expected:?}");
    }

    #[test]
    fn more_steps_take_longer() {
        let durations = learned([ran(10, Some(20.0)), ran(20, Some(40.0))]);
        assert_eq!(durations.expected("K", Some(60.0)), Some(Duration::from_secs(30)));
        assert_eq!(durations.expected("K", None), Some(Duration::from_secs(15)));
        let unclear = learned([ran(10, Some(20.0)), ran(20, None)]);
        assert_eq!(unclear.expected("K", Some(60.0)), Some(Duration::from_secs(15)));
    }

    #[test]
    fn numbers_that_no_clock_has_are_none() {
        let durations = learned([ran(u64::MAX, Some(1.0)), ran(u64::MAX, Some(f64::MIN_POSITIVE))]);
        assert_eq!(durations.expected("K", Some(f64::MAX)), None);
    }
}
