//! A job's updates as a stream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use comfy_runner_jobs::{StatusError, Subscription, Update, WatchOptions};
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use tokio::sync::mpsc;

use crate::error::RunnerError;
use crate::worker::Worker;

/// The updates of a job, in order. The stream ends after the event that ends the job. [`Job::updates`](crate::Job::updates)
/// opens it.
pub struct Updates {
    stream: BoxStream<'static, Result<Update, RunnerError>>,
}

/// What the worker sends: updates that came together, and a last word.
enum Batch {
    Updates(Vec<Update>),
    End,
}

impl Updates {
    pub(crate) fn open(worker: Worker, prompt_id: String, options: WatchOptions) -> Self {
        let opened = stream::once(async move {
            let open = worker.call(async move |context| -> Result<mpsc::Receiver<Batch>, StatusError> {
                let subscription = context.jobs.watch(&context.clients, &prompt_id, options).await?;
                // One batch may wait: the subscription looks at the job again only when that was taken.
                let (sender, receiver) = mpsc::channel(1);
                actix_rt::spawn(forward(subscription, sender));
                Ok(receiver)
            });
            open.await.and_then(|opened| opened.map_err(RunnerError::from))
        });
        let stream = opened.flat_map(|opened| match opened {
            Ok(receiver) => receive(receiver).boxed(),
            Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
        });
        Self { stream: stream.boxed() }
    }
}

/// Forwards updates until the job is over or their reader is dropped.
async fn forward(mut subscription: Subscription, sender: mpsc::Sender<Batch>) {
    loop {
        let batch = tokio::select! {
            updates = subscription.next() => updates.map_or(Batch::End, Batch::Updates),
            () = sender.closed() => return,
        };
        let over = matches!(batch, Batch::End);
        if sender.send(batch).await.is_err() || over {
            return;
        }
    }
}

/// Unpacks batches. A worker that stops before the end is an error, not an end.
fn receive(receiver: mpsc::Receiver<Batch>) -> impl Stream<Item = Result<Update, RunnerError>> + Send {
    let batches = stream::unfold(Some(receiver), async |receiver| {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Batch::Updates(updates)) => Some((updates.into_iter().map(Ok).collect(), Some(receiver))),
            Some(Batch::End) => None,
            None => Some((vec![Err(RunnerError::Stopped)], None)),
        }
    });
    batches.flat_map(stream::iter)
}

impl Stream for Updates {
    type Item = Result<Update, RunnerError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.poll_next_unpin(cx)
    }
}

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Updates").finish_non_exhaustive()
    }
}
