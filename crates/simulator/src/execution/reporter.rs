//! Reports the progress of a prompt's nodes.

use actix_web::web::Bytes;
use comfy_runner_protocol::{ImageFormat, Preview, PreviewMetadata};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

use crate::nodes::{Failure, Steps};
use crate::queue::Prompt;
use crate::state::State;

/// The quality that ComfyUI uses.
const JPEG_QUALITY: u8 = 95;

/// Reports the progress of a prompt's nodes to its client.
pub struct Reporter<'a> {
    state: &'a State,
    prompt: &'a Prompt,
    /// The nodes that have started, in their order.
    nodes: IndexMap<String, Progress>,
    running: String,
}

struct Progress {
    value: Json,
    max: Json,
    finished: bool,
}

impl<'a> Reporter<'a> {
    /// Creates a reporter for a prompt of which no node has started.
    pub fn new(state: &'a State, prompt: &'a Prompt) -> Self {
        Self { state, prompt, nodes: IndexMap::new(), running: String::new() }
    }

    /// Reports that a node starts.
    pub fn start(&mut self, id: &str) {
        let progress = Progress { value: json!(0.0), max: json!(1.0), finished: false };
        self.nodes.insert(id.to_owned(), progress);
        id.clone_into(&mut self.running);
        self.send_state();
    }

    /// Reports that a node has finished, or was cached.
    pub fn finish(&mut self, id: &str) {
        let new = || Progress { value: json!(0), max: json!(1), finished: false };
        let progress = self.nodes.entry(id.to_owned()).or_insert_with(new);
        progress.value = progress.max.clone();
        progress.finished = true;
        self.send_state();
    }

    /// Sends the state of every node that has started.
    fn send_state(&self) {
        let nodes = self.nodes.iter().map(|(id, progress)| {
            let node = json!({
                "value": progress.value,
                "max": progress.max,
                "state": if progress.finished { "finished" } else { "running" },
                "node_id": id,
                "prompt_id": self.prompt.id,
                "display_node_id": id,
                "parent_node_id": null,
                "real_node_id": id,
            });
            (id.clone(), node)
        });
        let nodes: Map<String, Json> = nodes.collect();
        self.send("progress_state", &json!({"prompt_id": self.prompt.id, "nodes": nodes}));
    }

    /// Sends a message to the client, or to all clients if the prompt has none, as ComfyUI does with progress.
    fn send(&self, kind: &str, data: &Json) {
        if !self.state.signals().forgotten {
            self.state.sockets.send(self.prompt.client_id(), kind, data);
        }
    }

    fn send_preview(&self, image: &RgbImage, with_metadata: bool) {
        let mut jpeg = Vec::new();
        let node = &self.running;
        let metadata = with_metadata.then(|| PreviewMetadata {
            node_id: node.clone(),
            prompt_id: self.prompt.id.clone(),
            display_node_id: Some(node.clone()),
            parent_node_id: None,
            real_node_id: Some(node.clone()),
            image_type: ImageFormat::Jpeg.media_type().to_owned(),
        });
        let encoded = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY).encode_image(image);
        let frame = Preview { format: ImageFormat::Jpeg, image: &jpeg, metadata }.to_frame();
        match (encoded, frame) {
            (Ok(()), Ok(frame)) => {
                self.state.sockets.send_preview(self.prompt.client_id(), &Bytes::from(frame));
            }
            (encoded, frame) => {
                tracing::warn!(jpeg = ?encoded.err(), frame = ?frame.err(), "a preview could not be made");
            }
        }
    }
}

impl Steps for Reporter<'_> {
    fn done(&mut self, value: u64, max: u64, preview: Option<&dyn Fn() -> RgbImage>) -> Result<(), Failure> {
        self.check()?;
        if let Some(progress) = self.nodes.get_mut(&self.running) {
            (progress.value, progress.max) = (json!(value), json!(max));
        }
        self.send_state();
        let with_metadata = self.state.sockets.previews_with_metadata(self.prompt.client_id());
        let preview = preview.zip(with_metadata);
        // The newer kind goes before `progress`, the older one after it.
        if let Some((paint, true)) = preview {
            self.send_preview(&paint(), true);
        }
        let data = json!({"value": value, "max": max, "prompt_id": self.prompt.id, "node": self.running});
        self.send("progress", &data);
        if let Some((paint, false)) = preview {
            self.send_preview(&paint(), false);
        }
        Ok(())
    }

    fn take_model_time(&mut self, steps: u32) {
        self.state.pause(self.state.gpu.duration(self.state.gpu.step * steps));
    }

    fn use_model(&mut self, model: &str) {
        let gpu = self.state.gpu;
        let is_cold = self.state.loaded_models().use_model(model, gpu.models);
        if is_cold {
            self.state.pause(gpu.duration(gpu.model_load));
        }
    }

    fn take_time(&mut self, milliseconds: u64) {
        self.state.pause(Duration::from_millis(milliseconds));
    }

    fn check(&mut self) -> Result<(), Failure> {
        if self.state.signals().any() { Err(Failure::Interrupted) } else { Ok(()) }
    }
}
