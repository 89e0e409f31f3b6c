//! What waits, what runs and what has ended. No I/O: [`crate::state`] tells the sockets.

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Number, Value, json};

use crate::prompt::Nodes;

/// ComfyUI keeps this many ended prompts.
const LONGEST_HISTORY: usize = 10_000;
/// Keys that ComfyUI does not keep in its history.
const SENSITIVE: [&str; 2] = ["auth_token_comfy_org", "api_key_comfy_org"];

/// A prompt that was accepted.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Its place: a smaller number runs first.
    pub number: Number,
    /// Its id.
    pub id: String,
    /// The graph, its values converted.
    pub nodes: Nodes,
    /// What came with it; `client_id` names the client that receives its messages.
    pub extra_data: Map<String, Value>,
    /// The output nodes that run.
    pub outputs: Vec<String>,
}

impl Prompt {
    fn to_json(&self) -> Value {
        json!([self.number, self.id, self.nodes, self.extra_data, self.outputs])
    }

    /// The client that receives its messages.
    pub fn client_id(&self) -> Option<&str> {
        self.extra_data.get("client_id").and_then(Value::as_str)
    }
}

/// Takes the keys of partner services out of what came with a prompt.
pub fn drop_secrets(extra_data: &mut Map<String, Value>) {
    extra_data.retain(|key, _| !SENSITIVE.contains(&key.as_str()));
}

/// How a prompt ended.
#[derive(Debug)]
pub struct Ending {
    /// What nodes reported, by node.
    pub outputs: Map<String, Value>,
    /// Where the reports came from.
    pub meta: Map<String, Value>,
    /// Whether every output was made.
    pub success: bool,
    /// The events of the execution: type and data.
    pub messages: Vec<(&'static str, Value)>,
}

/// The queue and the history.
#[derive(Default)]
pub struct Queue {
    /// The next to run first.
    pending: Vec<Arc<Prompt>>,
    running: Option<Arc<Prompt>>,
    history: IndexMap<String, Value>,
    submitted: i64,
    last_create_time: u64,
}

impl Queue {
    /// The number of a prompt that came without one; `front` puts it before all others.
    pub fn next_number(&mut self, front: bool) -> Number {
        let number = self.submitted;
        self.submitted += 1;
        Number::from(if front { -number } else { number })
    }

    /// The time of a submission in milliseconds since 1970, later than that of any before: jobs are sorted by it.
    pub fn create_time(&mut self, now: u64) -> u64 {
        self.last_create_time = now.max(self.last_create_time + 1);
        self.last_create_time
    }

    /// Adds a prompt.
    pub fn push(&mut self, prompt: Prompt) {
        let rank = |prompt: &Prompt| prompt.number.as_f64().unwrap_or_default();
        let place = self
            .pending
            .partition_point(|other| (rank(other), other.id.as_str()) <= (rank(&prompt), prompt.id.as_str()));
        self.pending.insert(place, Arc::new(prompt));
    }

    /// Starts the first that waits.
    pub fn start(&mut self) -> Option<Arc<Prompt>> {
        if self.pending.is_empty() {
            return None;
        }
        let prompt = self.pending.remove(0);
        self.running = Some(prompt.clone());
        Some(prompt)
    }

    /// Puts the prompt that runs into the history. `false` when it was forgotten meanwhile.
    pub fn finish(&mut self, prompt: &Arc<Prompt>, ending: Ending) -> bool {
        if self.running.take_if(|running| Arc::ptr_eq(running, prompt)).is_none() {
            return false;
        }
        if self.history.len() > LONGEST_HISTORY {
            self.history.shift_remove_index(0);
        }
        let mut queued = prompt.to_json();
        if let Some(extra_data) = queued[3].as_object_mut() {
            drop_secrets(extra_data);
        }
        let entry = json!({
            "prompt": queued,
            "outputs": ending.outputs,
            "status": {
                "status_str": if ending.success { "success" } else { "error" },
                "completed": ending.success,
                "messages": ending.messages,
            },
            "meta": ending.meta,
        });
        self.history.insert(prompt.id.clone(), entry);
        true
    }

    /// How many wait or run.
    pub fn remaining(&self) -> usize {
        self.pending.len() + usize::from(self.running.is_some())
    }

    /// How many wait.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The prompt that runs.
    pub fn running(&self) -> Option<&Arc<Prompt>> {
        self.running.as_ref()
    }

    /// Those that wait, the next to run first.
    pub fn waiting(&self) -> &[Arc<Prompt>] {
        &self.pending
    }

    /// Every prompt that has ended and is remembered, with its entry in the history, the oldest first.
    pub fn ended(&self) -> &IndexMap<String, Value> {
        &self.history
    }

    /// Whether this prompt runs now.
    pub fn is_running(&self, id: &str) -> bool {
        self.running.as_ref().is_some_and(|prompt| prompt.id == id)
    }

    /// The answer of `GET /queue`.
    pub fn to_json(&self) -> Value {
        let list = |prompts: &mut dyn Iterator<Item = &Arc<Prompt>>| {
            prompts.map(|prompt| prompt.to_json()).collect::<Vec<_>>()
        };
        json!({
            "queue_running": list(&mut self.running.iter()),
            "queue_pending": list(&mut self.pending.iter()),
        })
    }

    /// Drops all that wait.
    pub fn clear(&mut self) {
        self.pending.clear();
    }

    /// Drops one that waits. `false` if it does not.
    pub fn delete(&mut self, id: &str) -> bool {
        let place = self.pending.iter().position(|prompt| prompt.id == id);
        place.map(|place| self.pending.remove(place)).is_some()
    }

    /// The answer of `GET /history`: the last `max_items`, or those from `offset` on.
    pub fn history(&self, max_items: Option<usize>, offset: Option<usize>) -> Value {
        let first = offset.or_else(|| Some(self.history.len().saturating_sub(max_items?))).unwrap_or(0);
        let entries = self.history.iter().skip(first).take(max_items.unwrap_or(usize::MAX));
        Value::Object(entries.map(|(id, entry)| (id.clone(), entry.clone())).collect())
    }

    /// The answer of `GET /history/{id}`: empty for a prompt that has not ended.
    pub fn history_entry(&self, id: &str) -> Value {
        match self.history.get_key_value(id) {
            Some((id, entry)) => json!({id: entry}),
            None => json!({}),
        }
    }

    /// Drops the history.
    pub fn clear_history(&mut self) {
        self.history.clear();
    }

    /// Drops one entry of the history.
    pub fn delete_history(&mut self, id: &str) {
        self.history.shift_remove(id);
    }

    /// Forgets everything, what runs included.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(queue: &mut Queue, id: &str, front: bool) -> Prompt {
        Prompt {
            number: queue.next_number(front),
            id: id.to_owned(),
            nodes: Map::new(),
            extra_data: json!({"client_id": "c", "api_key_comfy_org": "k"}).as_object().unwrap().clone(),
            outputs: vec![],
        }
    }

    fn ending() -> Ending {
        Ending { outputs: Map::new(), meta: Map::new(), success: true, messages: vec![] }
    }

    #[test]
    fn a_smaller_number_runs_first_and_front_goes_before_all() {
        let mut queue = Queue::default();
        for (id, front) in [("a", false), ("b", false), ("c", true), ("d", true)] {
            let prompt = prompt(&mut queue, id, front);
            queue.push(prompt);
        }
        let ran: Vec<_> = std::iter::from_fn(|| queue.start()).map(|prompt| prompt.id.clone()).collect();
        assert_eq!(ran, ["d", "c", "a", "b"]);
    }

    #[test]
    fn the_history_keeps_what_ended_without_its_secrets() {
        let mut queue = Queue::default();
        let waiting = prompt(&mut queue, "a", false);
        queue.push(waiting);
        assert_eq!(queue.remaining(), 1);
        let running = queue.start().unwrap();
        assert!(queue.is_running("a") && !queue.delete("a"));
        assert!(queue.finish(&running, ending()));
        assert_eq!(queue.remaining(), 0);
        assert_eq!(queue.history_entry("a")["a"]["prompt"][3], json!({"client_id": "c"}));
        assert_eq!(queue.history_entry("b"), json!({}));
        assert_eq!(queue.history(Some(0), None), json!({}));
    }

    #[test]
    fn what_was_forgotten_while_it_ran_does_not_come_back() {
        let mut queue = Queue::default();
        let waiting = prompt(&mut queue, "a", false);
        queue.push(waiting);
        let running = queue.start().unwrap();
        queue.forget();
        assert!(!queue.finish(&running, ending()));
        assert_eq!(queue.history(None, None), json!({}));
    }
}
