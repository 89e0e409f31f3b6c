//! Assembles the graph of one workflow and prints it. No ComfyUI and no server is needed.
//!
//! ```sh
//! cargo run -p assemble_offline
//! cargo run -p assemble_offline -- fixtures/workflows text-to-image '{"prompt": "a lighthouse", "steps": 12}'
//! ```

use std::path::PathBuf;

use anyhow::Context as _;
use comfy_runner_workflow::Workflows;
use serde_json::Value;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(samples, PathBuf::from);
    let id = args.next().unwrap_or_else(|| "text-to-image".to_owned());
    let params: Value = match args.next() {
        Some(json) => serde_json::from_str(&json).context("the params are not JSON")?,
        None => serde_json::json!({"prompt": "a lighthouse at night"}),
    };

    let workflows = Workflows::open(&dir).with_context(|| format!("{}", dir.display()))?;
    let assembled = workflows.get(&id)?.request(params).seed(7).assemble()?;

    println!("{:#}", serde_json::to_value(&assembled.graph)?);
    eprintln!("seeds: {:?}", assembled.seeds);
    Ok(())
}

/// The workflows of this repository.
fn samples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/workflows")
}
