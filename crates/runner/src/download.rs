//! A file of ComfyUI as a stream of bytes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use comfy_runner_client::{ClientError, FileBody, FileQuery};
use comfy_runner_protocol::OutputFile;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::error::RunnerError;
use crate::worker::Worker;

/// The number of pieces of a file that may wait for their reader.
const PIECES_AHEAD: usize = 8;

/// A file as it arrives. A file that breaks off ends with an error. [`Runner::download`](crate::Runner::download) opens it.
pub struct Download {
    content_length: Option<u64>,
    content_type: Option<String>,
    pieces: mpsc::Receiver<Piece>,
    over: bool,
}

enum Piece {
    Bytes(Bytes),
    Failed(ClientError),
    End,
}

/// Asks ComfyUI for a file.
pub(crate) async fn open(worker: &Worker, file: OutputFile) -> Result<Download, RunnerError> {
    let opened = worker.call(async move |context| -> Result<Download, RunnerError> {
        let reply = context.client.open_file(FileQuery::from(&file)).await?;
        let reply = reply.ok_or(RunnerError::NoFile(file.filename))?;
        let text = |name: &str| Some(reply.headers.get(name)?.to_str().ok()?.to_owned());
        let content_length = text("content-length").and_then(|length| length.parse().ok());
        let content_type = text("content-type");
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        actix_rt::spawn(forward(reply.body, sender));
        Ok(Download { content_length, content_type, pieces, over: false })
    });
    opened.await?
}

/// Forwards the pieces of a file until it ends or its reader is dropped.
async fn forward(mut body: FileBody, sender: mpsc::Sender<Piece>) {
    loop {
        let piece = tokio::select! {
            piece = body.next() => piece,
            () = sender.closed() => return,
        };
        let piece = match piece {
            Some(Ok(bytes)) => Piece::Bytes(bytes),
            Some(Err(error)) => Piece::Failed(error),
            None => Piece::End,
        };
        let over = !matches!(piece, Piece::Bytes(_));
        if sender.send(piece).await.is_err() || over {
            return;
        }
    }
}

impl Download {
    /// Returns the file's size in bytes, if ComfyUI says it.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Returns the file's media type, if ComfyUI says it.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }
}

impl Stream for Download {
    type Item = Result<Bytes, RunnerError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let piece = match self.pieces.poll_recv(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Piece::Bytes(bytes))) => return Poll::Ready(Some(Ok(bytes))),
            Poll::Ready(Some(Piece::End)) => None,
            Poll::Ready(Some(Piece::Failed(error))) => Some(Err(error.into())),
            // The worker has stopped before the end of the file.
            Poll::Ready(None) => Some(Err(RunnerError::Stopped)),
        };
        self.over = true;
        Poll::Ready(piece)
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { content_length, content_type, .. } = self;
        let mut debug = f.debug_struct("Download");
        debug.field("content_length", content_length).field("content_type", content_type);
        debug.finish_non_exhaustive()
    }
}
