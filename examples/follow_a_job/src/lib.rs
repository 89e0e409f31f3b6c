//! Runs a workflow, prints its updates and saves its files.

use std::io::Write;
use std::path::{Path, PathBuf};

use comfy_runner_runner::{JobMessage, JobStatus, Runner, Update, WatchOptions};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

/// Runs a workflow, writes a line for each update to `out`, and saves its files in `folder`.
pub async fn follow_a_job(
    runner: &Runner,
    workflow: &str,
    params: Value,
    folder: &Path,
    out: &mut impl Write,
) -> anyhow::Result<Vec<PathBuf>> {
    let job = runner.submit(workflow, params).await?;
    writeln!(out, "submitted {}", job.prompt_id())?;
    let mut updates = job.updates(WatchOptions::new().with_previews().with_outputs());
    while let Some(update) = updates.next().await {
        match update? {
            Update::Event(event) => writeln!(out, "{}: {}", event.kind.as_str(), event.message)?,
            Update::Preview(preview) => {
                writeln!(out, "a preview of {} bytes", preview.image().image.len())?;
            }
            Update::Message(message) => match &*message {
                JobMessage::Progress(progress) => print_status(&progress.data, out)?,
                JobMessage::Output(output) => {
                    let files = &output.data.files;
                    writeln!(out, "{} made {} files", files.node_title, files.items.len())?;
                }
                _ => {}
            },
            _ => {}
        }
    }
    let mut saved = Vec::new();
    for file in job.wait().await?.files {
        let path = folder.join(&file.filename);
        let mut target = tokio::fs::File::create(&path).await?;
        let mut download = runner.download(&file).await?;
        while let Some(bytes) = download.next().await {
            target.write_all(&bytes?).await?;
        }
        target.flush().await?;
        saved.push(path);
    }
    Ok(saved)
}

fn print_status(status: &JobStatus, out: &mut impl Write) -> std::io::Result<()> {
    match status {
        JobStatus::Running(running) => {
            let node = running.node_title.as_deref().unwrap_or("starting");
            writeln!(out, "{} %: {node}, step {} of {}", running.percent, running.step, running.total_steps)
        }
        other => writeln!(out, "{}", other.status()),
    }
}
