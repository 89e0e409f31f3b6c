//! SQLite on a thread of its own.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt as _;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::migrations::migrate;
use crate::record::{Outcome, Record};
use crate::rows;
use crate::store::{Created, Filter, MeanDuration, Page, Retention, Store, StoreError, StoreFuture};

/// The file in the state folder.
const FILE: &str = "jobs.sqlite3";

/// As many calls may wait for the thread; more wait to be let in.
const WAITING: usize = 256;

type Call = Box<dyn FnOnce(&mut Connection) + Send>;

/// A store in an SQLite file, or in memory. A clone is another handle on the same store.
#[derive(Clone)]
pub struct Sqlite {
    calls: mpsc::Sender<Call>,
}

impl Sqlite {
    /// Opens the store in a folder; makes both if they are not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(StoreError::Folder)?;
        let connection = Connection::open(folder.join(FILE))?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // With WAL, less than this could lose the last writes when the machine goes down.
        connection.pragma_update(None, "synchronous", "FULL")?;
        Self::start(connection)
    }

    /// A store that ends with the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::start(Connection::open_in_memory()?)
    }

    fn start(mut connection: Connection) -> Result<Self, StoreError> {
        migrate(&mut connection)?;
        let (calls, mut waiting) = mpsc::channel::<Call>(WAITING);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                while let Some(call) = waiting.blocking_recv() {
                    call(&mut connection);
                }
            })
            .map_err(StoreError::Folder)?;
        Ok(Self { calls })
    }

    /// Has the thread do something, and waits for what comes of it.
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        async move {
            let (answer, answered) = oneshot::channel();
            // Whoever asked may be gone by now; the work is done all the same.
            let call: Call = Box::new(move |connection| drop(answer.send(work(connection))));
            self.calls.send(call).await.map_err(|_| StoreError::Stopped)?;
            answered.await.map_err(|_| StoreError::Stopped)?
        }
        .boxed()
    }
}

impl Store for Sqlite {
    fn create(&self, record: Record) -> StoreFuture<'_, Created> {
        self.call(move |db| rows::create(db, &record))
    }

    fn update(&self, prompt_id: &str, outcome: Outcome) -> StoreFuture<'_, bool> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| rows::update(db, &prompt_id, &outcome))
    }

    fn rename(&self, prompt_id: &str, to: &str) -> StoreFuture<'_, bool> {
        let (prompt_id, to) = (prompt_id.to_owned(), to.to_owned());
        self.call(move |db| rows::rename(db, &prompt_id, &to))
    }

    fn get(&self, prompt_id: &str) -> StoreFuture<'_, Option<Record>> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| rows::get(db, &prompt_id))
    }

    fn by_key(&self, key: &str) -> StoreFuture<'_, Option<Record>> {
        let key = key.to_owned();
        self.call(move |db| rows::by_key(db, &key))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Page> {
        self.call(move |db| rows::list(db, &filter))
    }

    fn delete(&self, prompt_id: &str) -> StoreFuture<'_, bool> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| rows::delete(db, &prompt_id))
    }

    fn prune(&self, retention: Retention) -> StoreFuture<'_, usize> {
        self.call(move |db| rows::prune(db, retention))
    }

    fn node_durations(&self, workflow_id: &str) -> StoreFuture<'_, HashMap<String, MeanDuration>> {
        let workflow_id = workflow_id.to_owned();
        self.call(move |db| rows::node_durations(db, &workflow_id))
    }

    fn remember_durations(
        &self,
        workflow_id: &str,
        durations: Vec<(String, Duration)>,
    ) -> StoreFuture<'_, ()> {
        let workflow_id = workflow_id.to_owned();
        self.call(move |db| rows::remember_durations(db, &workflow_id, &durations))
    }
}
