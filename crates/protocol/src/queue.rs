//! `GET /queue`: what runs and what waits.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::queue_reader::{QueueError, QueueReader};

/// The queue as ComfyUI reports it. Only what tells jobs apart is kept: graphs of other callers can be large.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    /// Prompts that run now; ComfyUI runs one at a time.
    pub queue_running: Vec<QueueItem>,
    /// Prompts that wait, in no particular order: sort by `number`.
    pub queue_pending: Vec<QueueItem>,
}

/// One prompt in the queue, sent as the list `[number, prompt_id, graph, extra_data, outputs, ...]`.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueItem {
    /// The order of submission; a smaller number runs first, and `front: true` makes it negative. NaN when it is none.
    pub number: f64,
    /// The prompt's id; empty when it is not a string of at most 254 bytes, as only ids of others can be.
    pub prompt_id: String,
}

impl Queue {
    /// Reads a queue that is in memory as a whole. See [`QueueReader`].
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn from_json(text: &[u8]) -> Result<Self, QueueError> {
        let mut reader = QueueReader::default();
        reader.feed(text)?;
        reader.finish()
    }

    /// Whether this prompt runs now.
    pub fn is_running(&self, prompt_id: &str) -> bool {
        self.queue_running.iter().any(|item| item.prompt_id == prompt_id)
    }

    /// Whether this prompt waits.
    pub fn is_pending(&self, prompt_id: &str) -> bool {
        self.queue_pending.iter().any(|item| item.prompt_id == prompt_id)
    }
}

/// The body of `POST /queue` that takes waiting prompts out of the queue.
#[derive(Debug, Serialize)]
pub struct DeleteFromQueue<'a> {
    /// The prompts' ids.
    pub delete: &'a [&'a str],
}

/// The body of `POST /interrupt`. ComfyUI 0.3.56 and newer stops only this prompt; older ones stop whatever runs.
#[derive(Debug, Serialize)]
pub struct Interrupt<'a> {
    /// The prompt that is to stop.
    pub prompt_id: &'a str,
}

/// `{"exec_info": {"queue_remaining": n}}`, which `GET /prompt` and `status` messages carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// See [`ExecInfo`].
    pub exec_info: ExecInfo,
}

/// How busy ComfyUI is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecInfo {
    /// Prompts that run or wait.
    pub queue_remaining: u64,
}

/// What ComfyUI keeps with a prompt and gives back in its history.
pub type ExtraData = serde_json::Map<String, Value>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_read_without_its_graphs() {
        let queue = Queue::from_json(
            br#"{"queue_running": [[7, "a", {"1": {}}, {}, ["4"]]], "queue_pending": [[-8, "b", {}, {}, [], {"sensitive": 1}]]}"#,
        )
        .unwrap();
        assert!(queue.is_running("a") && !queue.is_pending("a"));
        assert!(queue.is_pending("b"));
    }
}
