//! The recordings of a real ComfyUI, read.

// Not every test file uses everything.
#![allow(dead_code)]

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use comfy_runner_protocol::{Graph, History, HistoryEntry, Message, NodeId, PromptAccepted};
use serde::Deserialize;
use serde_json::Value;

pub struct Recording {
    pub name: String,
    pub jobs: Vec<RecordedJob>,
    pub frames: Vec<(Duration, Recorded)>,
}

pub struct RecordedJob {
    pub prompt_id: String,
    pub graph: Graph,
    /// The output nodes that ComfyUI ran, when the history tells.
    pub outputs: Option<Vec<NodeId>>,
    pub history: Option<HistoryEntry>,
}

pub enum Recorded {
    Text(Message),
    Binary(Bytes),
}

const NAMES: [&str; 9] = [
    "fully_cached",
    "interrupted",
    "partly_cached",
    "runtime_error",
    "success_with_preview",
    "success_with_preview_metadata",
    "three_jobs_one_deleted",
    "validation_errors",
    "video_image_text_outputs",
];

pub fn recordings() -> Vec<Recording> {
    NAMES.into_iter().map(recording).collect()
}

pub fn recording(name: &str) -> Recording {
    let path = format!("{}/../../fixtures/recordings/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let raw: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path);
    let list = |key: &str| raw[key].as_array().expect(key).iter();
    let jobs = list("prompts").filter(|prompt| prompt["status"] == 200).map(|prompt| {
        let prompt_id = PromptAccepted::deserialize(&prompt["response"]).unwrap().prompt_id;
        let history = raw["history"].get(&prompt_id).map(|reply| History::deserialize(reply).unwrap());
        let history = history.and_then(|mut history| history.shift_remove(&prompt_id));
        let outputs = history.as_ref().map(|entry| Vec::deserialize(&entry.prompt[4]).unwrap());
        RecordedJob {
            graph: Graph::from_value(prompt["request"].clone()).unwrap(),
            prompt_id,
            outputs,
            history,
        }
    });
    let frames = list("websocket").map(|frame| {
        let at = Duration::from_secs_f64(frame["t"].as_f64().unwrap());
        let recorded = match frame.get("text") {
            Some(text) => Recorded::Text(Message::parse(&text.to_string()).unwrap()),
            None => {
                let bytes = base64::prelude::BASE64_STANDARD.decode(frame["binary"].as_str().unwrap());
                Recorded::Binary(bytes.unwrap().into())
            }
        };
        (at, recorded)
    });
    Recording { name: name.to_owned(), jobs: jobs.collect(), frames: frames.collect() }
}
