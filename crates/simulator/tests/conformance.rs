//! The scenarios of the recordings, run again: what comes back must be what the real ComfyUI sent then, for the simulator
//! as each version that it speaks as.
//!
//! With `COMFYUI_URL` the same requests go to a real ComfyUI with the three test nodes, which nothing else may use
//! meanwhile; its version must have been recorded.

mod comfy;

use comfy::Comfy;
use comfy::normal::{Normal, is_queue_item};
use comfy::scenario::{self, Scenario};
use comfy_runner_simulator::{Simulator, Version};
use serde_json::{Map, Value, json};

/// Scenarios that the simulator is not compared on, and why.
const NOT_SIMULATED: [(&str, &str); 3] = [
    ("not_a_number_reported", "its JSON is strict"),
    ("not_a_number_error", "its JSON is strict"),
    ("output_kinds", "it makes no audio, 3D models or latents"),
];

/// Nodes of `video_image_text_outputs` that the simulator does not have, with what leads to them.
const WITHOUT_WEBM: [&str; 1] = ["6"];

#[actix_rt::test]
async fn the_simulator_answers_the_recorded_requests_as_each_version_did() {
    for version in Version::ALL {
        let builder = Simulator::builder().speak_as(version).step_delay(std::time::Duration::ZERO);
        let simulator = builder.start().unwrap();
        let peer = Peer { comfy: Comfy::of(simulator), version: version.to_string(), real: false, nonce: 0 };
        peer.replay_all().await;
    }
}

#[actix_rt::test]
async fn a_real_comfyui_answers_the_recorded_requests_as_it_did() {
    let Ok(url) = std::env::var("COMFYUI_URL") else {
        println!("skipped: COMFYUI_URL is not set, so only the simulator was compared with the recordings");
        return;
    };
    let comfy = Comfy::at(url.trim_end_matches('/'));
    let version = comfy.get("/system_stats").await.json()["system"]["comfyui_version"].clone();
    let version = version.as_str().expect("this ComfyUI does not say its version").to_owned();
    assert!(
        scenario::folder().join(&version).is_dir(),
        "ComfyUI {version} was not recorded: run `just record`"
    );
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let nonce = u64::from(now.subsec_nanos()) + 1;
    Peer { comfy, version, real: true, nonce }.replay_all().await;
}

struct Peer {
    comfy: Comfy,
    version: String,
    real: bool,
    /// A real ComfyUI has a cache from before: this makes our nodes new to it.
    nonce: u64,
}

impl Peer {
    async fn replay_all(&self) {
        for scenario in scenario::scenarios(&self.version) {
            match NOT_SIMULATED.iter().find(|(case, _)| *case == scenario.case) {
                Some((case, why)) if !self.real => {
                    println!("{case}: not compared, as {why}");
                    // Prompts are counted, whatever becomes of them.
                    for _ in &scenario.prompts {
                        self.comfy.post("/prompt", &json!({})).await;
                    }
                }
                _ => self.replay(scenario).await,
            }
        }
    }

    async fn replay(&self, mut scenario: Scenario) {
        let case = format!("{} {}", self.version, scenario.case);
        let path = scenario::folder().join(&self.version).join(format!("{}.json", scenario.case));
        let mut recording: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        if !self.real && scenario.case == "video_image_text_outputs" {
            println!("{case}: adapted, without SaveWEBM, which the simulator lacks");
            leave_out(&mut recording, &WITHOUT_WEBM);
            let graph = scenario.prompts[0]["prompt"].as_object_mut().unwrap();
            graph.retain(|id, _| !WITHOUT_WEBM.contains(&id.as_str()));
        }
        let client_id = format!("conformance-{}-{}", scenario.case, self.nonce);
        let run = scenario.run(&self.comfy, &client_id, |body| self.renew(body)).await;
        let ran = run.to_recording(&scenario, &self.version);
        let (ran, recording) =
            (Normal::from_recording(&ran, self.nonce), Normal::from_recording(&recording, 0));
        for (place, (ran, recorded)) in list(&ran, "prompts").zip(list(&recording, "prompts")).enumerate() {
            assert_eq!(self.comparable(ran), self.comparable(recorded), "{case}: prompt {place}");
        }
        self.compare_frames(&scenario.case, frames(&ran), frames(&recording));
        for (ran, recorded) in list(&ran, "exchanges").zip(list(&recording, "exchanges")) {
            let place = format!("{case}: {} {}", ran["method"], ran["path"]);
            assert_eq!(self.comparable(ran), self.comparable(recorded), "{place}");
        }
        for key in ["prompts", "exchanges", "history"] {
            assert_eq!(length(&ran, key), length(&recording, key), "{case}: {key}");
        }
        for (id, recorded) in recording["history"].as_object().unwrap() {
            assert_eq!(
                self.comparable(&ran["history"][id]),
                self.comparable(recorded),
                "{case}: history of {id}"
            );
        }
    }

    /// The value without what depends on what a real ComfyUI was asked before.
    fn comparable(&self, value: &Value) -> Value {
        let mut value = value.clone();
        if self.real {
            forget_numbers(&mut value);
        }
        value
    }

    fn compare_frames(&self, case: &str, heard: Vec<Value>, recorded: Vec<Value>) {
        let is = |kind: &'static str| move |frame: &Value| frame["type"] == kind;
        // A `status` may come between any two others when a request and the executor meet.
        let (status_heard, mut heard): (Vec<_>, Vec<_>) = heard.into_iter().partition(is("status"));
        let (status_recorded, mut recorded): (Vec<_>, Vec<_>) = recorded.into_iter().partition(is("status"));
        assert_eq!(status_heard, status_recorded, "{case}: status");
        for frames in [&mut heard, &mut recorded] {
            match case {
                // How many steps there were in between is chance.
                "interrupted" | "jobs_endpoints" => {
                    let steps = |frame: &Value| {
                        let value =
                            frame.pointer("/data/nodes/3/value").or_else(|| frame.pointer("/data/value"));
                        value.and_then(Value::as_f64).is_some_and(|value| value > 1.0)
                            || frame["type"] == "progress"
                            || frame.pointer("/data/nodes/3/max").and_then(Value::as_f64) == Some(100.0)
                            || frame.get("preview").is_some()
                    };
                    frames.retain(|frame| !steps(frame));
                }
                // The recording keeps only some previews of this case.
                "three_jobs_one_deleted" => frames.retain(|frame| frame.get("preview").is_none()),
                // Outputs that are ready together run in the order of a set in ComfyUI.
                "video_image_text_outputs" | "output_kinds" | "not_a_number_reported" => {
                    frames.retain(|frame| frame["type"] != "progress_state");
                    let last = frames.len() - 2;
                    frames[3..last].sort_by_key(Value::to_string);
                }
                _ => {}
            }
        }
        for (place, (heard, recorded)) in heard.iter().zip(&recorded).enumerate() {
            assert_eq!(heard, recorded, "{} {case}: frame {place}", self.version);
        }
        assert_eq!(heard.len(), recorded.len(), "{} {case}: frames", self.version);
    }

    /// Makes the nodes of a prompt new.
    fn renew(&self, body: &mut Map<String, Value>) {
        for node in body["prompt"].as_object_mut().unwrap().values_mut() {
            for (key, range) in [("seed", u64::MAX), ("color", 1 << 24)] {
                if let Some(value) = node["inputs"].get_mut(key) {
                    *value = json!((value.as_u64().unwrap() + self.nonce) % range);
                }
            }
        }
    }
}

fn list<'a>(recording: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    recording[key].as_array().unwrap().iter()
}

fn length(recording: &Value, key: &str) -> usize {
    recording[key].as_array().map(Vec::len).or_else(|| Some(recording[key].as_object()?.len())).unwrap()
}

/// The frames of a recording without their times.
fn frames(recording: &Value) -> Vec<Value> {
    let frames = recording["websocket"].as_array().unwrap();
    frames.iter().map(|frame| frame.get("text").unwrap_or(&frame["binary"]).clone()).collect()
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

/// The place of a prompt in ComfyUI's count of them.
fn forget_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => {
            if is_queue_item(items) {
                items[0] = json!("a number");
            }
            items.iter_mut().for_each(forget_numbers);
        }
        Value::Object(entries) => {
            for (key, value) in entries {
                match (key.as_str(), &value) {
                    ("number" | "priority", Value::Number(_)) => *value = json!("a number"),
                    _ => forget_numbers(value),
                }
            }
        }
        _ => {}
    }
}
