//! The files and texts that jobs made, with their sizes and hashes.
//!
//! ComfyUI reports the names of files only. Each is read once, when a caller first asks for its job, so that its size and hash
//! are true. They are recorded with the job, and those of the last jobs are remembered.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::http::{Method, StatusCode};
use comfy_runner_api::JobDetails;
use comfy_runner_api_v2::{Code, Links, Output, OutputType};
use comfy_runner_client::{Client, ClientError};
use comfy_runner_files::ContentHash;
use comfy_runner_jobs::{Jobs, StoredContent, check_place};
use comfy_runner_protocol::OutputFile;
use futures::StreamExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use super::error::V2Error;
use crate::server::State;
use crate::server::media_type::media_type;

/// How long an answer waits until the files of a job are read. The hash of a file that takes longer is null until then.
const PATIENCE: Duration = Duration::from_secs(5);
/// The number of files that are read at once.
const READERS: usize = 4;
/// The number of files whose sizes and hashes are remembered.
const REMEMBERED: usize = 20_000;

/// What a job made.
pub struct Described {
    /// The node that made it.
    node_id: String,
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its size and hash.
    pub facts: Facts,
    /// Its id as an asset.
    pub id: String,
}

/// The size and hash of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The size in bytes.
    pub size: u64,
    /// The hash, unless the bytes are still being read.
    pub hash: Option<ContentHash>,
}

/// The content of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file of ComfyUI.
    File(OutputFile),
    /// A string.
    Text(String),
}

/// An output of a job without its size and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its id as an asset.
    pub id: String,
    /// The node that made it.
    pub node_id: String,
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: Content,
}

impl Described {
    /// Returns the body.
    pub fn into_body(self, details: &JobDetails, links: &Links, kept_for: Option<i64>) -> Output {
        Output {
            kind: OutputType::new(&self.name, &self.content_type),
            node_id: self.node_id,
            name: self.name,
            content_type: self.content_type,
            size_bytes: self.facts.size,
            url: links.asset_content(&self.id),
            id: self.id,
            hash: self.facts.hash.map(written),
            url_expires_at: comfy_runner_api_v2::expires_at(details, kept_for),
            job_id: details.prompt_id.clone(),
        }
    }
}

/// Returns a hash as bodies have it.
pub fn written(hash: ContentHash) -> String {
    format!("blake3:{hash}")
}

/// Returns the media type of an output. It says more than the one under which a file is served for browsers.
pub fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "txt" | "md" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "exr" => "image/x-exr",
        "glb" => "model/gltf-binary",
        "gltf" => "model/gltf+json",
        "obj" => "model/obj",
        "stl" => "model/stl",
        _ => media_type(name),
    }
}

/// Returns what a job made so far, in the graph's order.
pub fn made(details: &JobDetails) -> impl Iterator<Item = Made> {
    details.outputs.iter().flat_map(|node| {
        let output = |name: String, content: Content| {
            let id = output_id(&details.prompt_id, &node.node_id, &name, &content);
            Made { id, node_id: node.node_id.clone(), name, content }
        };
        let files =
            node.files.iter().map(move |file| output(file.filename.clone(), Content::File(file.clone())));
        let texts = node.texts.iter().enumerate().map(move |(index, text)| {
            let plain = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
            let node_id: String = node.node_id.chars().filter(plain).collect();
            output(format!("text_{node_id}_{index}.txt"), Content::Text(text.clone()))
        });
        files.chain(texts)
    })
}

/// Returns the id of an output as an asset. It names the job, so that it stays valid as long as the job's record, and has
/// only characters that a URL takes as they are.
fn output_id(prompt_id: &str, node_id: &str, name: &str, content: &Content) -> String {
    let (kind, subfolder) = match content {
        Content::File(file) => (file.kind.as_str(), file.subfolder.as_str()),
        Content::Text(_) => ("text", ""),
    };
    // No part has a zero byte: names with control characters are refused.
    let parts = [node_id, kind, subfolder, name].join("\0");
    let hash = ContentHash::of(parts.as_bytes()).to_string();
    format!("{prompt_id}.{}", &hash[..16])
}

/// Returns the id of the job that made an output with this id. `None` if the id is of an upload.
pub fn job_of(id: &str) -> Option<&str> {
    id.split_once('.').map(|(prompt_id, _)| prompt_id)
}

/// Returns what a job made, with sizes and hashes.
///
/// # Errors
/// The job is over, and ComfyUI cannot be asked for one of its files: an answer without it would be wrong for good.
pub async fn describe(state: &State, details: &JobDetails) -> Result<Vec<Described>, V2Error> {
    let until = Instant::now() + PATIENCE;
    let made: Vec<_> = made(details).collect();
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let client = state.client_of(details.comfyui.as_deref())?;
    let prompt_id = details.prompt_id.as_str();
    let facts = made.iter().map(|made| state.output_facts.of(prompt_id, made, &state.jobs, &client));
    let made: Vec<_> = facts.collect::<Vec<_>>().into_iter().zip(made).collect();
    let mut described = Vec::with_capacity(made.len());
    for (facts, made) in made {
        let facts = match facts {
            Known::Now(facts) => Some(facts),
            Known::Later(reading) => match wait(reading, until).await {
                Read::Size(size) => Some(Facts { size, hash: None }),
                Read::Whole(facts) => Some(facts),
                // It was deleted: an asset that cannot be fetched is none.
                Read::Gone => None,
                // The next look will show it.
                Read::Nothing | Read::Failed if !details.status.is_over() => None,
                Read::Nothing | Read::Failed => {
                    return Err(V2Error::new(
                        Code::UpstreamUnreachable,
                        "the job is over, and ComfyUI cannot be asked for the files that it made; try again",
                    ));
                }
            },
        };
        let Some(facts) = facts else { continue };
        let content_type = match &made.content {
            Content::File(file) => content_type(&file.filename),
            Content::Text(_) => "text/plain; charset=utf-8",
        };
        let Made { id, node_id, name, .. } = made;
        described.push(Described { node_id, name, content_type: content_type.to_owned(), facts, id });
    }
    Ok(described)
}

/// Waits until a file is read, or as long as there is time, and returns how far it is.
async fn wait(mut reading: watch::Receiver<Read>, until: Instant) -> Read {
    match timeout_at(until, reading.wait_for(Read::is_final)).await.map(|read| read.map(|read| *read)) {
        Ok(Ok(read)) => read,
        // The worker that read it was stopped.
        Ok(Err(_)) => Read::Failed,
        Err(_) => *reading.borrow(),
    }
}

/// How far a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Nothing,
    Size(u64),
    Whole(Facts),
    Gone,
    Failed,
}

impl Read {
    fn is_final(&self) -> bool {
        matches!(self, Self::Whole(_) | Self::Gone | Self::Failed)
    }
}

enum Known {
    Now(Facts),
    Later(watch::Receiver<Read>),
}

/// The sizes and hashes of outputs.
pub struct OutputFacts {
    remembered: Mutex<Remembered>,
    readers: Arc<Semaphore>,
}

#[derive(Default)]
struct Remembered {
    by_id: HashMap<String, watch::Receiver<Read>>,
    /// The oldest first.
    order: VecDeque<String>,
}

impl Default for OutputFacts {
    fn default() -> Self {
        Self { remembered: Mutex::default(), readers: Arc::new(Semaphore::new(READERS)) }
    }
}

impl OutputFacts {
    /// Returns the size and hash of an output, or begins to read it.
    fn of(&self, prompt_id: &str, made: &Made, jobs: &Jobs, client: &Client) -> Known {
        let file = match &made.content {
            Content::Text(text) => {
                let hash = Some(ContentHash::of(text.as_bytes()));
                return Known::Now(Facts { size: text.len() as u64, hash });
            }
            Content::File(file) => file,
        };
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reading) = remembered.by_id.get(&made.id) {
            match *reading.borrow() {
                Read::Whole(facts) => return Known::Now(facts),
                Read::Gone | Read::Failed => {}
                Read::Nothing | Read::Size(_) if reading.has_changed().is_err() => {}
                Read::Nothing | Read::Size(_) => return Known::Later(reading.clone()),
            }
        }
        let (sender, reading) = watch::channel(Read::Nothing);
        remembered.insert(&made.id, reading.clone());
        let (prompt_id, file) = (prompt_id.to_owned(), file.clone());
        let (jobs, client) = (jobs.clone(), client.clone());
        let readers = Arc::clone(&self.readers);
        actix_web::rt::spawn(async move {
            let _permit = readers.acquire().await;
            sender.send_replace(recorded_or_read(&jobs, &client, &prompt_id, &file, &sender).await);
        });
        Known::Later(reading)
    }
}

impl Remembered {
    fn insert(&mut self, id: &str, reading: watch::Receiver<Read>) {
        if self.by_id.insert(id.to_owned(), reading).is_none() {
            self.order.push_back(id.to_owned());
        }
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }
}

/// Returns what is recorded of a file, which also is there when ComfyUI is not, or reads the file and records that.
async fn recorded_or_read(
    jobs: &Jobs,
    client: &Client,
    prompt_id: &str,
    file: &OutputFile,
    sender: &watch::Sender<Read>,
) -> Read {
    match jobs.output_content(prompt_id, file).await {
        Ok(Some(known)) => return Read::Whole(Facts { size: known.size, hash: Some(known.hash) }),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "the size and hash of an output cannot be read from the records")
        }
    }
    let read = read(client, file, sender).await.unwrap_or_else(|error| {
        tracing::warn!(%error, filename = file.filename, "an output cannot be read");
        Read::Failed
    });
    if let Read::Whole(Facts { size, hash: Some(hash) }) = read
        && let Err(error) = jobs.record_output_content(prompt_id, file, &StoredContent::new(hash, size)).await
    {
        tracing::warn!(%error, "the size and hash of an output cannot be recorded");
    }
    read
}

/// Reads a file to its end, and reports its size before that.
async fn read(client: &Client, file: &OutputFile, sender: &watch::Sender<Read>) -> Result<Read, ClientError> {
    if check_place(file).is_err() {
        return Ok(Read::Gone);
    }
    let mut reply = client.view(file.into(), Method::GET, &HeaderMap::new()).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Ok(Read::Gone);
    }
    let length = reply.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if let Some(size) = length {
        sender.send_replace(Read::Size(size));
    }
    let (mut size, mut hasher) = (0, blake3::Hasher::new());
    while let Some(piece) = reply.body.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        hasher.update(&piece);
    }
    let hash = ContentHash::from(*hasher.finalize().as_bytes());
    Ok(Read::Whole(Facts { size, hash: Some(hash) }))
}

#[cfg(test)]
mod tests {
    use comfy_runner_api::{ProgressDetails, ReportedNode, Status};

    use super::*;

    fn details() -> JobDetails {
        let file = |filename: &str, subfolder: &str| OutputFile {
            filename: filename.into(),
            subfolder: subfolder.into(),
            kind: "output".into(),
        };
        let node = |node_id: &str, files: Vec<OutputFile>, texts: &[&str]| ReportedNode {
            node_id: node_id.into(),
            files,
            texts: texts.iter().map(|&text| text.to_owned()).collect(),
        };
        JobDetails {
            comfyui: None,
            prompt_id: "191381cb-96bf-43bc-befe-d06b1b8f3e50".into(),
            status: Status::Completed,
            cancel_asked: false,
            queued_at: 0,
            started_at: None,
            finished_at: None,
            queue_position: None,
            progress: ProgressDetails::default(),
            used_cache: false,
            error: None,
            failed_node: None,
            outputs: vec![
                node("9", vec![file("a.png", "x"), file("a.png", "y")], &[]),
                node("12:3", vec![], &["hello", "hello"]),
            ],
            warnings: Vec::new(),
            metadata: None,
        }
    }

    #[test]
    fn each_output_has_an_id_of_its_own_that_names_its_job_and_needs_no_encoding() {
        let details = details();
        let made: Vec<_> = made(&details).collect();
        let ids: std::collections::HashSet<_> = made.iter().map(|made| made.id.clone()).collect();
        assert_eq!((made.len(), ids.len()), (4, 4));
        for id in &ids {
            assert_eq!(job_of(id), Some(details.prompt_id.as_str()));
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)), "{id}");
        }
        assert_eq!(made[2].name, "text_123_0.txt");
        assert_eq!(job_of("191381cb-96bf-43bc-befe-d06b1b8f3e50"), None, "an upload");
    }
}
