//! WebSocket messages from any bytes, applied to a job's progress: never a panic, and progress stays what it promises.
//!
//! Each line is a text frame, or a binary frame when it is no UTF-8 or no JSON object.

#![no_main]

use std::time::Duration;

use comfy_runner_progress::Progress;
use comfy_runner_protocol::{BinaryFrame, Graph, Message};
use libfuzzer_sys::fuzz_target;

const GRAPH: &str = r#"{
    "1": {"class_type": "EmptyImage", "inputs": {}},
    "2": {"class_type": "KSampler", "inputs": {"latent": ["1", 0], "steps": 20}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}
}"#;

fuzz_target!(|input: &[u8]| {
    let graph = Graph::from_json(GRAPH).expect("a graph");
    let mut progress = Progress::new("p", &graph, None);
    let mut percent = 0;
    for (second, frame) in (0..).zip(input.split(|byte| *byte == b'\n')) {
        let now = Duration::from_secs(second);
        match std::str::from_utf8(frame).map(Message::parse) {
            Ok(Ok(message)) => {
                let _ = message.prompt_id();
                progress.apply(&message, now);
            }
            Ok(Err(error)) => drop(error.to_string()),
            Err(_) => match BinaryFrame::parse(frame) {
                Ok(BinaryFrame::Preview(preview)) => {
                    let image = preview.image.to_vec().into();
                    progress.preview(preview.format, image, preview.metadata.as_ref());
                }
                Ok(_) => {}
                Err(error) => drop(error.to_string()),
            },
        }
        progress.tick(now);
        assert!((percent..=100).contains(&progress.percent()), "progress goes back or beyond its end");
        percent = progress.percent();
        serde_json::to_string(&progress.snapshot(now)).expect("a snapshot is JSON");
    }
});
