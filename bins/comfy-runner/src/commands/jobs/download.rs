//! `comfy-runner jobs download`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use awc::http::Method;
use comfy_runner_api::{JobFile, JobFiles, JobRecord};
use comfy_runner_client::encode;
use futures::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use super::super::partial_file::PartialFile;
use super::super::result_file;
use super::server::Server;
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
        let cannot_write = || format!("cannot write to the folder {}", folder.display());
        let partial = PartialFile::new_in(folder).with_context(cannot_write)?;
        let mut written = tokio::fs::File::from_std(partial.open().with_context(cannot_write)?);
        let mut body = server.open(Method::GET, &file.url).await?;
        while let Some(bytes) = body.next().await {
            let bytes = bytes.with_context(|| format!("{} broke off", file.file.filename))?;
            written.write_all(&bytes).await.with_context(cannot_write)?;
        }
        written.sync_all().await.with_context(cannot_write)?;
        outln!("{}", partial.keep_under_free_name(folder, &name).with_context(cannot_write)?.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of the output directory that are not intermediate; every file when there are none.
fn final_files(files: Vec<JobFile>) -> Vec<JobFile> {
    let is_final =
        |file: &JobFile| file.file.kind == "output" && !file.file.subfolder.ends_with("/intermediate");
    if files.iter().any(is_final) { files.into_iter().filter(is_final).collect() } else { files }
}
