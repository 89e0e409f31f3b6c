//! Workflows from a folder, read without blocking the worker.

use std::sync::Arc;

use comfy_runner_client::Client;
use comfy_runner_manifest::{DiagnosticKind, LibraryError};
use comfy_runner_workflow::{Workflow, Workflows};

use crate::error::RunnerError;

/// Returns a workflow. One whose graph is in UI format needs ComfyUI's node schemas, which are then fetched.
pub(crate) async fn workflow(
    workflows: &Arc<Workflows>,
    client: &Client,
    id: &str,
) -> Result<Arc<Workflow>, RunnerError> {
    match read(workflows, id).await? {
        Err(LibraryError::Broken { diagnostics, .. })
            if diagnostics.iter().any(|found| found.kind == DiagnosticKind::NeedsSchemas) => {}
        found => return Ok(found?),
    }
    workflows.set_context(Some(Arc::new(client.object_info().await?)));
    Ok(read(workflows, id).await??)
}

async fn read(
    workflows: &Arc<Workflows>,
    id: &str,
) -> Result<Result<Arc<Workflow>, LibraryError>, RunnerError> {
    let (workflows, id) = (Arc::clone(workflows), id.to_owned());
    let read = tokio::task::spawn_blocking(move || workflows.get(&id));
    read.await.map_err(|_| RunnerError::Stopped)
}
