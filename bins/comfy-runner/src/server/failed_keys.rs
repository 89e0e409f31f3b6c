//! A limit on wrong API keys per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::network_of;

/// The period in which wrong keys are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// The maximum number of addresses that are counted. Beyond it, the oldest is dropped.
const ADDRESSES_MAX: usize = 4096;

/// Counts wrong keys by address. The right key is never counted and never refused, so this limits the work and
/// the log lines that guessing causes, not the number of guesses: a key must be too long to guess.
pub struct FailedKeys {
    per_minute: u32,
    by_address: Mutex<HashMap<IpAddr, Count>>,
}

#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    failures: u32,
}

impl FailedKeys {
    /// Allows `per_minute` wrong keys from each address.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, by_address: Mutex::default() }
    }

    /// Counts a wrong key.
    ///
    /// # Errors
    ///
    /// Returns how long to wait when the address has shown too many.
    pub fn count(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network_of(address);
        if !by_address.contains_key(&address) && by_address.len() >= ADDRESSES_MAX {
            by_address.retain(|_, count| !count.is_over(now));
            let oldest = by_address.iter().min_by_key(|(_, count)| count.since).map(|(address, _)| *address);
            if let Some(oldest) = oldest.filter(|_| by_address.len() >= ADDRESSES_MAX) {
                by_address.remove(&oldest);
            }
        }
        let count = by_address.entry(address).or_insert(Count { since: now, failures: 0 });
        if count.is_over(now) {
            *count = Count { since: now, failures: 0 };
        }
        count.failures = count.failures.saturating_add(1);
        if count.failures > self.per_minute {
            if count.failures == self.per_minute.saturating_add(1) {
                tracing::warn!(%address, failures = count.failures, "too many wrong API keys; further ones get 429 for a minute");
            }
            return Err(WINDOW.saturating_sub(now.saturating_duration_since(count.since)));
        }
        Ok(())
    }
}

impl Count {
    fn is_over(self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_shows_too_many_wrong_keys_waits_for_the_end_of_its_minute() {
        let (keys, start) = (FailedKeys::new(2), Instant::now());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(keys.count(one, at(0)), Ok(()));
        assert_eq!(keys.count(one, at(10)), Ok(()));
        assert_eq!(keys.count(one, at(20)), Err(Duration::from_secs(40)));
        assert_eq!(keys.count(other, at(20)), Ok(()));
        assert_eq!(keys.count(one, at(60)), Ok(()));
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_counted_together_and_as_many_as_there_is_room_for() {
        let (keys, now) = (FailedKeys::new(1), Instant::now());
        assert!(keys.count("2001:db8::1".parse().unwrap(), now).is_ok());
        assert!(keys.count("2001:db8::2:1".parse().unwrap(), now).is_err());
        for number in 0..2 * ADDRESSES_MAX as u32 {
            assert!(keys.count(IpAddr::from(number.to_be_bytes()), now).is_ok());
        }
        assert_eq!(keys.by_address.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
