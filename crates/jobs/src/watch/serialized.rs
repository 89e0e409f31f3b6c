//! A message and its JSON, made once for all who receive it.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use bytestring::ByteString;
use comfy_runner_api::{FlatStatus, JobMessage};
use serde::Serialize;

/// A message of the API that many receive. Cloning it copies nothing, and its JSON is made by the first who asks for it.
pub struct Serialized<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    message: T,
    json: OnceLock<ByteString>,
    flat: OnceLock<ByteString>,
}

impl<T: Serialize> Serialized<T> {
    /// Wraps a message.
    pub fn new(message: T) -> Self {
        Self { shared: Arc::new(Shared { message, json: OnceLock::new(), flat: OnceLock::new() }) }
    }

    /// Returns the message as JSON.
    pub fn json(&self) -> &ByteString {
        self.shared.json.get_or_init(|| to_json(&self.shared.message))
    }
}

impl Serialized<JobMessage> {
    /// Returns a `progress` message as the JSON of a [`FlatStatus`], and `None` for other messages.
    pub fn flat_json(&self) -> Option<&ByteString> {
        let JobMessage::Progress(update) = &self.shared.message else { return None };
        let flat = || {
            let (prompt_id, client_id) = (update.prompt_id.clone(), update.client_id.clone());
            to_json(&FlatStatus { prompt_id, client_id, status: &update.data })
        };
        Some(self.shared.flat.get_or_init(flat))
    }
}

/// Serialises a message of the API.
pub(super) fn to_json(message: &impl Serialize) -> ByteString {
    serde_json::to_string(message)
        .expect("messages consist of strings, numbers and maps with string keys")
        .into()
}

impl<T> Deref for Serialized<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shared.message
    }
}

impl<T> Clone for Serialized<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Serialized<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.message.fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Serialized<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shared.message == other.shared.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_made_once_for_all_clones() {
        let first = Serialized::new(vec![1, 2]);
        let second = first.clone();
        assert_eq!(*first.json(), "[1,2]");
        assert_eq!(first.json().as_ptr(), second.json().as_ptr());
    }
}
