//! The sessions whose holders have signed out.

use std::collections::HashMap;

use tokio::sync::watch;

/// The ids of sessions that ended before their time, each with that time in seconds since 1970. Clones share them.
#[derive(Clone)]
pub struct EndedSessions(watch::Sender<HashMap<Box<str>, u64>>);

impl Default for EndedSessions {
    fn default() -> Self {
        Self(watch::Sender::new(HashMap::new()))
    }
}

impl EndedSessions {
    /// Adds a session. Those that would have ended by now are forgotten.
    pub fn add(&self, id: &str, expires_at: u64, now: u64) {
        self.0.send_modify(|ended| {
            ended.retain(|_, expires_at| *expires_at > now);
            ended.insert(id.into(), expires_at);
        });
    }

    /// Returns whether a session has ended.
    pub fn contains(&self, id: &str) -> bool {
        self.0.borrow().contains_key(id)
    }

    /// Waits until a session has ended.
    pub async fn wait_for(&self, id: &str) {
        // This holds the sender, so there is no error.
        let _ = self.0.subscribe().wait_for(|ended| ended.contains_key(id)).await;
    }
}
