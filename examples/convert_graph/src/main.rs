//! Converts a graph that ComfyUI saved to API format, and prints it.
//!
//! ```text
//! cargo run -p convert_graph -- [GRAPH [OBJECT_INFO]]
//! ```
//!
//! `GRAPH` is JSON of either format, or an image, video or sound with an embedded graph. `OBJECT_INFO` is what
//! `GET /object_info` of a ComfyUI returns. The defaults are files of this repository.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use comfy_runner_editor::diagnostics::invalid_values;
use comfy_runner_editor::file::read_saved;
use comfy_runner_editor::to_api;
use comfy_runner_protocol::ObjectInfo;

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let graph = arguments.next().unwrap_or_else(|| fixture("ui/nested_subgraphs.0.33.0.workflow.json"));
    let object_info = arguments.next().unwrap_or_else(|| fixture("object_info/0.33.0.json"));

    let schemas = fs::read_to_string(&object_info).with_context(|| object_info.display().to_string())?;
    let schemas: ObjectInfo = serde_json::from_str(&schemas)?;
    let mut file = File::open(&graph).with_context(|| graph.display().to_string())?;
    let saved = read_saved(&mut file)?;

    // A media file has both formats. The workflow is what its author saw; the prompt is what ran.
    let prompt = match (&saved.workflow, saved.prompt) {
        (Some(workflow), _) => to_api(workflow, &schemas)?,
        (None, Some(prompt)) => prompt,
        (None, None) => anyhow::bail!("{} has no graph", graph.display()),
    };
    for value in invalid_values(&prompt, &schemas) {
        eprintln!("warning: {value}");
    }
    println!("{}", serde_json::to_string_pretty(&prompt)?);
    Ok(())
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(path)
}
