//! What the modules of this crate share: the settings, the store, the state behind the lock, and the wake-ups of tasks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use comfy_runner_scheduler::{FairQueue, JobTimes};
use comfy_runner_store::{Store, StoreError};
use time::OffsetDateTime;
use tokio::sync::Notify;

use crate::config::JobsConfig;
use crate::files::Files;
use crate::job_times::UnwrittenTimes;
use crate::jobs::Jobs;
use crate::pool::Pool;
use crate::supervise::Supervision;
use crate::table::Table;
use crate::watch::ChangeFeed;

/// What all handles to the jobs share.
pub(crate) struct Shared {
    config: JobsConfig,
    /// The moment from which durations count.
    origin: Instant,
    store: Arc<dyn Store>,
    /// Whether the latest job could not be recorded.
    is_store_failing: AtomicBool,
    files: Option<Files>,
    /// [`Pool::generation`].
    pool_generation: AtomicU64,
    /// Wakes the task that gives waiting jobs to ComfyUIs.
    dispatcher: Notify,
    /// Wakes the task that finds out which ComfyUIs can run waiting jobs.
    schemas_changed: Notify,
    /// Wakes the task that follows the ComfyUIs, when their settings change.
    comfyuis_changed: Notify,
    supervision: Supervision,
    /// Wakes the task that writes to the store.
    unwritten: Notify,
    /// Wakes those who wait for the store to have a job's latest state.
    written: Notify,
    /// Held for moments only, never across an await.
    state: Mutex<State>,
}

/// What the lock protects.
pub(crate) struct State {
    pub table: Table,
    pub feed: ChangeFeed,
    pub pool: Pool,
    /// The jobs that wait for a ComfyUI.
    pub queue: FairQueue,
    /// How long jobs took.
    pub times: JobTimes,
    /// What the store does not have of `times`.
    pub unwritten_times: UnwrittenTimes,
    /// The state of all schemas by which it was found out for every waiting job which ComfyUIs can run it.
    pub eligible_as_of: u64,
}

impl Shared {
    /// Creates the state of a service without jobs.
    pub fn new(config: JobsConfig, store: Arc<dyn Store>, files: Option<Files>) -> Self {
        // Until `load` reserves ids in the store. Ids grow from one process to the next as the clock does.
        let next_event = u64::try_from(unix_millis()).unwrap_or_default();
        let state = State {
            table: Table::new(next_event),
            feed: ChangeFeed::default(),
            pool: Pool::default(),
            queue: FairQueue::default(),
            times: JobTimes::default(),
            unwritten_times: UnwrittenTimes::default(),
            eligible_as_of: 0,
        };
        Self {
            config,
            origin: Instant::now(),
            store,
            is_store_failing: AtomicBool::new(false),
            files,
            pool_generation: AtomicU64::new(0),
            dispatcher: Notify::new(),
            schemas_changed: Notify::new(),
            comfyuis_changed: Notify::new(),
            supervision: Supervision::default(),
            unwritten: Notify::new(),
            written: Notify::new(),
            state: Mutex::new(state),
        }
    }
}

impl Jobs {
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.shared.store
    }

    /// Remembers whether a job could be recorded.
    pub(crate) fn note_recorded<T>(&self, recorded: Result<T, StoreError>) -> Result<T, StoreError> {
        self.shared.is_store_failing.store(recorded.is_err(), Ordering::Relaxed);
        recorded
    }

    /// Returns whether the latest job could not be recorded.
    pub(crate) fn is_store_failing(&self) -> bool {
        self.shared.is_store_failing.load(Ordering::Relaxed)
    }

    pub(crate) fn files(&self) -> Option<&Files> {
        self.shared.files.as_ref()
    }

    pub(crate) fn config(&self) -> &JobsConfig {
        &self.shared.config
    }

    /// Returns the time since this service was created: what [`Progress`](comfy_runner_progress::Progress) counts by.
    pub(crate) fn now(&self) -> Duration {
        self.shared.origin.elapsed()
    }

    pub(crate) fn supervision(&self) -> &Supervision {
        &self.shared.supervision
    }

    /// Locks the state, also after a panic of another thread: none leaves it half changed in a way that matters.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a number that grows with each change of the ComfyUIs' settings.
    pub(crate) fn pool_generation(&self) -> u64 {
        self.shared.pool_generation.load(Ordering::Acquire)
    }

    /// Sets [`Jobs::pool_generation`], and wakes the task that follows the ComfyUIs.
    pub(crate) fn set_pool_generation(&self, generation: u64) {
        self.shared.pool_generation.store(generation, Ordering::Release);
        self.shared.comfyuis_changed.notify_one();
    }

    /// Waits until [`Jobs::set_pool_generation`] is called.
    pub(crate) async fn comfyuis_changed(&self) {
        self.shared.comfyuis_changed.notified().await;
    }

    /// Wakes the task that gives waiting jobs to ComfyUIs.
    pub(crate) fn wake_dispatcher(&self) {
        self.shared.dispatcher.notify_one();
    }

    /// Waits until [`Jobs::wake_dispatcher`] is called.
    pub(crate) async fn dispatcher_woken(&self) {
        self.shared.dispatcher.notified().await;
    }

    /// Wakes the task that finds out which ComfyUIs can run waiting jobs.
    pub(crate) fn wake_eligibility(&self) {
        self.shared.schemas_changed.notify_one();
    }

    /// Waits until a ComfyUI may have got other node types or models.
    pub(crate) async fn schemas_changed(&self) {
        self.shared.schemas_changed.notified().await;
    }

    /// Wakes the task that writes to the store.
    pub(crate) fn unwritten(&self) -> &Notify {
        &self.shared.unwritten
    }

    /// Wakes those who wait for the store to have a job's latest state.
    pub(crate) fn written(&self) -> &Notify {
        &self.shared.written
    }
}

/// Returns the milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> i64 {
    i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}
