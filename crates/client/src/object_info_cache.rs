//! The node schemas of a ComfyUI, fetched once, and again only when they lack something or are too old.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use comfy_runner_protocol::ObjectInfo;

use crate::{Client, ClientError};

/// The age at which schemas may be fetched again: an unknown node type may be asked for over and over.
const LEAST_AGE: Duration = Duration::from_secs(10);

/// How long a failure to fetch schemas is the answer to further callers.
const FAILURE_AGE: Duration = Duration::from_secs(2);

/// The latest node schemas, shared by all threads.
#[derive(Debug, Default)]
pub struct ObjectInfoCache {
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

impl ObjectInfoCache {
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
        match client.object_info().await {
            Ok(schemas) => {
                let schemas = Arc::new(schemas);
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

    /// Returns the schemas that were fetched last, however old they are.
    pub fn latest_known(&self) -> Option<Arc<ObjectInfo>> {
        self.latest().map(|latest| latest.schemas)
    }

    fn latest(&self) -> Option<Latest> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
