//! Workflows, read and compiled on threads that may block.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use comfy_runner_manifest::{Compile, Diagnostic, DiagnosticKind, Library, LibraryError, Listed};
use futures::{StreamExt as _, stream};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::error::ApiError;
use super::local_files::is_local;

/// How long a request waits for the files of its workflow.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the list of workflows waits for the files of each.
const LIST_PATIENCE: Duration = Duration::from_secs(5);

/// How many workflows the list reads at once.
const LISTED_AT_ONCE: usize = 16;

/// A library that is read off the async workers. A workflow has one thread at a time: a folder whose files do not answer
/// takes one thread, however many requests ask for it, and other workflows do not wait. Requests that come while its files are
/// read share the next look at them.
#[derive(Debug)]
pub struct WorkflowReader<T: Compile> {
    library: Arc<Library<T>>,
    turns: Mutex<HashMap<String, Arc<Gate<T>>>>,
    /// The workflows with their files on a disk of this machine. Whether they have changed is seen at once, without a thread.
    local: RwLock<HashSet<String>>,
}

/// Lets one request at a time read the files of a workflow.
#[derive(Debug)]
struct Gate<T> {
    semaphore: Arc<Semaphore>,
    /// When the last look at the files began, and what it found.
    latest: Mutex<Option<(Instant, Found<T>)>>,
}

/// A workflow, or why it cannot be used.
type Found<T> = Result<Arc<T>, LibraryError>;

/// What there is to list, or why there is nothing.
type Folders = Result<Vec<String>, LibraryError>;

impl<T> WorkflowReader<T>
where
    T: Compile + Send + Sync + 'static,
    T::Context: Send + Sync,
{
    /// A reader of this library.
    pub fn new(library: Arc<Library<T>>) -> Arc<Self> {
        Arc::new(Self { library, turns: Mutex::default(), local: RwLock::default() })
    }

    /// The library itself, for what touches no file.
    pub fn library(&self) -> &Library<T> {
        &self.library
    }

    /// The workflow of this id, as its files are now.
    pub async fn get(self: &Arc<Self>, id: &str) -> Result<Found<T>, ApiError> {
        if self.is_local(id)
            && let Some(unchanged) = self.library.unchanged(id)
        {
            return Ok(unchanged);
        }
        let came = Instant::now();
        let known = |turn: &Turn<T>| turn.gate.found_since(came);
        let look = |turn: &Turn<T>| {
            let began = Instant::now();
            let found = turn.reader.library.get(&turn.key);
            turn.gate.set_latest(began, found.clone());
            turn.reader.note_local(&turn.key, found.is_ok());
            found
        };
        Turn::new(self, id).read(PATIENCE, known, look).await.ok_or_else(|| too_slow(id))
    }

    fn is_local(&self, id: &str) -> bool {
        self.local.read().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Finds out where the files of a workflow are, if it can be used.
    fn note_local(&self, id: &str, is_usable: bool) {
        if is_usable && !self.is_local(id) && is_local(&self.library.path().join(id)) {
            self.local.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        }
    }

    /// Does work on the files of one workflow, while no other thread reads them.
    pub async fn work<R: Send + 'static>(
        self: &Arc<Self>,
        id: &str,
        work: impl FnOnce(&Library<T>) -> R + Send + 'static,
    ) -> Result<R, ApiError> {
        self.read(id, PATIENCE, work).await.ok_or_else(|| too_slow(id))
    }

    /// The workflow of this id as the list has it, broken or not.
    pub async fn listed(self: &Arc<Self>, id: &str) -> Result<Listed<T>, ApiError> {
        let of_id = id.to_owned();
        match self.work(id, move |library| library.listed(&of_id)).await? {
            Some(listed) => Ok(listed),
            // The error names what was probably meant.
            None => Err(match self.get(id).await? {
                Err(error) => error.into(),
                Ok(_) => ApiError::NotFound(format!("there is no workflow \"{id}\"")),
            }),
        }
    }

    /// Every workflow, as its files are now. One whose files do not answer in time is listed as broken.
    pub async fn list(self: &Arc<Self>) -> Result<Vec<Listed<T>>, ApiError> {
        let folders: Option<Folders> = self.read("", LIST_PATIENCE, |library| library.folders()).await;
        let folders = folders
            .ok_or_else(|| ApiError::Unavailable(format!("the workflows cannot be read: {SLOW}")))??;
        let listed = stream::iter(folders).map(|id| async move {
            let of_id = id.clone();
            let listed = self.read(&id, LIST_PATIENCE, move |library| library.listed(&of_id)).await;
            listed.unwrap_or_else(|| Some(slow(id)))
        });
        Ok(listed.buffered(LISTED_AT_ONCE).filter_map(std::future::ready).collect().await)
    }

    /// Reads what belongs to `key` when its turn comes. None when it takes longer than `patience`, or fails.
    async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        key: &str,
        patience: Duration,
        work: impl FnOnce(&Library<T>) -> R + Send + 'static,
    ) -> Option<R> {
        Turn::new(self, key).read(patience, |_| None, move |turn| work(&turn.reader.library)).await
    }
}

const SLOW: &str = "its files do not answer in time";

fn too_slow(id: &str) -> ApiError {
    ApiError::Unavailable(format!("workflow \"{id}\" cannot be read: {SLOW}"))
}

fn slow<T>(id: String) -> Listed<T> {
    tracing::warn!(workflow = id, "left out of the list: {SLOW}");
    let problem = Diagnostic::error(DiagnosticKind::File, "", SLOW);
    Listed { id, workflow: Err(Arc::new(problem.into())), warnings: Arc::default() }
}

/// A place among those that wait for the files of one workflow, or read them.
struct Turn<T: Compile> {
    reader: Arc<WorkflowReader<T>>,
    key: String,
    gate: Arc<Gate<T>>,
}

impl<T: Compile> Turn<T> {
    fn new(reader: &Arc<WorkflowReader<T>>, key: &str) -> Self {
        let mut turns = reader.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let gate = turns.entry(key.to_owned()).or_default();
        let gate = Arc::clone(gate);
        drop(turns);
        Self { reader: Arc::clone(reader), key: key.to_owned(), gate }
    }
}

impl<T> Turn<T>
where
    T: Compile + Send + Sync + 'static,
    T::Context: Send + Sync,
{
    /// Does this on a thread when the turn comes, unless the answer is `known` by then. None when it takes longer than `patience`,
    /// or fails.
    async fn read<R: Send + 'static>(
        self,
        patience: Duration,
        known: impl FnOnce(&Self) -> Option<R>,
        work: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> Option<R> {
        let reading = async {
            let permit = Arc::clone(&self.gate.semaphore).acquire_owned().await.ok()?;
            if let Some(known) = known(&self) {
                return Some(known);
            }
            let key = self.key.clone();
            // The thread holds on to its turn when the request is gone.
            let result = spawn_blocking(move || {
                let result = work(&self);
                drop(permit);
                result
            });
            result
                .await
                .inspect_err(|error| tracing::error!(workflow = key, "reading it failed: {error}"))
                .ok()
        };
        timeout(patience, reading).await.ok().flatten()
    }
}

impl<T> Default for Gate<T> {
    fn default() -> Self {
        Self { semaphore: Arc::new(Semaphore::new(1)), latest: Mutex::default() }
    }
}

impl<T> Gate<T> {
    /// Returns what the last look found, if it began at this time or later.
    fn found_since(&self, time: Instant) -> Option<Found<T>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().filter(|(began, _)| *began >= time).map(|(_, found)| found.clone())
    }

    fn set_latest(&self, began: Instant, found: Found<T>) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, found));
    }
}

impl<T: Compile> Drop for Turn<T> {
    fn drop(&mut self) {
        let mut turns = self.reader.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // One reference is the map's, one is ours.
        if Arc::strong_count(&self.gate) <= 2 {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use comfy_runner_manifest::{Compiled, Diagnostics, Manifest, WorkflowDir};

    use super::*;

    /// A workflow that is compiled when the test says so, if its id is `slow`.
    #[derive(Debug)]
    struct Held;

    type Release = Mutex<Option<(Sender<()>, Receiver<()>)>>;

    impl Compile for Held {
        type Context = Arc<Release>;

        fn compile(
            manifest: Manifest,
            _: &mut WorkflowDir,
            release: &Arc<Release>,
        ) -> Result<Compiled<Self>, Diagnostics> {
            if manifest.id == "slow"
                && let Some((reached, release)) = release.lock().unwrap().take()
            {
                reached.send(()).unwrap();
                release.recv().unwrap();
            }
            Ok(Compiled { workflow: Self, warnings: Diagnostics::new() })
        }

        fn inspect(_: &Manifest, _: &mut WorkflowDir) -> Diagnostics {
            Diagnostics::new()
        }
    }

    #[actix_rt::test]
    async fn requests_for_a_folder_that_does_not_answer_take_one_thread_and_delay_no_other() {
        let root = tempfile::tempdir().unwrap();
        for id in ["slow", "quick"] {
            std::fs::create_dir(root.path().join(id)).unwrap();
            std::fs::write(root.path().join(id).join("manifest.yaml"), format!("id: {id}\n")).unwrap();
        }
        let library = Library::<Held>::open(root.path()).unwrap();
        let (reached, has_reached) = channel();
        let (release, released) = channel();
        library.set_context(Arc::new(Mutex::new(Some((reached, released)))));
        let reader = WorkflowReader::new(Arc::new(library));
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let reader = Arc::clone(&reader);
                actix_rt::spawn(async move { reader.get("slow").await.unwrap().unwrap() })
            })
            .collect();
        assert!(reader.get("quick").await.unwrap().is_ok());
        spawn_blocking(move || has_reached.recv().unwrap()).await.unwrap();
        assert!(reader.get("quick").await.unwrap().is_ok());
        // A request that gives up leaves the thread its turn.
        requests[7].abort();
        assert_eq!(reader.turns.lock().unwrap()["slow"].semaphore.available_permits(), 0);
        release.send(()).unwrap();
        let mut first = None;
        for (n, request) in requests.into_iter().enumerate() {
            match request.await {
                Ok(workflow) => assert!(Arc::ptr_eq(first.get_or_insert(Arc::clone(&workflow)), &workflow)),
                Err(_) => assert_eq!(n, 7),
            }
        }
        assert!(matches!(reader.get("none").await.unwrap(), Err(LibraryError::NotFound { .. })));
        assert!(reader.turns.lock().unwrap().is_empty());
        let ids: Vec<_> = reader.list().await.unwrap().into_iter().map(|listed| listed.id).collect();
        assert_eq!(ids, ["quick", "slow"]);
    }
}
