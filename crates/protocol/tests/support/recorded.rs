//! The format of `fixtures/recordings`, for the tests of several crates.

use comfy_runner_protocol::json;
use serde_json::Value;

/// The versions of ComfyUI that were recorded.
pub const VERSIONS: [&str; 3] = ["0.3.64", "0.8.0", "0.33.0"];

/// Returns a recorded reply: JSON, or the `raw` string of a reply that is JSON only for Python.
pub fn reply(recorded: &Value) -> Value {
    match recorded.get("raw").and_then(Value::as_str) {
        Some(raw) => json::from_slice(raw.as_bytes()).unwrap(),
        None => recorded.clone(),
    }
}

/// Returns the text of a recorded frame, or `None` if it is binary.
pub fn frame_text(frame: &Value) -> Option<String> {
    let raw = frame.get("raw").and_then(Value::as_str).map(str::to_owned);
    raw.or_else(|| frame.get("text").map(Value::to_string))
}
