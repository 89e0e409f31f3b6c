//! The thread that owns the ComfyUI client and follows jobs.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use comfy_runner_client::{Client, Config};
use comfy_runner_jobs::{Clients, ComfyUi, Jobs, follow};
use comfy_runner_store::{Store, StoreError};
use futures::future::LocalBoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{RunnerError, StartError};

/// The number of calls that are worked on at once, and of those that wait.
const CALLS: usize = 256;

/// How long calls in progress may take when the runner is shut down.
const DRAIN: Duration = Duration::from_secs(10);

/// What calls work with on the thread.
#[derive(Clone)]
pub(crate) struct Context {
    pub client: Client,
    pub clients: Clients,
    pub jobs: Jobs,
}

enum Command {
    Call(Box<dyn FnOnce(Context) -> LocalBoxFuture<'static, ()> + Send>),
    Shutdown(oneshot::Sender<Result<(), StoreError>>),
}

/// Sends calls to the thread. The thread ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Worker {
    commands: mpsc::Sender<Command>,
}

impl Worker {
    /// Starts the thread and waits until the open jobs are loaded.
    pub fn start(config: Config, jobs: Jobs, store: Arc<dyn Store>) -> Result<Self, StartError> {
        let (commands, waiting) = mpsc::channel(CALLS);
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("comfy-runner".to_owned());
        thread
            .spawn(move || actix_rt::System::new().block_on(run(config, jobs, store, waiting, ready)))
            .map_err(StartError::Thread)?;
        let ended = |_| StartError::Thread(std::io::Error::other("it ended at once"));
        started.recv().map_err(ended)??;
        Ok(Self { commands })
    }

    /// Runs a call on the thread and returns its result. Dropping the future drops the call.
    pub async fn call<F, T>(&self, call: F) -> Result<T, RunnerError>
    where
        F: AsyncFnOnce(Context) -> T + Send + 'static,
        T: Send + 'static,
    {
        let (mut answer, result) = oneshot::channel();
        let call = Command::Call(Box::new(move |context| {
            Box::pin(async move {
                tokio::select! {
                    // A caller that has stopped waiting needs no result.
                    result = call(context) => drop(answer.send(result)),
                    () = answer.closed() => {}
                }
            })
        }));
        self.commands.send(call).await.map_err(|_| RunnerError::Stopped)?;
        result.await.map_err(|_| RunnerError::Stopped)
    }

    /// Stops the thread and waits until everything is written.
    pub async fn shutdown(&self) -> Result<(), RunnerError> {
        let (answer, stopped) = oneshot::channel();
        // A thread that has ended has written everything.
        if self.commands.send(Command::Shutdown(answer)).await.is_err() {
            return Ok(());
        }
        match stopped.await {
            Ok(written) => Ok(written?),
            Err(_) => Ok(()),
        }
    }
}

/// What the thread does.
async fn run(
    config: Config,
    jobs: Jobs,
    store: Arc<dyn Store>,
    waiting: mpsc::Receiver<Command>,
    ready: SyncSender<Result<(), StartError>>,
) {
    let started = async {
        let client = Client::new(config.clone())?;
        jobs.set_comfyuis(vec![ComfyUi::only(config)])?;
        jobs.load().await?;
        Ok(client)
    };
    let client = match started.await {
        Ok(client) => client,
        Err(error) => return drop(ready.send(Err(error))),
    };
    // A caller that no longer waits has dropped its end of the queue as well, which ends the loop below.
    drop(ready.send(Ok(())));
    let clients = Clients::new(&jobs);
    let context = Context { client, clients: clients.clone(), jobs: jobs.clone() };
    let asked = tokio::select! {
        asked = work(context, waiting) => asked,
        error = follow(jobs.clone(), clients) => {
            tracing::error!(%error, "the runner stops, as jobs are no longer followed");
            None
        }
    };
    let written = async {
        jobs.flush().await?;
        store.close().await
    };
    let written = written.await;
    match asked {
        Some(answer) => drop(answer.send(written)),
        None => {
            if let Err(error) = written {
                tracing::error!(%error, "the last changes of jobs cannot be written");
            }
        }
    }
}

/// Runs calls until a shutdown is asked for, whose answer it returns, or until no worker is left.
async fn work(
    context: Context,
    mut waiting: mpsc::Receiver<Command>,
) -> Option<oneshot::Sender<Result<(), StoreError>>> {
    let permits = Arc::new(Semaphore::new(CALLS));
    let asked = loop {
        // The semaphore is never closed.
        let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
        match waiting.recv().await {
            Some(Command::Call(call)) => {
                let call = call(context.clone());
                actix_rt::spawn(async move {
                    call.await;
                    drop(permit);
                });
            }
            Some(Command::Shutdown(answer)) => break Some(answer),
            None => break None,
        }
    };
    waiting.close();
    let all = permits.acquire_many(CALLS as u32);
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::warn!("calls in progress are dropped, as the runner stops");
    }
    asked
}
