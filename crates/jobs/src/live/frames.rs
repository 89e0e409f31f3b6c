//! A job's state as it is sent: made once for each change and shared by all who watch.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytestring::ByteString;
use comfy_runner_progress::{NodeFiles, Picture, Progress, Snapshot};
use comfy_runner_protocol::NodeId;
use indexmap::IndexMap;
use serde::Serialize;

/// The state and the files of a job at one revision.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Of which revision.
    pub revision: u64,
    /// The state.
    pub state: ByteString,
    /// For each node with files: its message, and since which revision it is what it is.
    pub outputs: IndexMap<NodeId, (u64, ByteString)>,
}

/// A message about a job: `{"type", "prompt_id", "client_id", "data"}`.
#[derive(Serialize)]
struct Message<'a, D> {
    #[serde(rename = "type")]
    kind: &'static str,
    prompt_id: &'a str,
    client_id: &'a str,
    data: D,
}

/// The data of an `output`.
#[derive(Serialize)]
struct OutputData<'a> {
    node_id: &'a str,
    #[serde(flatten)]
    files: &'a NodeFiles<'a>,
}

/// The data of a `preview`.
#[derive(Serialize)]
struct PreviewData<'a> {
    node_id: Option<&'a str>,
    media_type: &'static str,
    image: String,
}

impl Frames {
    /// What is to be sent of a job at the time `now`. `before` is what was sent of it last.
    pub fn of(progress: &Progress, client_id: &str, now: Duration, before: Option<&Self>) -> Self {
        let prompt_id = progress.prompt_id();
        let revision = progress.revision();
        let outputs = progress.node_outputs().into_iter().map(|(node_id, files)| {
            let text = message("output", prompt_id, client_id, OutputData { node_id, files: &files });
            let same = before.and_then(|before| before.outputs.get(node_id)).filter(|(_, old)| *old == text);
            (node_id.to_owned(), same.cloned().unwrap_or((revision, text)))
        });
        let state: Snapshot<'_> = progress.snapshot(now);
        Self { revision, state: message("progress", prompt_id, client_id, state), outputs: outputs.collect() }
    }
}

/// A preview as text, for those who cannot take bytes.
pub(crate) fn preview_text(prompt_id: &str, client_id: &str, picture: &Picture) -> ByteString {
    let data = PreviewData {
        node_id: picture.node_id.as_deref(),
        media_type: picture.format.media_type(),
        image: BASE64_STANDARD.encode(&picture.image),
    };
    message("preview", prompt_id, client_id, data)
}

fn message(kind: &'static str, prompt_id: &str, client_id: &str, data: impl Serialize) -> ByteString {
    let message = Message { kind, prompt_id, client_id, data };
    serde_json::to_string(&message).expect("strings, numbers and maps with string keys are JSON").into()
}

#[cfg(test)]
mod tests {
    use comfy_runner_protocol::{Graph, ImageFormat, Message as ComfyMessage};
    use serde_json::{Value, json};

    use super::*;

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn saving() -> Progress {
        let save = json!({"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Keep"}});
        Progress::new("p", &Graph::from_value(json!({"1": save, "2": save})).unwrap(), None)
    }

    fn saves(progress: &mut Progress, node: &str) {
        let image = r#"{"filename": "a.png", "subfolder": "s", "type": "output"}"#;
        let text = format!(
            r#"{{"type": "executed", "data": {{"node": "{node}", "output": {{"images": [{image}]}}, "prompt_id": "p"}}}}"#
        );
        progress.apply(&ComfyMessage::parse(&text).unwrap(), Duration::ZERO);
    }

    #[test]
    fn a_state_is_what_status_says_with_the_jobs_name_on_it() {
        let frames = Frames::of(&saving(), "c", Duration::ZERO, None);
        assert_eq!(
            parse(&frames.state),
            json!({
                "type": "progress", "prompt_id": "p", "client_id": "c",
                "data": {"status": "pending", "step": 0, "total_steps": 0},
            })
        );
        assert!(frames.outputs.is_empty());
    }

    #[test]
    fn files_are_news_since_the_revision_that_brought_them() {
        let mut progress = saving();
        saves(&mut progress, "1");
        let first = Frames::of(&progress, "c", Duration::ZERO, None);
        let (since_first, text) = &first.outputs["1"];
        let item = json!({"filename": "a.png", "subfolder": "s", "type": "output", "media": "image"});
        assert_eq!(
            parse(text),
            json!({
                "type": "output", "prompt_id": "p", "client_id": "c",
                "data": {"node_id": "1", "node_title": "Keep", "node_type": "SaveImage", "items": [item]},
            })
        );
        saves(&mut progress, "2");
        let second = Frames::of(&progress, "c", Duration::ZERO, Some(&first));
        assert_eq!(second.outputs["1"].0, *since_first);
        assert_eq!(second.outputs["2"].0, progress.revision());
        assert!(second.outputs["2"].0 > *since_first);
    }

    #[test]
    fn a_preview_as_text_is_base64() {
        let picture = Picture { format: ImageFormat::Jpeg, image: (&b"\xff\xd8"[..]).into(), node_id: None };
        assert_eq!(
            parse(&preview_text("p", "c", &picture)),
            json!({
                "type": "preview", "prompt_id": "p", "client_id": "c",
                "data": {"node_id": null, "media_type": "image/jpeg", "image": "/9g="},
            })
        );
    }
}
