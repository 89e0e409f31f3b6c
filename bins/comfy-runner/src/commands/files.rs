//! `comfy-runner files`

use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_api::CollectedFiles;

use super::block_on;
use super::server::Server;
use crate::cli::{Files, FilesCommand};
use crate::terminal::outln;

pub fn files(options: &Files) -> anyhow::Result<ExitCode> {
    block_on(async {
        let server = Server::new(&options.server)?;
        match options.command {
            FilesCommand::Gc { dry_run, json } => collect(&server, dry_run, json).await,
        }
    })
}

/// Has the server delete what no record refers to.
async fn collect(server: &Server, dry_run: bool, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/files/gc?dry_run={dry_run}");
    let collected: CollectedFiles = server.call(Method::POST, &path).await?;
    if json {
        outln!("{}", serde_json::to_string(&collected)?);
        return Ok(ExitCode::SUCCESS);
    }
    let CollectedFiles { files, bytes, unfinished, kept_files, kept_bytes, .. } = collected;
    let done = if dry_run { "would be deleted" } else { "deleted" };
    outln!("{done}: {files} files, {bytes} bytes; {unfinished} unfinished files");
    outln!("kept: {kept_files} files, {kept_bytes} bytes");
    Ok(ExitCode::SUCCESS)
}
