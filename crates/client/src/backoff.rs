//! Backoff: pauses between attempts to connect. Each is about twice as long as the previous one, with a random part, so that
//! a ComfyUI that is down is not flooded and clients do not all return at the same moment.

use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), next: min }
    }

    /// Starts again with the shortest pause.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// Returns the next pause. `random`, between 0 and 1, places it between half and the whole of its maximum.
    pub(crate) fn pause(&mut self, random: f64) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.max);
        whole.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let mut pauses = || (0..4).map(|_| backoff.pause(1.0).as_millis()).collect::<Vec<_>>();
        assert_eq!(pauses(), [100, 200, 350, 350]);
        backoff.reset();
        assert_eq!(backoff.pause(0.0).as_millis(), 50);
    }
}
