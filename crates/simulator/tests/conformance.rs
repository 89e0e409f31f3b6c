//! The requests of the recordings, sent again: what comes back must be what the real ComfyUI sent then.
//!
//! With `COMFYUI_URL` the same requests go to a real ComfyUI with the three test nodes, which nobody else may use
//! meanwhile.

mod comfy;

use std::collections::HashMap;

use base64::Engine as _;
use comfy::{Comfy, Heard, Socket};
use comfy_runner_protocol::BinaryFrame;
use serde_json::{Map, Value, json};

/// In the order in which they were recorded: what is cached depends on it.
const CASES: [&str; 9] = [
    "success_with_preview",
    "success_with_preview_metadata",
    "fully_cached",
    "partly_cached",
    "video_image_text_outputs",
    "runtime_error",
    "interrupted",
    "three_jobs_one_deleted",
    "validation_errors",
];

/// Node types of the recordings that make MP4 or WebM, for which the simulator has no encoder.
const LACKING: [&str; 3] = ["CreateVideo", "SaveVideo", "SaveWEBM"];

#[actix_rt::test]
async fn the_simulator_answers_the_recorded_requests_as_comfyui_did() {
    let simulator = comfy::simulator();
    let peer = Peer { comfy: Comfy::at(simulator.url()), real: false, nonce: 0 };
    for case in CASES {
        peer.replay(case).await;
    }
}

#[actix_rt::test]
async fn a_real_comfyui_answers_the_recorded_requests_as_it_did() {
    let Ok(url) = std::env::var("COMFYUI_URL") else {
        println!("skipped: COMFYUI_URL is not set, so only the simulator was compared with the recordings");
        return;
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let nonce = u64::from(now.subsec_nanos()) + 1;
    let peer = Peer { comfy: Comfy::at(url.trim_end_matches('/')), real: true, nonce };
    for case in CASES {
        peer.replay(case).await;
    }
}

struct Peer {
    comfy: Comfy,
    real: bool,
    /// A real ComfyUI has a cache from before: this makes our nodes new to it.
    nonce: u64,
}

impl Peer {
    async fn replay(&self, case: &str) {
        let path = format!("{}/../../fixtures/recordings/{case}.json", env!("CARGO_MANIFEST_DIR"));
        let mut recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let adapted = !self.real && case == "video_image_text_outputs";
        if adapted {
            println!("{case}: adapted, without {LACKING:?}, which the simulator lacks");
            leave_out(&mut recording, &["2", "3", "6"]);
        }
        let client_id = format!("conformance-{case}-{}", self.nonce);
        let mut socket = self.comfy.socket(&client_id, &recording["client_feature_flags"]).await;
        let mut heard = socket.until(|heard| heard.kind() == "feature_flags").await;
        let mut ids = Vec::new();
        for prompt in recording["prompts"].as_array().unwrap() {
            let body = json!({"prompt": self.renewed(&prompt["request"]), "client_id": client_id});
            let answer = self.comfy.post("/prompt", &body).await;
            assert_eq!(
                u64::from(answer.status),
                prompt["status"].as_u64().unwrap(),
                "{case}: {}",
                answer.text()
            );
            let answer = answer.json();
            self.compare_answers(case, &answer, &prompt["response"]);
            if let Some(id) = answer["prompt_id"].as_str() {
                if ids.is_empty() {
                    // The first must run before the second is sent, or the numbers of `status` differ.
                    heard.extend(socket.until(|heard| heard.kind() == "execution_cached").await);
                }
                ids.push(id.to_owned());
            }
        }
        let recorded_ids: Vec<String> = recording["history"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(ids.len(), recorded_ids.len(), "{case}");
        heard.extend(self.act(case, &recording, &ids, &recorded_ids, &mut socket).await);

        let mut ours = Normal::new(&ids, self.nonce);
        let mut theirs = Normal::new(&recorded_ids, 0);
        let heard: Vec<Value> = heard.iter().map(|heard| ours.heard(heard)).collect();
        let recorded: Vec<Value> = recording["websocket"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| theirs.heard(&recorded_frame(frame)))
            .collect();
        self.compare_frames(case, heard, recorded);
        for (id, recorded_id) in ids.iter().zip(&recorded_ids) {
            let history = self.comfy.get(&format!("/history/{id}")).await.json();
            let recorded = &recording["history"][recorded_id];
            let (mut ended, mut recorded) = (ours.value(&history), theirs.value(recorded));
            for history in [&mut ended, &mut recorded] {
                // The order of outputs in the request is a set's in ComfyUI.
                if let Some(outputs) = history.pointer_mut("/P0/prompt/4").and_then(Value::as_array_mut) {
                    outputs.sort_by_key(Value::to_string);
                }
                if self.real {
                    forget_numbers(history);
                }
            }
            assert_eq!(ended, recorded, "{case}: history of {id}");
        }
    }

    /// What was done in the course of a case, up to its last message.
    async fn act(
        &self,
        case: &str,
        recording: &Value,
        ids: &[String],
        recorded_ids: &[String],
        socket: &mut Socket,
    ) -> Vec<Heard> {
        match case {
            "interrupted" => {
                let mut heard = socket.until(|heard| heard.data()["value"] == 3).await;
                let answer = self.comfy.post("/interrupt", &json!({"prompt_id": ids[0]})).await;
                assert_eq!(
                    u64::from(answer.status),
                    recording["extra"]["interrupt_status"].as_u64().unwrap()
                );
                heard.extend(socket.until_end().await);
                heard
            }
            "three_jobs_one_deleted" => {
                let (mut ours, mut theirs) = (Normal::new(ids, self.nonce), Normal::new(recorded_ids, 0));
                let extra = &recording["extra"];
                let mut queue = ours.value(&self.comfy.get("/queue").await.json());
                let mut recorded = theirs.value(&extra["queue"]);
                if self.real {
                    forget_numbers(&mut queue);
                    forget_numbers(&mut recorded);
                }
                assert_eq!(queue, recorded, "{case}");
                assert_eq!(self.comfy.get("/prompt").await.json(), extra["prompt"], "{case}");
                let answer = self.comfy.post("/queue", &json!({"delete": [ids[2]]})).await;
                assert_eq!(u64::from(answer.status), extra["delete_status"].as_u64().unwrap());
                let mut heard = socket.until_end().await;
                heard.extend(socket.until_end().await);
                heard
            }
            _ => socket.until_end().await,
        }
    }

    fn compare_answers(&self, case: &str, answer: &Value, recorded: &Value) {
        let tidy = |answer: &Value| {
            let mut answer = answer.clone();
            if let Some(id) = answer.get_mut("prompt_id") {
                *id = json!("an id");
            }
            if self.real
                && let Some(number) = answer.get_mut("number")
            {
                *number = json!("a number");
            }
            for (_, problem) in answer["node_errors"].as_object_mut().unwrap() {
                let errors = problem["errors"].as_array_mut().unwrap();
                // The inputs of a node are a set in ComfyUI.
                errors.sort_by_key(|error| error["details"].to_string());
                for error in errors {
                    if let Some(traceback) = error.pointer_mut("/extra_info/traceback") {
                        assert!(traceback.is_array());
                        *traceback = json!("a traceback");
                    }
                }
            }
            answer
        };
        assert_eq!(tidy(answer), tidy(recorded), "{case}");
    }

    fn compare_frames(&self, case: &str, heard: Vec<Value>, recorded: Vec<Value>) {
        let is = |kind: &'static str| move |frame: &Value| frame["type"] == kind;
        // A `status` may come between any two others when a request and the executor meet.
        let (status_heard, mut heard): (Vec<_>, Vec<_>) = heard.into_iter().partition(is("status"));
        let (status_recorded, mut recorded): (Vec<_>, Vec<_>) = recorded.into_iter().partition(is("status"));
        assert_eq!(status_heard, status_recorded, "{case}: status");
        match case {
            // How many steps there were in between is chance.
            "interrupted" => {
                for frames in [&mut heard, &mut recorded] {
                    let steps = |frame: &Value| {
                        let value =
                            frame.pointer("/data/nodes/3/value").or_else(|| frame.pointer("/data/value"));
                        value.and_then(Value::as_f64).is_some_and(|value| value > 1.0)
                    };
                    frames.retain(|frame| !steps(frame));
                    frames.dedup_by(|a, b| a == b && a.get("preview").is_some());
                }
            }
            // The recording keeps only some previews of this case.
            "three_jobs_one_deleted" => {
                for frames in [&mut heard, &mut recorded] {
                    frames.retain(|frame| frame.get("preview").is_none());
                }
            }
            // Outputs that are ready together run in the order of a set in ComfyUI.
            "video_image_text_outputs" => {
                for frames in [&mut heard, &mut recorded] {
                    frames.retain(|frame| frame["type"] != "progress_state");
                    let last = frames.len() - 2;
                    frames[3..last].sort_by_key(Value::to_string);
                }
            }
            _ => {}
        }
        for (place, (heard, recorded)) in heard.iter().zip(&recorded).enumerate() {
            assert_eq!(heard, recorded, "{case}: frame {place}");
        }
        assert_eq!(heard.len(), recorded.len(), "{case}: frames");
    }

    /// The request with its nodes made new.
    fn renewed(&self, request: &Value) -> Value {
        let mut request = request.clone();
        for node in request.as_object_mut().unwrap().values_mut() {
            for (key, range) in [("seed", u64::MAX), ("color", 1 << 24)] {
                if let Some(value) = node["inputs"].get_mut(key) {
                    *value = json!((value.as_u64().unwrap() + self.nonce) % range);
                }
            }
        }
        request
    }
}

/// Takes nodes out of a recording: out of the request and out of everything that tells of them.
fn leave_out(recording: &mut Value, nodes: &[&str]) {
    let remove = |map: Option<&mut Value>| {
        if let Some(map) = map.and_then(Value::as_object_mut) {
            map.retain(|id, _| !nodes.contains(&id.as_str()));
        }
    };
    for prompt in recording["prompts"].as_array_mut().unwrap() {
        remove(prompt.get_mut("request"));
    }
    let frames = recording["websocket"].as_array_mut().unwrap();
    frames.retain(|frame| {
        let node = frame.pointer("/text/data/node").and_then(Value::as_str);
        node.is_none_or(|node| !nodes.contains(&node))
    });
    for frame in frames {
        remove(frame.pointer_mut("/text/data/nodes"));
    }
    for reply in recording["history"].as_object_mut().unwrap().values_mut() {
        for entry in reply.as_object_mut().unwrap().values_mut() {
            remove(entry.get_mut("outputs"));
            remove(entry.get_mut("meta"));
            remove(entry.pointer_mut("/prompt/2"));
            let outputs = entry.pointer_mut("/prompt/4").and_then(Value::as_array_mut).unwrap();
            outputs.retain(|id| !nodes.contains(&id.as_str().unwrap()));
        }
    }
}

fn recorded_frame(frame: &Value) -> Heard {
    match frame.get("binary").and_then(Value::as_str) {
        Some(text) => Heard::Binary(base64::prelude::BASE64_STANDARD.decode(text).unwrap()),
        None => Heard::Text(frame["text"].clone()),
    }
}

/// The place of a prompt in ComfyUI's count of them.
fn forget_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => {
            let is_prompt =
                matches!(items.as_slice(), [Value::Number(_), Value::String(_), Value::Object(_), ..]);
            if is_prompt {
                items[0] = json!("a number");
            }
            items.iter_mut().for_each(forget_numbers);
        }
        Value::Object(entries) => entries.values_mut().for_each(forget_numbers),
        _ => {}
    }
}

/// Makes values comparable: ids by their order, times and random parts by a word, sets sorted.
struct Normal {
    ids: HashMap<String, String>,
    nonce: u64,
}

impl Normal {
    fn new(ids: &[String], nonce: u64) -> Self {
        // All prompts of a history are `P0`: each is asked for alone.
        let ids = ids.iter().enumerate().map(|(place, id)| (id.clone(), format!("P{place}")));
        Self { ids: ids.collect(), nonce }
    }

    fn heard(&mut self, heard: &Heard) -> Value {
        match heard {
            Heard::Text(message) => self.value(message),
            Heard::Binary(bytes) => {
                let BinaryFrame::Preview(preview) = BinaryFrame::parse(bytes).unwrap() else {
                    panic!("a binary frame that is no preview")
                };
                let metadata = preview.metadata.map(|metadata| serde_json::to_value(metadata).unwrap());
                json!({
                    "preview": preview.format.media_type(),
                    "metadata": metadata.map(|metadata| self.value(&metadata)),
                    "size": image_size(preview.image),
                })
            }
        }
    }

    fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(entries) => {
                let entries: Map<String, Value> = entries
                    .iter()
                    .map(|(key, value)| {
                        let value = self.entry(key, value);
                        (self.ids.get(key).cloned().unwrap_or_else(|| key.clone()), value)
                    })
                    .collect();
                Value::Object(entries)
            }
            Value::Array(items) => Value::Array(items.iter().map(|item| self.value(item)).collect()),
            Value::String(text) => json!(self.ids.get(text).unwrap_or(text)),
            // Python tells 1 from 1.0, JSON does not.
            Value::Number(number) => json!(number.as_f64()),
            other => other.clone(),
        }
    }

    fn entry(&mut self, key: &str, value: &Value) -> Value {
        match (key, value) {
            ("timestamp", Value::Number(_)) => json!("a time"),
            ("sid" | "client_id", Value::String(_)) => json!("a client"),
            ("traceback", Value::Array(_)) => json!("a traceback"),
            ("seed", Value::Number(_)) => json!(value.as_u64().unwrap() - self.nonce),
            ("color", Value::Number(_)) => {
                json!((value.as_u64().unwrap() + (1 << 24) - self.nonce % (1 << 24)) % (1 << 24))
            }
            ("current_inputs", Value::Object(inputs)) => {
                // Tensors are described, not shown.
                json!(
                    inputs
                        .iter()
                        .map(|(name, value)| (name.clone(), value.as_array().unwrap().len()))
                        .collect::<HashMap<_, _>>()
                )
            }
            ("executed" | "current_outputs", Value::Array(ids)) => {
                let mut ids = ids.clone();
                ids.sort_by_key(Value::to_string);
                Value::Array(ids)
            }
            ("filename", Value::String(name)) => json!(without_chance(name)),
            _ => self.value(value),
        }
    }
}

/// A file's name without its number, which depends on what was there before, and without the random part of temporary
/// names.
fn without_chance(name: &str) -> String {
    let parts = name.split('_').map(|part| if part.parse::<u32>().is_ok() { "number" } else { part });
    let mut parts: Vec<&str> = parts.collect();
    if name.starts_with("ComfyUI_temp_") {
        parts[2] = "random";
    }
    parts.join("_")
}

fn image_size(jpeg: &[u8]) -> String {
    let picture = image::load_from_memory(jpeg).unwrap();
    format!("{}x{}", picture.width(), picture.height())
}
