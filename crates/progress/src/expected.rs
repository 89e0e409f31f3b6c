//! The expected durations of a job's nodes, by those of earlier jobs.

use std::time::Duration;

use crate::durations::Durations;
use crate::outline::{Outline, Position};
use crate::progress::Progress;

/// The least expected duration, so that each node adds to percent.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long each node of a job is expected to take, by position.
#[derive(Debug, Clone)]
pub(crate) struct Expected(Box<[Duration]>);

impl Expected {
    /// Creates the expected durations from those of earlier jobs. A node of an unknown class gets the mean of the others.
    /// Returns `None` if no class is known.
    fn new(outline: &Outline, history: &Durations) -> Option<Self> {
        let known: Vec<Option<Duration>> = (0..outline.len())
            .map(|at| history.expected(outline.class_type(at), outline.steps(at)))
            .map(|known| known.map(|known| known.max(SHORTEST)))
            .collect();
        let those_that_count = known.iter().enumerate().filter(|&(at, _)| !outline.does_nothing(at));
        let mean = mean(those_that_count.filter_map(|(_, known)| *known))?;
        Some(Self(known.into_iter().map(|known| known.unwrap_or(mean)).collect()))
    }
}

impl Progress {
    /// Looks up the durations of earlier jobs, once.
    pub(crate) fn weigh(&mut self) {
        if let Some(history) = self.history.take() {
            self.expected = Expected::new(&self.outline, &history);
        }
    }

    /// Returns the expected duration of a node, if earlier jobs are known.
    pub(crate) fn expected_of(&self, at: Position) -> Option<Duration> {
        Some(self.expected.as_ref()?.0[at])
    }
}

/// Returns the mean, or `None` of no durations.
pub(crate) fn mean(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let (count, sum) = times.fold((0_u32, Duration::ZERO), |(count, sum), time| {
        (count.saturating_add(1), sum.saturating_add(time))
    });
    sum.checked_div(count)
}
