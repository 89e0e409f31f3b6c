//! What a watcher is to be sent next, and when. Pure: what was sent, what is there, and the time go in.

use std::time::Duration;

/// The least time between two looks at a job: about seven a second.
const GAP: Duration = Duration::from_millis(150);

/// What a watcher of one job takes beside states and events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Previews, and how.
    pub previews: Previews,
    /// A message of its own for each node that made files.
    pub outputs: bool,
}

/// How a watcher takes previews.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Previews {
    /// Not at all.
    #[default]
    None,
    /// As the bytes of a JPEG or PNG file.
    Bytes,
    /// In base64, in a message of their own.
    Text,
}

/// What there is to see of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present<'a> {
    /// Grows with each change of the state.
    pub revision: u64,
    /// Grows with each preview.
    pub picture: u64,
    /// For each node with files, the revision since which they are what they are.
    pub outputs: &'a [u64],
    /// The ids of the job's events so far.
    pub events: &'a [u64],
    /// Whether the last of these is the end.
    pub over: bool,
}

/// What a watcher was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    revision: Option<u64>,
    picture: u64,
    event: u64,
}

/// One thing to send. Numbers are places in the lists of [`Present`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The state.
    State,
    /// The files of a node.
    Output(usize),
    /// The latest preview.
    Picture,
    /// An event.
    Event(usize),
}

impl Sent {
    /// Nothing was sent to one who joins now; what happened before `last_event` is not told again.
    pub fn joining(last_event: Option<u64>) -> Self {
        Self { event: last_event.unwrap_or(0), ..Self::default() }
    }

    /// What is new to this watcher, the present state first; from now on it counts as sent.
    pub fn next(&mut self, present: Present<'_>, wants: Wants) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.revision != Some(present.revision) {
            steps.push(Step::State);
        }
        if wants.outputs {
            let new = |since: &u64| self.revision.is_none_or(|seen| *since > seen);
            let new = present.outputs.iter().enumerate().filter(|(_, since)| new(since));
            steps.extend(new.map(|(at, _)| Step::Output(at)));
        }
        if wants.previews != Previews::None && present.picture > self.picture && !present.over {
            steps.push(Step::Picture);
        }
        let last = present.events.len().checked_sub(1).filter(|_| present.over);
        let told = |(at, id): &(usize, &u64)| **id > self.event || Some(*at) == last;
        steps.extend(present.events.iter().enumerate().filter(told).map(|(at, _)| Step::Event(at)));
        self.revision = Some(present.revision);
        self.picture = self.picture.max(present.picture);
        self.event = present.events.iter().copied().fold(self.event, u64::max);
        steps
    }
}

/// When a watcher may be sent something again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    last: Option<Duration>,
}

impl Pace {
    /// How long to wait from `now` on; times count from any fixed moment.
    pub fn wait(self, now: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| (last + GAP).saturating_sub(now))
    }

    /// Something was sent.
    pub fn sent(&mut self, now: Duration) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wants = Wants { previews: Previews::Bytes, outputs: true };

    fn present<'a>(revision: u64, picture: u64, outputs: &'a [u64], events: &'a [u64]) -> Present<'a> {
        Present { revision, picture, outputs, events, over: false }
    }

    #[test]
    fn a_late_comer_gets_the_present_state_first_and_no_old_news() {
        let mut sent = Sent::joining(Some(8));
        let steps = sent.next(present(40, 12, &[3, 39], &[7, 8]), ALL);
        assert_eq!(steps, [Step::State, Step::Output(0), Step::Output(1), Step::Picture]);
        assert_eq!(sent.next(present(40, 12, &[3, 39], &[7, 8]), ALL), []);
    }

    #[test]
    fn what_changed_in_between_is_sent_once_however_often_it_changed() {
        let mut sent = Sent::joining(None);
        sent.next(present(1, 0, &[], &[5]), ALL);
        assert_eq!(
            sent.next(present(90, 33, &[60], &[5, 6]), ALL),
            [Step::State, Step::Output(0), Step::Picture, Step::Event(1)]
        );
        assert_eq!(sent.next(present(90, 34, &[60], &[5, 6]), ALL), [Step::Picture]);
        assert_eq!(sent.next(present(91, 34, &[60], &[5, 6]), ALL), [Step::State]);
    }

    #[test]
    fn one_who_wants_neither_previews_nor_outputs_gets_none() {
        let mut sent = Sent::joining(None);
        assert_eq!(sent.next(present(2, 1, &[1], &[]), Wants::default()), [Step::State]);
        assert_eq!(sent.next(present(2, 2, &[1], &[]), Wants::default()), []);
    }

    #[test]
    fn the_end_comes_last_and_also_to_one_who_comes_after_it() {
        let over = Present { over: true, ..present(9, 4, &[8], &[5, 6, 7]) };
        let mut late = Sent::joining(Some(7));
        assert_eq!(late.next(over, ALL), [Step::State, Step::Output(0), Step::Event(2)]);
        let mut there_all_along = Sent::joining(Some(5));
        there_all_along.next(present(3, 4, &[], &[5]), ALL);
        assert_eq!(
            there_all_along.next(over, ALL),
            [Step::State, Step::Output(0), Step::Event(1), Step::Event(2)]
        );
    }

    #[test]
    fn changes_by_the_thousand_become_seven_frames_a_second() {
        let (mut pace, mut sent, mut frames) = (Pace::default(), Sent::joining(None), 0);
        // A change every millisecond for ten seconds.
        for millisecond in 0..10_000 {
            let now = Duration::from_millis(millisecond);
            if pace.wait(now).is_zero() && !sent.next(present(millisecond, 0, &[], &[]), ALL).is_empty() {
                frames += 1;
                pace.sent(now);
            }
        }
        assert_eq!(frames, 67);
    }

    #[test]
    fn the_first_change_after_a_silence_waits_for_nothing() {
        let mut pace = Pace::default();
        assert_eq!(pace.wait(Duration::ZERO), Duration::ZERO);
        pace.sent(Duration::from_secs(1));
        assert_eq!(pace.wait(Duration::from_millis(1050)), Duration::from_millis(100));
        assert_eq!(pace.wait(Duration::from_secs(3)), Duration::ZERO);
    }
}
