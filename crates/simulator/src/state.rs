//! What the HTTP handlers and the executor share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::catalog::Catalog;
use crate::files::Files;
use crate::gpu::{GpuOptions, LoadedModels};
use crate::queue::{Ending, Prompt, Queue};
use crate::sockets::Sockets;

/// One simulated ComfyUI.
pub struct State {
    /// Its node types.
    pub catalog: Arc<Catalog>,
    /// Its folders.
    pub files: Files,
    /// Its WebSockets.
    pub sockets: Sockets,
    /// The size in bytes that an upload, or a prompt, may have.
    pub max_upload_size: usize,
    /// How fast it is, and how many models it holds.
    pub gpu: GpuOptions,
    loaded_models: Mutex<LoadedModels>,
    queue: Mutex<Queue>,
    wake: Condvar,
    signals: Mutex<Signals>,
    signalled: Condvar,
    current: Mutex<Current>,
    executed_prompts: AtomicUsize,
    requests: AtomicUsize,
    forgotten_times: AtomicUsize,
}

/// The reasons to stop a running prompt, or to end its pauses.
#[derive(Debug, Default, Clone, Copy)]
pub struct Signals {
    /// A client interrupts the prompt.
    pub interrupted: bool,
    /// The simulator drops its state, as a restart does.
    pub forgotten: bool,
    /// The simulator stops.
    pub stopping: bool,
    /// How pauses end.
    pub pauses: Pauses,
}

/// How pauses end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Pauses {
    /// After their time.
    #[default]
    Timed,
    /// Not yet.
    Held,
    /// At once.
    Skipped,
}

impl Signals {
    /// Returns whether the prompt must stop.
    pub fn any(self) -> bool {
        self.interrupted || self.forgotten || self.stopping
    }
}

/// The client and node of the running or last prompt, sent to a socket that reconnects.
#[derive(Debug, Default, Clone)]
pub struct Current {
    /// The client that submitted it.
    pub client_id: Option<String>,
    /// The node that runs.
    pub node: Option<String>,
}

impl State {
    /// A state with an empty queue.
    pub fn new(catalog: Arc<Catalog>, files: Files, max_upload_size: usize, gpu: GpuOptions) -> Self {
        Self {
            catalog,
            files,
            max_upload_size,
            gpu,
            loaded_models: Mutex::default(),
            sockets: Sockets::default(),
            queue: Mutex::default(),
            wake: Condvar::new(),
            signals: Mutex::default(),
            signalled: Condvar::new(),
            current: Mutex::default(),
            executed_prompts: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            forgotten_times: AtomicUsize::new(0),
        }
    }

    /// Locks the queue.
    pub fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Adds a prompt and notifies the sockets.
    pub fn submit(&self, prompt: Prompt) {
        let mut queue = self.queue();
        queue.push(prompt);
        self.sockets.broadcast_status(queue.remaining());
        self.wake.notify_all();
    }

    /// Removes waiting prompts from the queue. ComfyUI sends one message for each, and one more when it empties the
    /// queue.
    pub fn delete(&self, ids: &[String]) {
        let mut queue = self.queue();
        for id in ids {
            self.delete_from(&mut queue, id);
        }
    }

    fn delete_from(&self, queue: &mut Queue, id: &str) -> bool {
        let was_last = queue.pending() == 1;
        let deleted = queue.delete(id);
        if deleted {
            for _ in 0..=usize::from(was_last) {
                self.sockets.broadcast_status(queue.remaining());
            }
        }
        deleted
    }

    /// Removes a prompt from the queue, or interrupts it. Returns `false` if it neither waits nor runs.
    pub fn cancel(&self, id: &str) -> bool {
        let mut queue = self.queue();
        if queue.is_running(id) {
            self.signal(|signals| signals.interrupted = true);
            return true;
        }
        self.delete_from(&mut queue, id)
    }

    /// Empties the queue.
    pub fn clear(&self) {
        let mut queue = self.queue();
        queue.clear();
        self.sockets.broadcast_status(queue.remaining());
    }

    /// Waits for a prompt to run; `None` when the simulator stops.
    pub fn next_prompt(&self) -> Option<Arc<Prompt>> {
        let mut queue = self.queue();
        loop {
            if self.signals().stopping {
                return None;
            }
            if let Some(prompt) = queue.start() {
                let mut signals = lock(&self.signals);
                (signals.interrupted, signals.forgotten) = (false, false);
                self.sockets.broadcast_status(queue.remaining());
                return Some(prompt);
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds an ended prompt to the history. Returns `false` if the state was reset in the meantime.
    pub fn finish(&self, prompt: &Arc<Prompt>, ending: Ending) -> bool {
        let mut queue = self.queue();
        let kept = queue.finish(prompt, ending);
        if kept {
            self.sockets.broadcast_status(queue.remaining());
        }
        self.executed_prompts.fetch_add(1, Ordering::Relaxed);
        kept
    }

    /// Returns the number of prompts that have ended, in any way.
    pub fn executed_prompts(&self) -> usize {
        self.executed_prompts.load(Ordering::Relaxed)
    }

    /// Counts a request.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of requests received, of any kind.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns how often the state was reset; caches compare it.
    pub fn forgotten_times(&self) -> usize {
        self.forgotten_times.load(Ordering::Relaxed)
    }

    /// Returns the reasons to stop the running prompt.
    pub fn signals(&self) -> Signals {
        *lock(&self.signals)
    }

    /// Stops the running prompt, or only if it has this id.
    pub fn interrupt(&self, id: Option<&str>) {
        let queue = self.queue();
        if id.is_none_or(|id| queue.is_running(id)) {
            self.signal(|signals| signals.interrupted = true);
        }
    }

    /// Clears the queue and the history and drops the running prompt, as a restart does. The sockets stay open.
    pub fn forget(&self) {
        self.loaded_models().unload();
        let mut queue = self.queue();
        queue.forget();
        self.forgotten_times.fetch_add(1, Ordering::Relaxed);
        self.signal(|signals| signals.forgotten = true);
        *lock(&self.current) = Current::default();
    }

    /// Ends the executor.
    pub fn stop(&self) {
        let _queue = self.queue();
        self.signal(|signals| signals.stopping = true);
        self.wake.notify_all();
    }

    /// Locks the models in memory.
    pub fn loaded_models(&self) -> MutexGuard<'_, LoadedModels> {
        lock(&self.loaded_models)
    }

    /// Changes how the present pause and all later ones end.
    pub fn set_pauses(&self, pauses: Pauses) {
        self.signal(|signals| signals.pauses = pauses);
    }

    /// Sleeps for this time, or until the prompt must stop. Pauses may be held or skipped.
    pub fn pause(&self, duration: Duration) {
        if duration.is_zero() {
            return;
        }
        let deadline = Instant::now() + duration;
        let mut signals = lock(&self.signals);
        while !signals.any() {
            let left = match signals.pauses {
                Pauses::Timed => deadline.saturating_duration_since(Instant::now()),
                Pauses::Held => Duration::from_secs(3600),
                Pauses::Skipped => return,
            };
            if left.is_zero() {
                return;
            }
            signals = self
                .signalled
                .wait_timeout(signals, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(signals, _)| signals);
        }
    }

    /// Returns the client and node of the running prompt.
    pub fn current(&self) -> Current {
        lock(&self.current).clone()
    }

    /// Records the client of the running prompt.
    pub fn set_current_client(&self, client_id: Option<&str>) {
        lock(&self.current).client_id = client_id.map(str::to_owned);
    }

    /// Records the running node.
    pub fn set_current_node(&self, node: Option<&str>) {
        lock(&self.current).node = node.map(str::to_owned);
    }

    fn signal(&self, change: impl FnOnce(&mut Signals)) {
        change(&mut lock(&self.signals));
        self.signalled.notify_all();
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
