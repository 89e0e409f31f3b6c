//! Recordings made comparable: ids by their order, times and random parts by a word, sets sorted.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use comfy_runner_protocol::BinaryFrame;
use serde_json::{Value, json};

use super::scenario::from_loose;

/// Makes the values of one recording comparable.
pub struct Normal {
    ids: HashMap<String, String>,
    nonce: u64,
}

impl Normal {
    /// The recording without what differs from run to run. `nonce` is what was added to seeds and colours.
    pub fn from_recording(recording: &Value, nonce: u64) -> Value {
        let prompts = recording["prompts"].as_array().unwrap().iter();
        let ids = prompts.filter_map(|prompt| prompt["response"]["prompt_id"].as_str());
        let ids = ids.enumerate().map(|(place, id)| (id.to_owned(), format!("P{place}"))).collect();
        Self { ids, nonce }.value(recording)
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::Object(entries) if entries.contains_key("raw") => {
                let value = self.value(&from_loose(value));
                let is_frame = entries.contains_key("t");
                if is_frame { json!({ "text": value }) } else { value }
            }
            Value::Object(entries) => {
                let entries = entries
                    .iter()
                    .filter(|(key, _)| !matches!(key.as_str(), "t" | "case" | "comfyui_version"));
                let named = |key: &String| self.ids.get(key).unwrap_or(key).clone();
                Value::Object(entries.map(|(key, value)| (named(key), self.entry(key, value))).collect())
            }
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.value(item)).collect();
                if is_queue_item(&items) {
                    // The outputs of a prompt are a set in ComfyUI.
                    items[4].as_array_mut().unwrap().sort_by_key(Value::to_string);
                }
                Value::Array(items)
            }
            Value::String(text) => {
                let ids = self.ids.iter();
                json!(ids.fold(text.clone(), |text, (id, name)| text.replace(id, name)))
            }
            // Python tells 1 from 1.0, JSON does not.
            Value::Number(number) => json!(number.as_f64()),
            other => other.clone(),
        }
    }

    fn entry(&self, key: &str, value: &Value) -> Value {
        match (key, value) {
            // As the scenario has it, without the nonce.
            ("request", _) => value.clone(),
            (
                "timestamp" | "create_time" | "execution_start_time" | "execution_end_time",
                Value::Number(_),
            ) => json!("a time"),
            ("sid" | "client_id", Value::String(_)) => json!("a client"),
            ("traceback", Value::Array(_)) => json!("a traceback"),
            ("seed", Value::Number(_)) => json!(value.as_u64().unwrap() - self.nonce),
            ("color", Value::Number(_)) => {
                json!((value.as_u64().unwrap() + (1 << 24) - self.nonce % (1 << 24)) % (1 << 24))
            }
            ("current_inputs", Value::Object(inputs)) => {
                // Tensors are described, not shown.
                let lengths = inputs.iter().map(|(name, value)| (name, value.as_array().unwrap().len()));
                json!(lengths.collect::<BTreeMap<_, _>>())
            }
            ("executed" | "current_outputs", Value::Array(ids)) => {
                let mut ids = ids.clone();
                ids.sort_by_key(Value::to_string);
                Value::Array(ids)
            }
            ("errors", Value::Array(errors)) => {
                // The inputs of a node are a set in ComfyUI.
                let mut errors: Vec<Value> = errors.iter().map(|error| self.value(error)).collect();
                errors.sort_by_key(|error| error["details"].to_string());
                Value::Array(errors)
            }
            ("filename", Value::String(name)) => json!(without_chance(name)),
            ("binary", Value::String(bytes)) => self.binary(bytes),
            _ => self.value(value),
        }
    }

    fn binary(&self, bytes: &str) -> Value {
        let decoded = base64::prelude::BASE64_STANDARD.decode(bytes).unwrap();
        let BinaryFrame::Preview(preview) = BinaryFrame::parse(&decoded).unwrap() else {
            return json!(bytes);
        };
        let metadata = preview.metadata.map(|metadata| serde_json::to_value(metadata).unwrap());
        let image = image::load_from_memory(preview.image).unwrap();
        json!({
            "preview": preview.format.media_type(),
            "metadata": metadata.map(|metadata| self.value(&metadata)),
            "size": [image.width(), image.height()],
        })
    }
}

/// Whether this is a prompt as the queue and the history list it.
pub fn is_queue_item(items: &[Value]) -> bool {
    matches!(items, [Value::Number(_), Value::String(_), Value::Object(_), Value::Object(_), Value::Array(_)])
}

/// A file's name without its number, which depends on what was there before, and without the random part of temporary
/// names.
fn without_chance(name: &str) -> String {
    let mut parts: Vec<String> = name.split('_').map(str::to_owned).collect();
    for part in &mut parts {
        let (stem, extension) = part.split_once('.').unwrap_or((part, ""));
        if stem.parse::<u32>().is_ok() {
            *part = format!("number{extension}");
        }
    }
    if name.starts_with("ComfyUI_temp_") {
        parts[2] = "random".to_owned();
    }
    parts.join("_")
}
