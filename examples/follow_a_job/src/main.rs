//! Usage: `cargo run -p follow_a_job -- http://127.0.0.1:8188 fixtures/workflows text-to-image '{"prompt": "a red fox"}'`

use std::path::Path;

use anyhow::{Context as _, bail};
use comfy_runner_runner::Runner;
use follow_a_job::follow_a_job;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, workflows, workflow, params] = &arguments[..] else {
        bail!("usage: follow_a_job URL WORKFLOWS WORKFLOW PARAMS");
    };
    let params = serde_json::from_str(params).context("PARAMS must be JSON")?;
    let runner = Runner::builder(url).workflows(workflows).start()?;
    let saved =
        follow_a_job(&runner, workflow, params, Path::new("."), &mut std::io::stdout().lock()).await?;
    for path in saved {
        println!("saved {}", path.display());
    }
    runner.shutdown().await?;
    Ok(())
}
