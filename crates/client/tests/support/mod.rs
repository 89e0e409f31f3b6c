//! Clients for tests, and raw servers.

// Not every test file uses everything.
#![allow(dead_code)]

use std::time::Duration;

use comfy_runner_client::{Client, Config};

pub mod raw;

/// A configuration with time limits that are short enough for a test, and long enough for a busy machine.
pub fn config(url: &str) -> Config {
    let mut config = Config::new(url.parse().unwrap());
    config.timeouts.connect = Duration::from_secs(5);
    config.timeouts.reply = Duration::from_secs(20);
    config.timeouts.idle = Duration::from_secs(20);
    config.socket.backoff_min = Duration::from_millis(5);
    config.socket.backoff_max = Duration::from_millis(50);
    config
}

pub fn client(url: &str) -> Client {
    Client::new(config(url)).unwrap()
}
