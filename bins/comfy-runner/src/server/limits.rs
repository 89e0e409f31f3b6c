//! Limits on connections and callers.

use std::time::Duration;

/// Limits on connections and callers. Each limit is explained in `docs/operations.md`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The number of simultaneous connections.
    pub connections: usize,
    /// The number of simultaneous connections from one address: an IPv4 address, or the first 64 bits of an IPv6 one. Loopback addresses
    /// are exempt, because a proxy on this machine makes all connections from there.
    pub connections_per_address: usize,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long a connection is kept open between two requests.
    pub keep_alive: Duration,
    /// How long the server waits for the next kilobyte of a request's body, or for its end. It should be
    /// shorter than the `idle` timeout of ComfyUI's client, which an upload is subject to as well.
    pub body_timeout: Duration,
    /// How long a caller may read nothing of a response.
    pub write_timeout: Duration,
    /// How many wrong API keys from one address are answered with 401 within a minute. Further ones get 429; the right key
    /// is always accepted.
    pub failed_keys_per_minute: u32,
}

impl Default for Limits {
    /// 4096 connections, 256 from one address; 10 seconds for a head, 30 between requests, 30 for progress of a body, 60
    /// for a write; 20 wrong keys a minute.
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_address: 256,
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            failed_keys_per_minute: 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest pause of the official client between two requests.
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    #[test]
    fn a_connection_outlasts_the_pauses_of_the_official_client() {
        assert!(Limits::default().keep_alive >= 2 * LONGEST_PAUSE);
    }
}
