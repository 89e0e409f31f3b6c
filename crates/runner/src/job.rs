//! One job of a runner.

use std::collections::BTreeMap;

use comfy_runner_api::{JobStatus, Status, Submitted};
use comfy_runner_jobs::{Update, WatchOptions};
use comfy_runner_protocol::{Media, OutputFile};
use futures::StreamExt as _;

use crate::error::RunnerError;
use crate::runner::Runner;
use crate::updates::Updates;

/// A job. It keeps its [`Runner`] alive; dropping it does not cancel the job.
#[derive(Debug, Clone)]
pub struct Job {
    runner: Runner,
    submitted: Submitted,
}

/// What a completed job made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobResult {
    /// The best file of each kind of media.
    pub outputs: BTreeMap<Media, OutputFile>,
    /// Every file that is meant to stay, in the graph's order. If nodes made no such file, the intermediate or temporary
    /// ones.
    pub files: Vec<OutputFile>,
}

impl Job {
    pub(crate) fn new(runner: Runner, submitted: Submitted) -> Self {
        Self { runner, submitted }
    }

    /// Returns the job's id: ComfyUI's prompt id.
    pub fn prompt_id(&self) -> &str {
        &self.submitted.prompt_id
    }

    /// Returns what was known when the job was submitted: ids, seeds and warnings.
    pub fn submitted(&self) -> &Submitted {
        &self.submitted
    }

    /// Returns the job's status.
    ///
    /// # Errors
    /// The job is unknown, or the runner has stopped.
    pub async fn status(&self) -> Result<JobStatus, RunnerError> {
        let prompt_id = self.prompt_id().to_owned();
        let status = self
            .runner
            .worker()
            .call(async move |context| context.jobs.status(&context.clients, &prompt_id).await);
        Ok(status.await??)
    }

    /// Returns a stream of the job's updates: the present status first, then what changes, until the event that ends the
    /// job. A reader that is slower than the job gets the latest status, not every one.
    pub fn updates(&self, options: WatchOptions) -> Updates {
        Updates::open(self.runner.worker().clone(), self.prompt_id().to_owned(), options)
    }

    /// Waits until the job is over.
    ///
    /// # Errors
    /// The job failed ([`RunnerError::Failed`]) or was cancelled ([`RunnerError::Cancelled`]), is unknown, or the runner
    /// has stopped.
    pub async fn wait(&self) -> Result<JobResult, RunnerError> {
        let mut updates = self.updates(WatchOptions::new());
        while let Some(update) = updates.next().await {
            // The event that ends the job is the last one.
            if matches!(update?, Update::Event(event) if event.kind.is_end()) {
                break;
            }
        }
        let prompt_id = || self.prompt_id().to_owned();
        match self.status().await? {
            JobStatus::Completed(completed) => {
                Ok(JobResult { outputs: completed.outputs, files: self.files().await? })
            }
            JobStatus::Cancelled(_) => Err(RunnerError::Cancelled { prompt_id: prompt_id() }),
            JobStatus::Error(failed) => {
                let reason = failed.error.unwrap_or_else(|| "for an unknown reason".to_owned());
                Err(RunnerError::Failed { prompt_id: prompt_id(), reason })
            }
            JobStatus::Pending(_) | JobStatus::Running(_) => Err(RunnerError::Stopped),
        }
    }

    /// Returns the file that is the job's result, one of the `preferred` media if there is one.
    ///
    /// # Errors
    /// The job is not completed or made no file, or the runner has stopped.
    pub async fn result(&self, preferred: Media) -> Result<OutputFile, RunnerError> {
        let prompt_id = self.prompt_id().to_owned();
        let result = self
            .runner
            .worker()
            .call(async move |context| context.jobs.result(&context.clients, &prompt_id, preferred).await);
        Ok(result.await??)
    }

    /// Cancels the job. Returns its status after that: `cancelled`, or `running` while the current node has not stopped yet.
    ///
    /// # Errors
    /// The job is over or unknown, ComfyUI cannot be asked, or the runner has stopped.
    pub async fn cancel(&self) -> Result<Status, RunnerError> {
        let prompt_id = self.prompt_id().to_owned();
        let cancelled = self
            .runner
            .worker()
            .call(async move |context| context.jobs.cancel(&context.clients, &prompt_id).await);
        Ok(cancelled.await??)
    }

    async fn files(&self) -> Result<Vec<OutputFile>, RunnerError> {
        let prompt_id = self.prompt_id().to_owned();
        let files = self
            .runner
            .worker()
            .call(async move |context| context.jobs.final_files(&context.clients, &prompt_id).await);
        Ok(files.await??)
    }
}
