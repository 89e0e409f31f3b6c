//! Copying the outputs of jobs into the file store, so that they outlive the machine that made them.

use std::time::Duration;

use comfy_runner_client::{Client, ClientError};
use comfy_runner_files::{FileError, Put, PutError, put};
use comfy_runner_protocol::OutputFile;
use comfy_runner_store::{KeptOutput, StoreError, UnkeptJob};
use futures::{StreamExt as _, stream};

use super::place::check_place;
use super::{Files, FilesConfig};
use crate::clients::Clients;
use crate::jobs::Jobs;
use crate::state::unix_millis;

/// The number of jobs that are read from the records at once.
const BATCH: u32 = 32;
/// The number of files that are copied at the same time.
const AT_ONCE: usize = 2;
/// The pause after a round in which something could not be copied: the first one, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long to wait after the end of a job for the ends of others, so that the records are not read for each.
const TOGETHER: Duration = Duration::from_millis(200);

/// Why a file is not copied.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of the outputs of a job.
#[derive(PartialEq, Eq)]
enum Round {
    /// There is nothing to copy.
    Done,
    /// Something could not be copied now.
    Failed,
}

/// Copies the outputs of every job that is over, until the future is dropped. What is not copied yet is known from the records,
/// so a process that starts goes on where the previous one stopped.
pub(crate) async fn keep_outputs(jobs: &Jobs, clients: &Clients) {
    let Some(files) = jobs.files().filter(|files| files.config.outputs) else {
        return std::future::pending().await;
    };
    let mut pause = PAUSES.0;
    loop {
        // Created before the look, so that no wake-up is missed in between.
        let written = jobs.written().notified();
        let round = match copy_all(jobs, clients, files).await {
            Ok(round) => round,
            Err(error) => {
                tracing::error!(%error, "which outputs are to be copied cannot be read; will try again");
                Round::Failed
            }
        };
        match round {
            Round::Done => {
                pause = PAUSES.0;
                written.await;
                tokio::time::sleep(TOGETHER).await;
            }
            Round::Failed => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Copies the outputs of the jobs that are over now.
async fn copy_all(jobs: &Jobs, clients: &Clients, files: &Files) -> Result<Round, StoreError> {
    let (mut after, mut round) = (None, Round::Done);
    let mut unreachable = Vec::new();
    loop {
        let batch = jobs.store().unkept(after, BATCH).await?;
        let Some(last) = batch.last() else { return Ok(round) };
        after = Some(last.seq);
        for job in batch {
            if unreachable.contains(&job.comfyui) {
                continue;
            }
            let comfyui = jobs.owner(job.comfyui.as_deref());
            let Some(client) = comfyui.and_then(|comfyui| clients.get(&comfyui)) else {
                // It was removed, and may be added again.
                tracing::debug!(
                    prompt_id = job.prompt_id,
                    "the ComfyUI that has the outputs of a job is not configured"
                );
                continue;
            };
            if let Err(error) = copy_job(jobs, &client, &files.config, &job).await {
                let prompt_id = job.prompt_id;
                tracing::warn!(%error, prompt_id, "outputs cannot be copied into the file store now; will try again");
                round = Round::Failed;
                // The others of the same ComfyUI will not do better.
                if matches!(&error, KeepError::Client(error) if error.is_unreachable()) {
                    unreachable.push(job.comfyui);
                }
            }
        }
    }
}

async fn copy_job(
    jobs: &Jobs,
    client: &Client,
    files: &FilesConfig,
    job: &UnkeptJob,
) -> Result<(), KeepError> {
    let copies = job.files.iter().map(|file| copy(jobs, client, files, &job.prompt_id, file));
    let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
    let mut failed = None;
    while let Some(copied) = copies.next().await {
        failed = copied.err().or(failed);
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(jobs.store().all_outputs_kept(&job.prompt_id).await?),
    }
}

/// Copies a file, unless it is gone or can never be copied.
async fn copy(
    jobs: &Jobs,
    client: &Client,
    files: &FilesConfig,
    prompt_id: &str,
    file: &OutputFile,
) -> Result<(), KeepError> {
    let filename = file.filename.as_str();
    if file.kind == "input" || check_place(file).is_err() {
        return Ok(());
    }
    let Some(reply) = client.open_file(file.into()).await? else {
        tracing::warn!(prompt_id, filename, "an output cannot be copied: ComfyUI no longer has it");
        return Ok(());
    };
    let stored = match put(&*files.store, reply.body, Put::at_most(u64::MAX)).await {
        Ok(stored) => stored,
        Err(PutError::Source(error)) => return Err(error.into()),
        Err(PutError::File(error @ FileError::TooLarge { .. })) => {
            tracing::error!(%error, prompt_id, filename, "an output cannot be copied");
            return Ok(());
        }
        Err(PutError::File(error)) => return Err(error.into()),
    };
    let kept = KeptOutput::new(file.clone(), stored.hash.to_string(), stored.size, unix_millis());
    if !jobs.store().keep_output(prompt_id, kept).await? {
        tracing::debug!(prompt_id, filename, "the job of a copied output was deleted meanwhile");
    }
    Ok(())
}
