//! `GET /queue`: the prompts that run and those that wait.

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::queue_reader::{QueueError, QueueReader};

/// The queue as ComfyUI reports it. Only ids and numbers are kept, because graphs can be large.
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
    /// The order of submission; a smaller number runs first, and `front: true` makes it negative. NaN if it is not a number.
    pub number: f64,
    /// The prompt's id. It is empty if it is not a string of at most 254 bytes: ids of other clients can be anything.
    pub prompt_id: String,
}

impl Queue {
    /// Parses a queue that is completely in memory. See [`QueueReader`].
    ///
    /// # Errors
    /// See [`QueueError`].
    pub fn from_json(text: &[u8]) -> Result<Self, QueueError> {
        let mut reader = QueueReader::default();
        reader.feed(text)?;
        reader.finish()
    }

    /// Returns whether this prompt is running.
    pub fn is_running(&self, prompt_id: &str) -> bool {
        self.queue_running.iter().any(|item| item.prompt_id == prompt_id)
    }

    /// Returns whether this prompt is waiting.
    pub fn is_pending(&self, prompt_id: &str) -> bool {
        self.queue_pending.iter().any(|item| item.prompt_id == prompt_id)
    }
}

/// The body of `POST /queue` that removes waiting prompts from the queue.
#[derive(Debug, Serialize)]
pub struct DeleteFromQueue<'a> {
    /// The prompts' ids.
    pub delete: &'a [&'a str],
}

/// The body of `POST /interrupt`. ComfyUI 0.3.56 and newer interrupts only this prompt; older versions interrupt the one
/// that is running.
#[derive(Debug, Serialize)]
pub struct Interrupt<'a> {
    /// The prompt to interrupt.
    pub prompt_id: &'a str,
}

/// `{"exec_info": {"queue_remaining": n}}`, which `GET /prompt` returns and `status` messages contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueStatus {
    /// See [`ExecInfo`].
    pub exec_info: ExecInfo,
}

/// The length of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecInfo {
    /// The number of prompts that run or wait.
    pub queue_remaining: u64,
}

/// The data that ComfyUI stores with a prompt and returns in its history.
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
