//! The node schemas of a ComfyUI, fetched once, and again only when they lack something or are too old.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use comfy_runner_protocol::ObjectInfo;
use tokio::sync::Semaphore;

use crate::{Client, ClientError};

/// The number of ComfyUIs whose schemas are fetched at once: each answer is several MB.
const FETCHES_AT_ONCE: usize = 4;

/// The age at which schemas may be fetched again: an unknown node type may be asked for over and over.
const LEAST_AGE: Duration = Duration::from_secs(10);

/// How long a failure to fetch schemas is the answer to further callers.
const FAILURE_AGE: Duration = Duration::from_secs(2);

/// The latest node schemas, shared by all threads.
#[derive(Debug, Default)]
pub struct ObjectInfoCache {
    shared: Arc<SharedObjectInfo>,
    latest: RwLock<Option<Latest>>,
    /// The latest failure. Held by the caller that fetches, so that others wait for the same answer.
    turn: tokio::sync::Mutex<Option<Failure>>,
}

#[derive(Debug, Clone)]
struct Latest {
    schemas: Arc<ObjectInfo>,
    /// When they were requested.
    since: Instant,
}

#[derive(Debug)]
struct Failure {
    error: ClientError,
    since: Instant,
}

/// The node schemas that several ComfyUIs have in common, which are in memory once.
#[derive(Debug)]
pub struct SharedObjectInfo {
    /// By the hash of the answer that they were read from.
    known: Mutex<HashMap<blake3::Hash, Weak<ObjectInfo>>>,
    fetches: Semaphore,
}

impl Default for SharedObjectInfo {
    fn default() -> Self {
        Self { known: Mutex::default(), fetches: Semaphore::new(FETCHES_AT_ONCE) }
    }
}

impl SharedObjectInfo {
    /// Fetches the schemas of a ComfyUI. Those that another one has as well are not parsed again.
    async fn fetch(&self, client: &Client) -> Result<Arc<ObjectInfo>, ClientError> {
        // The semaphore is never closed.
        let _permit = self.fetches.acquire().await;
        let (hash, parse) = client.object_info_bytes().await?;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schemas) = known().get(&hash).and_then(Weak::upgrade) {
            return Ok(schemas);
        }
        let schemas = Arc::new(parse.await?);
        let mut known = known();
        known.retain(|_, schemas| schemas.strong_count() > 0);
        known.insert(hash, Arc::downgrade(&schemas));
        Ok(schemas)
    }
}

impl ObjectInfoCache {
    /// Creates a cache whose schemas are shared with those of other ComfyUIs.
    pub fn sharing(shared: Arc<SharedObjectInfo>) -> Self {
        Self { shared, ..Self::default() }
    }

    /// Returns the cached schemas, or fetches them.
    ///
    /// # Errors
    /// None are cached, and ComfyUI cannot be asked.
    pub async fn get(&self, client: &Client) -> Result<Arc<ObjectInfo>, ClientError> {
        match self.latest() {
            Some(latest) => Ok(latest.schemas),
            None => self.newer(client, None).await,
        }
    }

    /// Returns schemas that are newer than these, which lack something; or the same ones if they are only seconds old.
    ///
    /// # Errors
    /// ComfyUI cannot be asked.
    pub async fn newer(
        &self,
        client: &Client,
        than: Option<&Arc<ObjectInfo>>,
    ) -> Result<Arc<ObjectInfo>, ClientError> {
        let mut failure = self.turn.lock().await;
        if let Some(latest) = self.latest() {
            let another = than.is_none_or(|than| !Arc::ptr_eq(than, &latest.schemas));
            if another || latest.since.elapsed() < LEAST_AGE {
                return Ok(latest.schemas);
            }
        }
        self.fetch(client, &mut failure).await
    }

    /// Returns schemas that ComfyUI was asked for at this time or later: cached ones, or newly fetched ones. After a
    /// failure ComfyUI is not asked for two seconds.
    ///
    /// # Errors
    /// ComfyUI cannot be asked.
    pub async fn since(&self, client: &Client, earliest: Instant) -> Result<Arc<ObjectInfo>, ClientError> {
        let cached = || self.latest().filter(|latest| latest.since >= earliest);
        if let Some(latest) = cached() {
            return Ok(latest.schemas);
        }
        let mut failure = self.turn.lock().await;
        if let Some(latest) = cached() {
            return Ok(latest.schemas);
        }
        if let Some(failure) = &*failure
            && failure.since >= earliest
            && failure.since.elapsed() < FAILURE_AGE
        {
            return Err(failure.error.clone());
        }
        self.fetch(client, &mut failure).await
    }

    async fn fetch(
        &self,
        client: &Client,
        failure: &mut Option<Failure>,
    ) -> Result<Arc<ObjectInfo>, ClientError> {
        let since = Instant::now();
        match self.shared.fetch(client).await {
            Ok(schemas) => {
                let latest = Latest { schemas: Arc::clone(&schemas), since };
                *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(latest);
                *failure = None;
                Ok(schemas)
            }
            Err(error) => {
                *failure = Some(Failure { error: error.clone(), since: Instant::now() });
                Err(error)
            }
        }
    }

    /// Fetches the schemas again, unless that is being done.
    pub async fn refresh(&self, client: &Client) {
        if let Ok(mut failure) = self.turn.try_lock() {
            // The next caller that needs them gets the error.
            drop(self.fetch(client, &mut failure).await);
        }
    }

    /// Returns the schemas that were fetched last, however old they are.
    pub fn latest_known(&self) -> Option<Arc<ObjectInfo>> {
        self.latest().map(|latest| latest.schemas)
    }

    /// Returns the schemas that were fetched last, if that was at this time or later, and when.
    pub fn known_since(&self, earliest: Instant) -> Option<(Arc<ObjectInfo>, Instant)> {
        let latest = self.latest().filter(|latest| latest.since >= earliest)?;
        Some((latest.schemas, latest.since))
    }

    /// Returns whether the schemas are being fetched.
    pub fn is_being_fetched(&self) -> bool {
        self.turn.try_lock().is_err()
    }

    fn latest(&self) -> Option<Latest> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
