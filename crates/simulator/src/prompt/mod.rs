//! A submitted prompt: whether it can run, in which order, and which of its nodes are what ran before.

mod order;
mod signature;
mod validation;

pub use order::{Cycle, Order};
pub use signature::{NoFingerprint, Signature, signature};
pub use validation::validate;

use comfy_runner_protocol::Link;
use serde_json::{Map, Value};

/// The inputs of a node; none if they are missing.
pub fn inputs(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node.get("inputs").and_then(Value::as_object).into_iter().flatten()
}

/// The type of a node; empty if it is missing.
pub fn class_type(node: &Value) -> &str {
    node.get("class_type").and_then(Value::as_str).unwrap_or_default()
}

/// The inputs of a node that are links to other nodes.
pub fn links(node: &Value) -> impl Iterator<Item = (&str, Link<'_>)> {
    inputs(node).filter_map(|(name, value)| Some((name.as_str(), Link::from_value(value)?)))
}

/// A prompt's nodes by id.
pub type Nodes = Map<String, Value>;
