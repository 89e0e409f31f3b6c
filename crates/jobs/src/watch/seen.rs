//! What a subscriber is to be sent next, and when. Pure: what it has seen, the present state and the time go in.

use std::time::Duration;

/// The least time between two looks at a job: about seven a second.
const PAUSE: Duration = Duration::from_millis(150);

/// What a subscriber of one job receives beside its status and events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchOptions {
    /// Previews.
    pub previews: bool,
    /// A message for each node that made files.
    pub outputs: bool,
    /// Empty updates for changes that no message reports, such as a request to cancel the job.
    pub every_change: bool,
}

impl WatchOptions {
    /// Creates options for the status and the events only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds previews.
    pub fn with_previews(mut self) -> Self {
        self.previews = true;
        self
    }

    /// Adds empty updates for changes that no message reports.
    pub fn with_every_change(mut self) -> Self {
        self.every_change = true;
        self
    }

    /// Adds a message for each node that made files.
    pub fn with_outputs(mut self) -> Self {
        self.outputs = true;
        self
    }
}

/// The present state of a job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present<'a> {
    /// Grows with each change of the status.
    pub revision: u64,
    /// Grows with each preview.
    pub preview: u64,
    /// For each node with files, the revision since which they are the same.
    pub outputs: &'a [u64],
    /// The ids of the job's events so far.
    pub events: &'a [u64],
    /// Whether the last of these events is the end.
    pub over: bool,
}

/// What a subscriber has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    revision: Option<u64>,
    preview: u64,
    event: u64,
}

/// One thing to send. Numbers are positions in the lists of [`Present`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// The status.
    Status,
    /// The files of a node.
    Output(usize),
    /// The latest preview.
    Preview,
    /// An event.
    Event(usize),
}

impl Seen {
    /// Creates the state of a subscriber that joins now. Events up to `last_event` are not sent to it.
    pub fn joining(last_event: Option<u64>) -> Self {
        Self { event: last_event.unwrap_or(0), ..Self::default() }
    }

    /// Returns what is new to this subscriber, the present status first. From now on it counts as seen.
    pub fn next(&mut self, present: Present<'_>, options: WatchOptions) -> Vec<Unseen> {
        let mut unseen = Vec::new();
        if self.revision != Some(present.revision) {
            unseen.push(Unseen::Status);
        }
        if options.outputs {
            let new = |since: &u64| self.revision.is_none_or(|seen| *since > seen);
            let new = present.outputs.iter().enumerate().filter(|(_, since)| new(since));
            unseen.extend(new.map(|(at, _)| Unseen::Output(at)));
        }
        if options.previews && present.preview > self.preview && !present.over {
            unseen.push(Unseen::Preview);
        }
        // The end is sent also to a subscriber that joins after it.
        let last = present.events.len().checked_sub(1).filter(|_| present.over);
        let new = |(at, id): &(usize, &u64)| **id > self.event || Some(*at) == last;
        unseen.extend(present.events.iter().enumerate().filter(new).map(|(at, _)| Unseen::Event(at)));
        self.revision = Some(present.revision);
        self.preview = self.preview.max(present.preview);
        self.event = present.events.iter().copied().fold(self.event, u64::max);
        unseen
    }
}

/// When a subscriber may be sent something again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    last: Option<Duration>,
}

impl Pace {
    /// Returns how long to wait from `now` on. Times count from any fixed moment.
    pub fn wait(self, now: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| (last + PAUSE).saturating_sub(now))
    }

    /// Notes that something was sent.
    pub fn sent(&mut self, now: Duration) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: WatchOptions = WatchOptions { previews: true, outputs: true, every_change: false };

    fn present<'a>(revision: u64, preview: u64, outputs: &'a [u64], events: &'a [u64]) -> Present<'a> {
        Present { revision, preview, outputs, events, over: false }
    }

    #[test]
    fn a_subscriber_that_joins_late_gets_the_present_status_first_and_no_old_events() {
        let mut seen = Seen::joining(Some(8));
        let unseen = seen.next(present(40, 12, &[3, 39], &[7, 8]), ALL);
        assert_eq!(unseen, [Unseen::Status, Unseen::Output(0), Unseen::Output(1), Unseen::Preview]);
        assert_eq!(seen.next(present(40, 12, &[3, 39], &[7, 8]), ALL), []);
    }

    #[test]
    fn what_changed_in_between_is_sent_once_however_often_it_changed() {
        let mut seen = Seen::joining(None);
        seen.next(present(1, 0, &[], &[5]), ALL);
        assert_eq!(
            seen.next(present(90, 33, &[60], &[5, 6]), ALL),
            [Unseen::Status, Unseen::Output(0), Unseen::Preview, Unseen::Event(1)]
        );
        assert_eq!(seen.next(present(90, 34, &[60], &[5, 6]), ALL), [Unseen::Preview]);
        assert_eq!(seen.next(present(91, 34, &[60], &[5, 6]), ALL), [Unseen::Status]);
    }

    #[test]
    fn without_previews_and_outputs_only_the_status_is_sent() {
        let mut seen = Seen::joining(None);
        assert_eq!(seen.next(present(2, 1, &[1], &[]), WatchOptions::default()), [Unseen::Status]);
        assert_eq!(seen.next(present(2, 2, &[1], &[]), WatchOptions::default()), []);
    }

    #[test]
    fn the_end_comes_last_and_also_to_a_subscriber_that_joins_after_it() {
        let over = Present { over: true, ..present(9, 4, &[8], &[5, 6, 7]) };
        let mut late = Seen::joining(Some(7));
        assert_eq!(late.next(over, ALL), [Unseen::Status, Unseen::Output(0), Unseen::Event(2)]);
        let mut there_all_along = Seen::joining(Some(5));
        there_all_along.next(present(3, 4, &[], &[5]), ALL);
        assert_eq!(
            there_all_along.next(over, ALL),
            [Unseen::Status, Unseen::Output(0), Unseen::Event(1), Unseen::Event(2)]
        );
    }

    #[test]
    fn changes_by_the_thousand_become_seven_frames_a_second() {
        let (mut pace, mut seen, mut frames) = (Pace::default(), Seen::joining(None), 0);
        // A change every millisecond for ten seconds.
        for millisecond in 0..10_000 {
            let now = Duration::from_millis(millisecond);
            if pace.wait(now).is_zero() && !seen.next(present(millisecond, 0, &[], &[]), ALL).is_empty() {
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
