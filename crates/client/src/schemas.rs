//! The node schemas of a ComfyUI, fetched once and again only when they do not know something.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use comfy_runner_protocol::ObjectInfo;

use crate::{Client, ClientError};

/// How old schemas must be before others are fetched: a node type that nobody has is asked for again and again.
const LEAST_AGE: Duration = Duration::from_secs(10);

/// The latest node schemas, shared by all threads.
#[derive(Debug, Default)]
pub struct Schemas {
    latest: RwLock<Option<Latest>>,
    /// Whoever fetches holds it, so that others wait for the same answer rather than ask as well.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Latest {
    schemas: Arc<ObjectInfo>,
    since: Instant,
}

impl Schemas {
    /// The schemas: those that are known, or ComfyUI's.
    ///
    /// # Errors
    /// None are known, and ComfyUI cannot be asked.
    pub async fn get(&self, client: &Client) -> Result<Arc<ObjectInfo>, ClientError> {
        match self.latest() {
            Some(latest) => Ok(latest.schemas),
            None => self.newer(client, None).await,
        }
    }

    /// Schemas that came after these, in which something was missing; the same ones when they are only seconds old.
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
