//! The recordings of a real ComfyUI, read.

// Not every test file uses everything.
#![allow(dead_code)]

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use comfy_runner_api::Status;
use comfy_runner_protocol::{Graph, History, HistoryEntry, Message, NodeId, PromptAccepted};
use serde::Deserialize;
use serde_json::Value;

#[path = "../../../protocol/tests/support/recorded.rs"]
mod recorded;
use recorded::{VERSIONS, frame_text, reply};

pub struct Recording {
    pub name: String,
    pub version: String,
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

impl RecordedJob {
    /// How its history says that it ended; `None` for one that was deleted while it waited.
    pub fn expected(&self) -> Option<Status> {
        let history = self.history.as_ref()?;
        Some(match (history.succeeded(), history.interrupted()) {
            (true, _) => Status::Completed,
            (false, true) => Status::Cancelled,
            (false, false) => Status::Error,
        })
    }
}

pub enum Recorded {
    Text(Message),
    Binary(Bytes),
}

/// Every recording of every version.
pub fn recordings() -> Vec<Recording> {
    let names = |version: &'static str| {
        let folder = format!("{}/../../fixtures/recordings/{version}", env!("CARGO_MANIFEST_DIR"));
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .expect(&folder)
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.into_iter().map(move |name| read(version, name.trim_end_matches(".json")))
    };
    VERSIONS.into_iter().flat_map(names).collect()
}

/// The recordings of this name, one of each version that has it.
pub fn recordings_of(name: &str) -> Vec<Recording> {
    recordings().into_iter().filter(|recording| recording.name == name).collect()
}

fn read(version: &str, name: &str) -> Recording {
    let path = format!("{}/../../fixtures/recordings/{version}/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let raw: Value = serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path);
    let list = |key: &str| raw[key].as_array().expect(key).iter();
    let jobs = list("prompts").filter(|prompt| prompt["status"] == 200).map(|prompt| {
        let prompt_id = PromptAccepted::deserialize(&prompt["response"]).unwrap().prompt_id;
        let history =
            raw["history"].get(&prompt_id).map(|recorded| History::deserialize(reply(recorded)).unwrap());
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
        let recorded = match frame_text(frame) {
            Some(text) => Recorded::Text(Message::parse(&text).unwrap()),
            None => {
                let bytes = base64::prelude::BASE64_STANDARD.decode(frame["binary"].as_str().unwrap());
                Recorded::Binary(bytes.unwrap().into())
            }
        };
        (at, recorded)
    });
    Recording {
        name: name.to_owned(),
        version: version.to_owned(),
        jobs: jobs.collect(),
        frames: frames.collect(),
    }
}
