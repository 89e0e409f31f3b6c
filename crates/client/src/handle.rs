//! The client for programs on another runtime or several threads: a thread owns the [`Client`], and [`ClientHandle`]s send
//! it work.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use awc::http::header::HeaderMap;
use awc::http::{Method, StatusCode};
use bytes::Bytes;
use comfy_runner_protocol::queue::ExtraData;
use comfy_runner_protocol::{
    Graph, HistoryEntry, ObjectInfo, OutputFile, PromptAccepted, PromptRequest, Queue,
};
use futures::{Stream, StreamExt};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::client::{Client, SystemStats};
use crate::config::{Config, ConfigError};
use crate::error::{ClientError, PromptError};
use crate::socket::Events;
use crate::upload::{StoredFile, Upload};
use crate::view::FileQuery;

/// The number of calls that are in progress at once; further ones wait.
const CALLS_AT_ONCE: usize = 256;
/// The number of pieces of a file that may wait for their reader.
const PIECES_AHEAD: usize = 8;

type Work = Box<dyn FnOnce(Client) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// A client of one ComfyUI for any thread and any runtime. Its thread ends when the last clone is dropped.
#[derive(Clone)]
pub struct ClientHandle {
    work: mpsc::Sender<Work>,
}

/// Why a handle cannot be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The thread cannot be started.
    #[error("the client's thread cannot be started")]
    Thread(#[from] std::io::Error),
}

/// The reply to a request for a file; its bytes come from the client's thread. See [`FileReply`](crate::FileReply).
pub struct RemoteFile {
    /// ComfyUI's status.
    pub status: StatusCode,
    /// ComfyUI's headers, by name.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The bytes as they arrive.
    pub body: mpsc::Receiver<Result<Bytes, ClientError>>,
    /// Keeps the thread alive while the body is read: if it ended, the file would seem to be complete.
    _work: mpsc::Sender<Work>,
}

impl ClientHandle {
    /// Starts the thread.
    pub fn start(config: Config) -> Result<Self, HandleError> {
        let (work, queue) = mpsc::channel(CALLS_AT_ONCE);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new().name("comfyui-client".to_owned()).spawn(move || {
            actix_rt::System::new().block_on(async move {
                match Client::new(config) {
                    Ok(client) => {
                        // A caller that no longer waits has dropped its end of the queue as well.
                        let _ = ready.send(Ok(()));
                        work_off(client, queue).await;
                    }
                    Err(error) => drop(ready.send(Err(error))),
                }
            });
        })?;
        let died = |_| std::io::Error::other("it ended at once");
        started.recv().map_err(died)??;
        Ok(Self { work })
    }

    /// Runs any call on the client's thread. When the caller drops the future, the call is dropped.
    pub async fn run<F, Fut, T>(&self, job: F) -> Result<T, ClientError>
    where
        F: FnOnce(Client) -> Fut + Send + 'static,
        Fut: Future<Output = T> + 'static,
        T: Send + 'static,
    {
        let (mut answer, result) = oneshot::channel();
        let work: Work = Box::new(move |client| {
            Box::pin(async move {
                tokio::select! {
                    // A caller that has stopped waiting needs no result.
                    result = job(client) => drop(answer.send(result)),
                    () = answer.closed() => {}
                }
            })
        });
        self.work.send(work).await.map_err(|_| ClientError::Closed)?;
        result.await.map_err(|_| ClientError::Closed)
    }

    /// See [`Client::prompt`].
    pub async fn prompt(
        &self,
        graph: Arc<Graph>,
        client_id: String,
        prompt_id: String,
        extra_data: Option<ExtraData>,
    ) -> Result<PromptAccepted, PromptError> {
        let submit = async move |client: Client| {
            let mut request = PromptRequest::new(&graph, &client_id, &prompt_id);
            request.extra_data = extra_data.as_ref();
            client.prompt(&request).await
        };
        self.run(submit).await?
    }

    /// See [`Client::queue`].
    pub async fn queue(&self) -> Result<Queue, ClientError> {
        self.run(async |client: Client| client.queue().await).await?
    }

    /// See [`Client::history`].
    pub async fn history(&self, prompt_id: String) -> Result<Option<HistoryEntry>, ClientError> {
        self.run(async move |client: Client| client.history(&prompt_id).await).await?
    }

    /// See [`Client::interrupt`].
    pub async fn interrupt(&self, prompt_id: String) -> Result<(), ClientError> {
        self.run(async move |client: Client| client.interrupt(&prompt_id).await).await?
    }

    /// See [`Client::delete_pending`].
    pub async fn delete_pending(&self, prompt_id: String) -> Result<(), ClientError> {
        self.run(async move |client: Client| client.delete_pending(&prompt_id).await).await?
    }

    /// See [`Client::object_info`].
    pub async fn object_info(&self) -> Result<ObjectInfo, ClientError> {
        self.run(async |client: Client| client.object_info().await).await?
    }

    /// See [`Client::system_stats`].
    pub async fn system_stats(&self) -> Result<SystemStats, ClientError> {
        self.run(async |client: Client| client.system_stats().await).await?
    }

    /// See [`Client::events`].
    pub async fn events(&self, client_id: String) -> Result<Events, ClientError> {
        self.run(async move |client: Client| client.events(&client_id)).await
    }

    /// Uploads a file to ComfyUI's input directory. See [`Client::upload`]; use [`ClientHandle::run`] with a stream for files
    /// that should not be kept in memory.
    pub async fn upload(
        &self,
        name: String,
        content_type: String,
        bytes: Bytes,
    ) -> Result<StoredFile, ClientError> {
        let upload = async move |client: Client| {
            let upload = Upload { length: Some(bytes.len() as u64), ..Upload::new(&name, &content_type) };
            let source = futures::stream::iter([Ok::<_, std::convert::Infallible>(bytes)]);
            client.upload(&upload, source).await
        };
        self.run(upload).await?
    }

    /// Opens a file as a stream. See [`Client::view`].
    pub async fn view(&self, file: OutputFile) -> Result<RemoteFile, ClientError> {
        let work = self.work.clone();
        let open = async move |client: Client| {
            let reply = client.view(FileQuery::from(&file), Method::GET, &HeaderMap::new()).await?;
            let headers = reply.headers.iter();
            let headers =
                headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
            let (pieces, body) = mpsc::channel(PIECES_AHEAD);
            actix_rt::spawn(pump(reply.body, pieces));
            Ok(RemoteFile { status: reply.status, headers, body, _work: work })
        };
        self.run(open).await?
    }
}

/// Forwards a body until it ends or its reader is gone.
async fn pump(
    mut body: impl Stream<Item = Result<Bytes, ClientError>> + Unpin,
    pieces: mpsc::Sender<Result<Bytes, ClientError>>,
) {
    loop {
        let piece = tokio::select! {
            piece = body.next() => piece,
            () = pieces.closed() => return,
        };
        let Some(piece) = piece else { return };
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

/// Works on calls as they come, some of them concurrently, until every handle is dropped.
async fn work_off(client: Client, mut queue: mpsc::Receiver<Work>) {
    let places = Arc::new(Semaphore::new(CALLS_AT_ONCE));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let Some(work) = queue.recv().await else { return };
        let client = client.clone();
        actix_rt::spawn(async move {
            work(client).await;
            drop(place);
        });
    }
}
