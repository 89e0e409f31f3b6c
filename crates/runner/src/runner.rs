//! The runner: submitting, uploading, downloading.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use comfy_runner_api::Submitted;
use comfy_runner_jobs::{Submission, upload};
use comfy_runner_protocol::{Graph, OutputFile};
use comfy_runner_workflow::Workflows;
use futures::Stream;
use serde_json::Value;

use crate::builder::RunnerBuilder;
use crate::download::{self, Download};
use crate::error::RunnerError;
use crate::job::Job;
use crate::worker::Worker;
use crate::workflows::workflow;

/// Runs ComfyUI workflows. A clone is another handle to the same runner, and may be used from any thread and any executor.
///
/// The thread behind it ends when the last [`Runner`] and the last [`Job`] are dropped, or at [`Runner::shutdown`].
#[derive(Clone)]
pub struct Runner {
    worker: Worker,
    workflows: Option<Arc<Workflows>>,
    max_upload: u64,
}

impl Runner {
    /// Creates a builder for a runner of the ComfyUI at this URL.
    pub fn builder(url: impl Into<String>) -> RunnerBuilder {
        RunnerBuilder::new(url.into())
    }

    pub(crate) fn new(worker: Worker, workflows: Option<Arc<Workflows>>, max_upload: u64) -> Self {
        Self { worker, workflows, max_upload }
    }

    pub(crate) fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Runs a workflow. `params` is a JSON object from input ids to values; a file is named as [`Runner::upload`] returned
    /// it, under `_existing_<input id>`.
    ///
    /// # Errors
    /// There is no such workflow, the parameters do not fit it, ComfyUI refuses the graph or cannot be reached, or the
    /// runner has stopped.
    pub async fn submit(&self, workflow_id: &str, params: impl Into<Value>) -> Result<Job, RunnerError> {
        let workflows = self.workflows.clone().ok_or(RunnerError::NoWorkflows)?;
        let (workflow_id, params) = (workflow_id.to_owned(), params.into());
        let submit = self.worker.call(async move |context| -> Result<Submitted, RunnerError> {
            let workflow = workflow(&workflows, &context.client, &workflow_id).await?;
            let assembled = workflow.request(params.clone()).assemble()?;
            let manifest = workflow.manifest();
            let graph = Arc::new(assembled.graph);
            let mut submission = Submission::new(&manifest.id, &manifest.name, graph);
            if let Value::Object(params) = params {
                submission.params = params;
            }
            submission.seeds = assembled.seeds;
            submission.result_nodes = assembled.result_nodes;
            submission.output_folder = assembled.output_folder.as_str().to_owned();
            submission.input_files = assembled.input_files;
            Ok(context.jobs.submit(&context.clients, submission).await?)
        });
        Ok(Job::new(self.clone(), submit.await??))
    }

    /// Runs a graph in API format. `name` is what records call it.
    ///
    /// # Errors
    /// ComfyUI refuses the graph or cannot be reached, or the runner has stopped.
    pub async fn submit_graph(&self, name: &str, graph: Graph) -> Result<Job, RunnerError> {
        let submission = Submission::new(name, name, Arc::new(graph));
        let submit =
            self.worker.call(async move |context| context.jobs.submit(&context.clients, submission).await);
        Ok(Job::new(self.clone(), submit.await??))
    }

    /// Returns a handle to a recorded job, also one of an earlier process with the same state folder.
    ///
    /// # Errors
    /// There is no record of the job, or the runner has stopped.
    pub async fn job(&self, prompt_id: &str) -> Result<Job, RunnerError> {
        let prompt_id = prompt_id.to_owned();
        let find = self.worker.call(async move |context| context.jobs.record(&prompt_id).await);
        let record = find.await??;
        let (summary, seeds) = (record.summary, record.seeds);
        let submitted = Submitted {
            prompt_id: summary.prompt_id,
            client_id: summary.client_id,
            seeds,
            retry_of: summary.retry_of,
            warnings: summary.warnings,
            node_errors: summary.node_errors,
        };
        Ok(Job::new(self.clone(), submitted))
    }

    /// Streams a file to ComfyUI's input folder and returns the name that it has there. Images, videos, audio and
    /// 3D models are accepted; the name of a model has its folder, `3d/`. The stream is read no faster than ComfyUI takes it.
    ///
    /// # Errors
    /// The file is not accepted, larger than [`RunnerBuilder::max_upload`], or breaks off; ComfyUI does not take it; or the
    /// runner has stopped.
    pub async fn upload<S, E>(&self, name: &str, file: S) -> Result<String, RunnerError>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: fmt::Display + 'static,
    {
        let (name, limit) = (name.to_owned(), self.max_upload);
        let stored = self
            .worker
            .call(async move |context| upload(&context.client, &name, Box::pin(file), limit).await);
        Ok(stored.await??)
    }

    /// Downloads a file of a job as a stream of bytes.
    ///
    /// # Errors
    /// ComfyUI does not have the file or cannot be reached, or the runner has stopped.
    pub async fn download(&self, file: &OutputFile) -> Result<Download, RunnerError> {
        download::open(&self.worker, file.clone()).await
    }

    /// Stops the runner: calls in progress may end, the state of jobs is written, and the store is closed. Jobs go on at
    /// ComfyUI. Later calls, and those that wait for a job, return [`RunnerError::Stopped`].
    ///
    /// # Errors
    /// The store fails.
    pub async fn shutdown(&self) -> Result<(), RunnerError> {
        self.worker.shutdown().await
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}
