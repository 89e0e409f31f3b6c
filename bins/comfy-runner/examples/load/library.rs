//! The workflows that are measured. They need no model and next to no time, so that ComfyUI's queue is soon empty again.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// A plate of 8 by 8 pixels that is shown.
pub const TWO_NODES: &str = "2-nodes";
/// The same, inverted 28 times over.
pub const THIRTY_NODES: &str = "30-nodes";
/// A plate that is saved: its file is a job's result.
pub const SAVED: &str = "saved";
/// A job that runs for ten minutes unless it is interrupted.
pub const LONG: &str = "long";

/// A job that makes a step each half second for ten minutes unless it is stopped.
pub const STEADY: &str = "steady";

/// A job that runs for ten minutes and says nothing meanwhile but once a minute.
pub const QUIET: &str = "quiet";

/// A folder of workflows.
pub struct Library(PathBuf);

impl Library {
    /// Writes the workflows into a new folder.
    pub fn write(folder: &Path) -> anyhow::Result<Self> {
        let library = Self(folder.to_owned());
        library.add(TWO_NODES, plate(0, "PreviewImage", json!({})))?;
        library.add(THIRTY_NODES, plate(28, "PreviewImage", json!({})))?;
        library.add(SAVED, plate(0, "SaveImage", json!({"filename_prefix": "ComfyUI"})))?;
        library.add(LONG, steps(600, 1000))?;
        library.add(STEADY, steps(1200, 500))?;
        library.add(QUIET, steps(10, 60_000))?;
        Ok(library)
    }

    /// Adds a graph in API format from a file, and returns the workflow's id: the file's name. Its parameter is for nothing.
    pub fn add_file(&self, file: &Path) -> anyhow::Result<String> {
        let name = file.file_stem().and_then(|name| name.to_str()).context("a graph's file has no name")?;
        let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let graph =
            serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        self.add(name, graph)?;
        Ok(name.to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn add(&self, id: &str, graph: Value) -> anyhow::Result<()> {
        let folder = self.0.join(id);
        let manifest =
            format!("id: \"{id}\"\ninputs:\n- {{id: color, type: int, default: 0, min: 0, max: 16777215}}\n");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join("manifest.yaml"), manifest))
            .and_then(|()| std::fs::write(folder.join("workflow.json"), graph.to_string()))
            .with_context(|| format!("cannot write {}", folder.display()))
    }
}

/// A plate of a colour, inverted so many times, and what takes it in the end.
fn plate(inversions: usize, end: &str, mut inputs: Value) -> Value {
    let mut graph = Map::new();
    let mut add = |class: &str, inputs: Value| {
        let id = graph.len().to_string();
        graph.insert(id, json!({"class_type": class, "inputs": inputs}));
    };
    add("EmptyImage", json!({"width": 8, "height": 8, "batch_size": 1, "color": "{{color}}"}));
    for node in 0..inversions {
        add("ImageInvert", json!({"image": [node.to_string(), 0]}));
    }
    inputs["images"] = json!([inversions.to_string(), 0]);
    add(end, inputs);
    graph.into()
}

/// So many steps, each of which takes so many milliseconds.
fn steps(steps: u32, delay_ms: u32) -> Value {
    let mut graph = plate(1, "PreviewImage", json!({}));
    graph["1"] = json!({
        "class_type": "RunnerTestProgress",
        "inputs": {"steps": steps, "delay_ms": delay_ms, "seed": 0, "preview": false, "image": ["0", 0]},
    });
    graph
}
