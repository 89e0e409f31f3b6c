//! Mutual exclusion by key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Gates by key. A key that no thread uses takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    by_key: Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

impl Gates {
    /// Runs `work` while no other thread runs work for the same key. Threads with other keys do not wait.
    pub fn pass<T>(&self, key: &str, work: impl FnOnce() -> T) -> T {
        let gate = {
            let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(by_key.entry(key.to_owned()).or_default())
        };
        let _leave = LeaveGuard { gates: self, key };
        // The gate protects no data, so that a thread that panicked behind it has left nothing broken.
        let _pass = gate.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}

/// Removes a gate when the last thread leaves it.
struct LeaveGuard<'g> {
    gates: &'g Gates,
    key: &'g str,
}

impl Drop for LeaveGuard<'_> {
    fn drop(&mut self) {
        let mut by_key = self.gates.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        // One reference is the map's, one this thread's; others wait, or are about to.
        if by_key.get(self.key).is_some_and(|gate| Arc::strong_count(gate) <= 2) {
            by_key.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_removed_when_the_last_thread_leaves() {
        let gates = Gates::default();
        gates.pass("a", || {
            gates.pass("b", || assert_eq!(gates.by_key.lock().unwrap().len(), 2));
            assert_eq!(gates.by_key.lock().unwrap().len(), 1);
        });
        assert!(gates.by_key.lock().unwrap().is_empty());
    }
}
