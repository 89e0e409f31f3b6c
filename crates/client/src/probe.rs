//! Checks whether ComfyUI answers, with few requests for many callers.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::client::Client;
use crate::error::ClientError;

/// How long ComfyUI may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The latest result of checking whether ComfyUI answers, shared by all threads.
#[derive(Debug)]
pub struct Probe {
    good_for: Duration,
    /// Held while ComfyUI is asked, so that others wait for the same answer.
    latest: Mutex<Option<(Instant, Result<(), ClientError>)>>,
}

impl Default for Probe {
    /// Creates a probe whose results are valid for a second.
    fn default() -> Self {
        Self::new(Duration::from_secs(1))
    }
}

impl Probe {
    /// Creates a probe whose results are valid for this long.
    pub fn new(good_for: Duration) -> Self {
        Self { good_for, latest: Mutex::default() }
    }

    /// Asks ComfyUI, unless the latest result is still valid.
    ///
    /// # Errors
    /// ComfyUI gives no usable answer within five seconds or the client's own time limit.
    pub async fn check(&self, client: &Client) -> Result<(), ClientError> {
        let mut latest = self.latest.lock().await;
        if let Some((at, answer)) = &*latest
            && at.elapsed() < self.good_for
        {
            return answer.clone();
        }
        let answer = client.with_reply_timeout(PATIENCE.min(client.reply_timeout())).ping().await;
        *latest = Some((Instant::now(), answer.clone()));
        answer
    }
}
