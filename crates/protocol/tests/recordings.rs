//! Everything that a real ComfyUI sent is read: messages, previews, replies, queue, history and node schemas.

#[path = "support/recorded.rs"]
mod recorded;

use base64::Engine as _;
use comfy_runner_protocol::{
    BinaryFrame, History, HistoryEntry, ImageFormat, InputKind, Message, ObjectInfo, PromptAccepted,
    PromptRefused, Queue,
};
use recorded::{VERSIONS, frame_text};
use serde::Deserialize;
use serde_json::Value;

fn fixture(path: &str) -> Value {
    let path = format!("{}/../../fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

/// Every recording with its name, such as `0.33.0/interrupted`.
fn recordings() -> Vec<(String, Value)> {
    let of_version = |version| {
        let folder = format!("{}/../../fixtures/recordings/{version}", env!("CARGO_MANIFEST_DIR"));
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(move |name| format!("{version}/{}", name.to_str().unwrap()));
        names.collect::<Vec<_>>()
    };
    let mut names: Vec<_> = VERSIONS.into_iter().flat_map(of_version).collect();
    names.sort();
    assert!(names.len() >= 30);
    let read = |name: String| {
        let recording = fixture(&format!("recordings/{name}"));
        (name.trim_end_matches(".json").to_owned(), recording)
    };
    names.into_iter().map(read).collect()
}

/// The name of a recording without its version.
fn case(name: &str) -> &str {
    name.split_once('/').unwrap().1
}

fn history_of(recording: &Value) -> Vec<HistoryEntry> {
    let replies = recording["history"].as_object().unwrap().values();
    replies.flat_map(|reply| History::deserialize(recorded::reply(reply)).unwrap().into_values()).collect()
}

#[test]
fn every_frame_of_every_recording_is_known() {
    let (mut texts, mut previews) = (0, 0);
    for (name, recording) in recordings() {
        for frame in recording["websocket"].as_array().unwrap() {
            if let Some(text) = frame_text(frame) {
                let message = Message::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(!matches!(message, Message::Unknown { .. }), "{name}: {text}");
                texts += 1;
            } else {
                let bytes =
                    base64::prelude::BASE64_STANDARD.decode(frame["binary"].as_str().unwrap()).unwrap();
                let preview = match BinaryFrame::parse(&bytes).unwrap() {
                    BinaryFrame::Preview(preview) => preview,
                    // A string about a node, which is not shown.
                    BinaryFrame::Unknown(3) => continue,
                    other => panic!("{name}: {other:?}"),
                };
                assert_eq!(preview.format, ImageFormat::Jpeg);
                assert!(preview.image.starts_with(b"\xff\xd8\xff"));
                assert_eq!(
                    preview.metadata.is_some(),
                    case(&name) == "success_with_preview_metadata",
                    "{name}"
                );
                previews += 1;
            }
        }
    }
    assert!(texts > 100 && previews > 10, "{texts} texts, {previews} previews");
}

#[test]
fn every_reply_to_a_prompt_is_read_and_written_as_it_was() {
    for (name, recording) in recordings() {
        for prompt in recording["prompts"].as_array().unwrap() {
            let reply = &prompt["response"];
            let again = if prompt["status"] == 200 {
                serde_json::to_value(PromptAccepted::deserialize(reply).unwrap()).unwrap()
            } else {
                serde_json::to_value(PromptRefused::deserialize(reply).unwrap()).unwrap()
            };
            assert_eq!(again["node_errors"], reply["node_errors"], "{name}");
            assert_eq!(again["error"], reply["error"], "{name}");
        }
    }
}

#[test]
fn the_queue_is_read() {
    for version in VERSIONS {
        let recording = fixture(&format!("recordings/{version}/three_jobs_one_deleted.json"));
        let queue = Queue::from_json(recording["exchanges"][0]["response"].to_string().as_bytes()).unwrap();
        assert_eq!((queue.queue_running.len(), queue.queue_pending.len()), (1, 2));
        assert!(queue.is_pending(recording["prompts"][2]["response"]["prompt_id"].as_str().unwrap()));
    }
}

#[test]
fn history_tells_success_failure_and_interruption_apart() {
    for (name, recording) in recordings() {
        for entry in history_of(&recording) {
            let (started, ended) = entry.times();
            assert!(started.unwrap() <= ended.unwrap(), "{name}");
            let interrupted = case(&name) == "interrupted"
                || case(&name) == "jobs_endpoints"
                    && entry.prompt[1] == recording["prompts"][0]["response"]["prompt_id"];
            let failure = match case(&name) {
                "runtime_error" => Some("it broke\n"),
                "not_a_number_error" => Some("cannot convert float NaN to integer\n"),
                _ => None,
            };
            assert_eq!(entry.succeeded(), !interrupted && failure.is_none(), "{name}");
            assert_eq!(entry.interrupted(), interrupted, "{name}");
            let error = entry.error().map(|error| error.exception_message);
            assert_eq!(error.as_deref(), failure, "{name}");
            assert!(!entry.graph().unwrap().is_empty());
        }
    }
    for version in VERSIONS {
        let cached = &history_of(&fixture(&format!("recordings/{version}/partly_cached.json")))[0];
        assert_eq!(cached.cached(), ["1", "2"]);
    }
}

#[test]
fn node_schemas_survive_reading_and_writing() {
    let raw = fixture("object_info/0.3.64.json");
    let schemas = ObjectInfo::deserialize(&raw).unwrap();
    assert_eq!(schemas.len(), 478);
    let sampler = &schemas["KSampler"];
    assert!(
        matches!(&sampler.input("sampler_name").unwrap().0.kind, InputKind::Combo(names) if names.len() > 40)
    );
    assert_eq!(sampler.input("seed").unwrap().0.options["max"], u64::MAX);
    assert!(
        matches!(&schemas["SaveVideo"].input("format").unwrap().0.kind, InputKind::Combo(formats) if formats.len() == 2)
    );
    for (class, schema) in &schemas {
        assert_eq!(
            serde_json::to_value(schema).unwrap()["input"]["required"],
            raw[class]["input"].get("required").cloned().unwrap_or_else(|| serde_json::json!({})),
            "{class}"
        );
    }
}
