//! Sending uploaded files to the ComfyUI that runs a job.

use std::sync::Arc;

use comfy_runner_client::{Client, ClientError, FileQuery, Upload};
use comfy_runner_files::{ContentHash, FileError};
use comfy_runner_protocol::{Graph, NodeErrors};
use comfy_runner_store::{Record, StoreError};
use serde_json::Value;

use super::Files;
use crate::jobs::Jobs;

/// Why the files of a job are not on a ComfyUI.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BringError {
    /// The file store no longer has a file.
    #[error("the file \"{0}\" is no longer in the file store: upload it again")]
    Missing(String),
    /// The file store fails.
    #[error("the file \"{name}\" cannot be read from the file store: {error}")]
    Files {
        /// The name of the upload.
        name: String,
        /// What fails.
        error: FileError,
    },
    /// ComfyUI does not take a file.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The records cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The files of a job, on a ComfyUI.
pub(crate) struct Brought {
    /// The graph, if it names files otherwise there than in the job's record.
    pub graph: Option<Graph>,
    /// The names there of the files that were not sent now, because ComfyUI had them already.
    had: Vec<String>,
}

impl Brought {
    /// Returns whether ComfyUI reports a file as missing that it was assumed to have.
    pub fn is_missing(&self, errors: &NodeErrors) -> bool {
        let details = || errors.values().flat_map(|node| &node.errors).map(|error| &error.details);
        self.had.iter().any(|name| details().any(|details| details.contains(name.as_str())))
    }

    /// Returns how many files were not sent now.
    pub fn had(&self) -> usize {
        self.had.len()
    }
}

/// Forgets what a ComfyUI has: it restarted, or a file is missing there.
pub(crate) fn forget_sent(jobs: &Jobs, comfyui: &str) {
    if let Some(files) = jobs.files() {
        files.sent.forget(comfyui);
    }
}

/// Sends those uploaded files to a ComfyUI that the job reads and that it does not have. A content is sent once, also if it was
/// uploaded several times; the graph must then name the file as it is called there, which also allows ComfyUI to use its
/// cache. Files that are not in the file store are not sent: they are on ComfyUI, or do not exist.
///
/// # Errors
/// A file cannot be read or sent. The prompt must not be submitted then.
pub(crate) async fn bring_files(
    jobs: &Jobs,
    client: &Client,
    comfyui: &str,
    record: &Record,
) -> Result<Brought, BringError> {
    let mut brought = Brought { graph: None, had: Vec::new() };
    let Some(files) = jobs.files() else { return Ok(brought) };
    if record.input_files.is_empty() {
        return Ok(brought);
    }
    let mut renamed = Vec::new();
    for upload in jobs.store().uploads_named(record.input_files.clone()).await? {
        let Some(hash) = upload.hash.as_deref().and_then(|hash| hash.parse().ok()) else { continue };
        let cell = files.sent.name(comfyui, hash);
        let mut was_sent = false;
        let there = cell
            .get_or_try_init(|| async {
                was_sent = !has(client, &upload.filename, upload.size).await?;
                if !was_sent {
                    return Ok(upload.filename.clone());
                }
                send(files, client, &upload.filename, hash).await
            })
            .await?;
        if !was_sent {
            brought.had.push(there.clone());
        }
        if *there != upload.filename {
            renamed.push((upload.filename, there.clone()));
        }
    }
    if !renamed.is_empty() {
        brought.graph = Some(with_names(Graph::clone(&record.graph), &renamed));
    }
    Ok(brought)
}

/// Returns whether a ComfyUI has a file of this name and size in its input folder. Names of uploads are unique.
async fn has(client: &Client, name: &str, size: u64) -> Result<bool, ClientError> {
    let (subfolder, filename) = split(name);
    Ok(client.file_size(FileQuery::new(filename, subfolder, "input")).await? == Some(size))
}

/// Streams a file from the store to a ComfyUI, and returns its name there.
async fn send(files: &Files, client: &Client, name: &str, hash: ContentHash) -> Result<String, BringError> {
    let broken = |error| BringError::Files { name: name.to_owned(), error };
    let content = files.config.store.get(&hash, None).await.map_err(broken)?;
    let content = content.ok_or_else(|| BringError::Missing(name.to_owned()))?;
    let (subfolder, filename) = split(name);
    let media_type = mime_guess::from_path(filename).first_or_octet_stream();
    let upload = Upload::new(filename, media_type.essence_str())
        .with_subfolder(subfolder)
        .with_length(Some(content.file.size))
        .overwriting();
    // A failure of the file store is not one of ComfyUI.
    let failure = Arc::new(std::sync::Mutex::new(None));
    let seen = Arc::clone(&failure);
    let source = futures::StreamExt::map(content.bytes, move |bytes| {
        bytes.map_err(|error| {
            let text = error.to_string();
            *seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error);
            text
        })
    });
    let stored = client.upload(&upload, source).await;
    if let Some(error) = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
        return Err(broken(error));
    }
    let there = stored?.reference();
    tracing::debug!(name, there, size = content.file.size, "a file was sent to ComfyUI");
    Ok(there)
}

/// Splits the name of an upload into the folder below ComfyUI's input folder, and the name there.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// Replaces the names of files in a graph. An input of a node that is exactly such a name means the file, because the names of
/// uploads are unique.
fn with_names(mut graph: Graph, renamed: &[(String, String)]) -> Graph {
    for value in graph.nodes.values_mut().flat_map(|node| node.inputs.values_mut()) {
        if let Value::String(text) = value
            && let Some((_, there)) = renamed.iter().find(|(name, _)| name == text)
        {
            value.clone_from(&Value::String(there.clone()));
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_whole_names_are_replaced() {
        let graph = |first: &str| {
            Graph::from_value(json!({
                "1": {"class_type": "LoadImage", "inputs": {"image": first}},
                "2": {"class_type": "Note", "inputs": {"text": "see a.png", "image": "b.png", "links": ["1", 0]}},
            }))
        };
        let renamed = [("a.png".to_owned(), "there.png".to_owned())];
        assert_eq!(with_names(graph("a.png").unwrap(), &renamed), graph("there.png").unwrap());
    }
}
