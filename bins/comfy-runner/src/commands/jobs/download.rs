//! `comfy-runner jobs download`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use awc::http::Method;
use comfy_runner_api::{JobFile, JobFiles, JobRecord};
use comfy_runner_client::encode;
use futures::StreamExt as _;

use super::super::{partial_file, result_file};
use crate::commands::server::Server;
use crate::terminal::outln;

/// Saves the files that a job made, and prints their paths.
pub async fn download(server: &Server, prompt_id: &str, folder: &Path) -> anyhow::Result<ExitCode> {
    let path = format!("/api/jobs/{}", encode(prompt_id));
    let record: JobRecord = server.call(Method::GET, &path).await?;
    let files: JobFiles = server.call(Method::GET, &format!("{path}/files")).await?;
    let files = final_files(files.files);
    anyhow::ensure!(
        !files.is_empty(),
        "the job {prompt_id} made no files; its status is {}",
        record.summary.status
    );
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    for file in &files {
        let node_id = (files.len() > 1).then_some(file.node_id.as_str());
        let name = result_file::name(&record.summary.workflow_id, prompt_id, node_id, &file.file.filename);
        let body = server.open(Method::GET, &file.url).await?;
        let body = body.map(|bytes| bytes.with_context(|| format!("{} broke off", file.file.filename)));
        outln!("{}", partial_file::save(body, folder, &name).await?.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of the output directory that are not intermediate; every file when there are none.
fn final_files(files: Vec<JobFile>) -> Vec<JobFile> {
    let is_final =
        |file: &JobFile| file.file.kind == "output" && !file.file.subfolder.ends_with("/intermediate");
    if files.iter().any(is_final) { files.into_iter().filter(is_final).collect() } else { files }
}
