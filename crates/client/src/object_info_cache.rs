//! The node schemas of a ComfyUI, fetched once, and again only when they lack something.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use comfy_runner_protocol::ObjectInfo;

use crate::{Client, ClientError};

/// The age at which schemas may be fetched again: an unknown node type may be asked for over and over.
const LEAST_AGE: Duration = Duration::from_secs(10);

/// The latest node schemas, shared by all threads.
#[derive(Debug, Default)]
pub struct ObjectInfoCache {
    latest: RwLock<Option<Latest>>,
    /// Held by the caller that fetches, so that others wait for the same answer.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Latest {
    schemas: Arc<ObjectInfo>,
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
        let _turn = self.turn.lock().await;
        if let Some(latest) = self.latest() {
            let another = than.is_none_or(|than| !Arc::ptr_eq(than, &latest.schemas));
            if another || latest.since.elapsed() < LEAST_AGE {
                return Ok(latest.schemas);
            }
        }
        let schemas = Arc::new(client.object_info().await?);
        let latest = Latest { schemas: Arc::clone(&schemas), since: Instant::now() };
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(latest);
        Ok(schemas)
    }

    fn latest(&self) -> Option<Latest> {
        self.latest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
