//! SQLite on a thread of its own.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::assets::{self, AssetRecord};
use crate::error::{Failure, StoreError};
use crate::migrations::migrate;
use crate::output_contents::{self, OutputContent};
use crate::record::{Outcome, Record};
use crate::rows::{self, LoggedDamage};
use crate::scheduling;
use crate::sessions::{self, EndedSession};
use crate::state_dir;
use crate::store::{Created, Deleted, Filter, Page, Retention, Store, StoreFuture};
use crate::stored_files::{self, KeptOutput, UnkeptJob};
use crate::uploads::{self, Upload, UploadPage, UploadUse};
use comfy_runner_progress::Durations;
use comfy_runner_protocol::OutputFile;
use comfy_runner_scheduler::JobTimes;

/// How long to wait while another connection holds the database.
const PATIENCE: Duration = Duration::from_secs(2);

/// The number of calls that may wait for the thread; further ones wait in front of the queue.
const WAITING: usize = 256;

/// The largest number of calls that are written to the disk together.
const GROUP: usize = 128;

/// The number of pages of the log from which its content is moved to the database, which takes as long as many syncs.
const LOG_PAGES: u32 = 4000;

/// Does a call, and returns what is to be done when it is known whether its changes are on the disk.
type Work = Box<dyn FnOnce(&mut Database) -> Answer + Send>;

/// Sends the result of a call. If its changes were undone, the reason is the result.
type Answer = Box<dyn FnOnce(Result<(), &str>)>;

/// A call to the thread.
enum Call {
    Work(Work),
    Close(oneshot::Sender<Result<(), Failure>>),
}

/// What the thread owns.
struct Database {
    connection: Connection,
    logged: LoggedDamage,
}

/// A store in an SQLite file, or in memory. A clone is another handle to the same store.
#[derive(Clone)]
pub struct Sqlite {
    calls: mpsc::Sender<Call>,
    identity: Arc<str>,
}

impl Sqlite {
    /// Opens the store in a folder. Both are created if they are missing, readable for their owner only. Only one process may
    /// have it open: the call waits up to two seconds for another process to close it.
    ///
    /// # Errors
    /// Another process uses the folder, or the store cannot be read or written.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        state_dir::create(folder).map_err(StoreError::Folder)?;
        let lock = state_dir::lock(folder)?;
        let database = state_dir::make_private(folder).map_err(StoreError::Folder)?;
        let connection = open_file(&database).map_err(Failure::into_store_error)?;
        Self::start(connection, Some(lock))
    }

    /// Creates a store in memory, which ends with the process.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn in_memory() -> Result<Self, StoreError> {
        let connection =
            Connection::open_in_memory().map_err(|error| Failure::from(error).into_store_error())?;
        Self::start(connection, None)
    }

    fn start(mut connection: Connection, lock: Option<File>) -> Result<Self, StoreError> {
        let identity = prepare(&mut connection).map_err(Failure::into_store_error)?.into();
        let mut database = Database { connection, logged: LoggedDamage::default() };
        let (calls, mut waiting) = mpsc::channel::<Call>(WAITING);
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let mut asked_to_close = None;
                while let Some(call) = waiting.blocking_recv() {
                    let calls = std::iter::once(call).chain(std::iter::from_fn(|| waiting.try_recv().ok()));
                    let mut group = Vec::new();
                    for call in calls.take(GROUP) {
                        match call {
                            Call::Work(work) => group.push(work),
                            Call::Close(answer) => {
                                asked_to_close = Some(answer);
                                break;
                            }
                        }
                    }
                    do_together(&mut database, group);
                    if asked_to_close.is_some() {
                        break;
                    }
                }
                let closed = close(database.connection);
                // The next process may use the folder only after the database is closed.
                drop(lock);
                if let Some(answer) = asked_to_close {
                    // The caller may no longer wait for the answer.
                    let _ = answer.send(closed);
                }
            })
            .map_err(StoreError::Thread)?;
        Ok(Self { calls, identity })
    }

    /// Runs a call on the thread and returns its result.
    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Database) -> Result<T, Failure> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        async move {
            let (answer, answered) = oneshot::channel();
            // The work is done even if the caller no longer waits.
            let call = Call::Work(Box::new(move |database| {
                let result = work(database);
                Box::new(move |written| {
                    let undone = |reason: &str| Failure::Undone(reason.to_owned());
                    drop(answer.send(result.and_then(|result| written.map_err(undone).map(|()| result))));
                })
            }));
            self.calls.send(call).await.map_err(|_| StoreError::Stopped)?;
            answered.await.map_err(|_| StoreError::Stopped)?.map_err(Failure::into_store_error)
        }
        .boxed()
    }
}

/// Does calls one after the other, and writes their changes to the disk together: a disk syncs no faster for a small change
/// than for many. Each call is answered when its changes are on the disk.
fn do_together(database: &mut Database, mut group: Vec<Work>) {
    if group.len() == 1
        && let Some(work) = group.pop()
    {
        return work(database)(Ok(()));
    }
    let mut group = group.into_iter();
    while group.len() > 0 {
        let mut answers = Vec::new();
        let begun = database.connection.execute_batch("BEGIN");
        for work in group.by_ref() {
            answers.push(work(database));
            // A full or failing disk can undo the whole transaction. The other calls get a transaction of their own.
            if begun.is_ok() && database.connection.is_autocommit() {
                break;
            }
        }
        let written = match begun {
            // Each call was a transaction of its own.
            Err(_) => Ok(()),
            Ok(()) => end(&database.connection),
        };
        let last = answers.len() - 1;
        for (number, answer) in answers.into_iter().enumerate() {
            match &written {
                // The call that failed has its own reason.
                Err(Ended::Undone(_)) if number == last => answer(Ok(())),
                Err(Ended::Undone(reason) | Ended::Failed(reason)) => answer(Err(reason)),
                Ok(()) => answer(Ok(())),
            }
        }
    }
}

/// Why the changes of a transaction are not on the disk.
enum Ended {
    /// Its last call has undone it.
    Undone(String),
    /// It cannot be written.
    Failed(String),
}

/// Ends the transaction of several calls.
fn end(connection: &Connection) -> Result<(), Ended> {
    if connection.is_autocommit() {
        return Err(Ended::Undone("a call that was written together with this one failed".to_owned()));
    }
    connection.execute_batch("COMMIT").map_err(|error| {
        // If this fails as well, the transaction was undone already.
        let _ = connection.execute_batch("ROLLBACK");
        Ended::Failed(error.to_string())
    })
}

fn open_file(path: &Path) -> Result<Connection, Failure> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // With WAL, a lower level could lose the last writes when the machine goes down.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    Ok(connection)
}

/// Writes everything to the database file, so that this file alone is a backup, and closes it.
fn close(connection: Connection) -> Result<(), Failure> {
    // The first column says whether another connection prevented it.
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        tracing::warn!(
            "another program reads the store of jobs; its last changes are in the file that ends in -wal"
        );
    }
    connection.close().map_err(|(_, error)| error.into())
}

/// Migrates the schema and returns the store's identity.
fn prepare(connection: &mut Connection) -> Result<String, Failure> {
    connection.pragma_update(None, "foreign_keys", true)?;
    migrate(connection)?;
    let proposed = uuid::Uuid::new_v4().simple().to_string();
    connection.execute("INSERT INTO identity VALUES (1, ?) ON CONFLICT DO NOTHING", [proposed])?;
    Ok(connection.query_row("SELECT id FROM identity", [], |row| row.get(0))?)
}

impl Store for Sqlite {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn create(&self, record: Record) -> StoreFuture<'_, Created> {
        self.call(move |db| rows::create(&mut db.connection, &record))
    }

    fn update(&self, outcomes: Vec<(String, Outcome)>) -> StoreFuture<'_, ()> {
        self.call(move |db| rows::update(&mut db.connection, &outcomes))
    }

    fn rename(&self, prompt_id: &str, to: &str) -> StoreFuture<'_, bool> {
        let (prompt_id, to) = (prompt_id.to_owned(), to.to_owned());
        self.call(move |db| rows::rename(&db.connection, &prompt_id, &to))
    }

    fn withdraw(&self, prompt_id: &str) -> StoreFuture<'_, bool> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| rows::withdraw(&db.connection, &prompt_id))
    }

    fn get(&self, prompt_id: &str) -> StoreFuture<'_, Option<Record>> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| rows::get(&db.connection, &prompt_id))
    }

    fn by_key(&self, key: &str) -> StoreFuture<'_, Option<Record>> {
        let key = key.to_owned();
        self.call(move |db| rows::by_key(&db.connection, &key))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Page> {
        self.call(move |db| rows::list(&db.connection, &mut db.logged, &filter))
    }

    fn open(&self, after: Option<&str>, limit: u32) -> StoreFuture<'_, Vec<Record>> {
        let after = after.map(str::to_owned);
        self.call(move |db| rows::open(&db.connection, &mut db.logged, after.as_deref(), limit))
    }

    fn delete(&self, prompt_id: &str) -> StoreFuture<'_, Deleted> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| rows::delete(&mut db.connection, &prompt_id))
    }

    fn prune(&self, retention: Retention) -> StoreFuture<'_, usize> {
        self.call(move |db| rows::prune(&db.connection, retention))
    }

    fn reserve_event_ids(&self, from: u64, count: u64) -> StoreFuture<'_, u64> {
        self.call(move |db| rows::reserve_event_ids(&mut db.connection, from, count))
    }

    fn add_upload(&self, upload: Upload) -> StoreFuture<'_, ()> {
        self.call(move |db| uploads::add(&db.connection, &upload))
    }

    fn uploads(&self, limit: u32, after: Option<i64>) -> StoreFuture<'_, UploadPage> {
        self.call(move |db| uploads::list(&db.connection, limit, after))
    }

    fn upload_use(&self, filename: &str) -> StoreFuture<'_, UploadUse> {
        let filename = filename.to_owned();
        self.call(move |db| uploads::usage(&db.connection, &filename))
    }

    fn delete_upload(&self, filename: &str) -> StoreFuture<'_, bool> {
        let filename = filename.to_owned();
        self.call(move |db| uploads::delete(&db.connection, &filename))
    }

    fn uploads_named(&self, filenames: Vec<String>) -> StoreFuture<'_, Vec<Upload>> {
        self.call(move |db| uploads::named(&db.connection, &filenames))
    }

    fn prune_uploads(&self, before: i64) -> StoreFuture<'_, usize> {
        self.call(move |db| uploads::prune(&db.connection, before))
    }

    fn keep_output(&self, prompt_id: &str, kept: KeptOutput) -> StoreFuture<'_, bool> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| stored_files::keep(&db.connection, &prompt_id, &kept))
    }

    fn all_outputs_kept(&self, prompt_id: &str) -> StoreFuture<'_, ()> {
        let prompt_id = prompt_id.to_owned();
        self.call(move |db| stored_files::all_kept(&db.connection, &prompt_id))
    }

    fn unkept(&self, after: Option<i64>, limit: u32) -> StoreFuture<'_, Vec<UnkeptJob>> {
        self.call(move |db| stored_files::unkept(&db.connection, after, limit))
    }

    fn kept_output(&self, file: &OutputFile) -> StoreFuture<'_, Option<KeptOutput>> {
        let file = file.clone();
        self.call(move |db| stored_files::kept(&db.connection, &file))
    }

    fn record_output_content(
        &self,
        prompt_id: &str,
        file: &OutputFile,
        content: OutputContent,
    ) -> StoreFuture<'_, bool> {
        let (prompt_id, file) = (prompt_id.to_owned(), file.clone());
        self.call(move |db| output_contents::record(&db.connection, &prompt_id, &file, &content))
    }

    fn output_content(&self, prompt_id: &str, file: &OutputFile) -> StoreFuture<'_, Option<OutputContent>> {
        let (prompt_id, file) = (prompt_id.to_owned(), file.clone());
        self.call(move |db| output_contents::get(&db.connection, &prompt_id, &file))
    }

    fn add_asset(&self, asset: AssetRecord) -> StoreFuture<'_, ()> {
        self.call(move |db| assets::add(&db.connection, &asset))
    }

    fn asset(&self, id: &str) -> StoreFuture<'_, Option<AssetRecord>> {
        let id = id.to_owned();
        self.call(move |db| assets::get(&db.connection, &id))
    }

    fn asset_with_hash(&self, hash: &str) -> StoreFuture<'_, Option<AssetRecord>> {
        let hash = hash.to_owned();
        self.call(move |db| assets::with_hash(&db.connection, &hash))
    }

    fn assets_named(&self, file_paths: Vec<String>) -> StoreFuture<'_, Vec<AssetRecord>> {
        self.call(move |db| assets::named(&db.connection, file_paths))
    }

    fn delete_asset(&self, id: &str) -> StoreFuture<'_, bool> {
        let id = id.to_owned();
        self.call(move |db| assets::delete(&db.connection, &id))
    }

    fn prune_assets(&self, before: i64) -> StoreFuture<'_, usize> {
        self.call(move |db| assets::prune(&db.connection, before))
    }

    fn unreferenced(&self, hashes: Vec<String>) -> StoreFuture<'_, Vec<String>> {
        self.call(move |db| stored_files::unreferenced(&db.connection, hashes))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        async move {
            let (answer, answered) = oneshot::channel();
            self.calls.send(Call::Close(answer)).await.map_err(|_| StoreError::Stopped)?;
            answered.await.map_err(|_| StoreError::Stopped)?.map_err(Failure::into_store_error)
        }
        .boxed()
    }

    fn durations(&self, workflow_id: &str) -> StoreFuture<'_, Durations> {
        let workflow_id = workflow_id.to_owned();
        self.call(move |db| rows::durations(&db.connection, &workflow_id))
    }

    fn remember_durations(&self, workflow_id: &str, durations: Durations) -> StoreFuture<'_, ()> {
        let workflow_id = workflow_id.to_owned();
        self.call(move |db| rows::remember_durations(&mut db.connection, &workflow_id, &durations))
    }

    fn job_times(&self) -> StoreFuture<'_, JobTimes> {
        self.call(|db| scheduling::job_times(&db.connection))
    }

    fn remember_job_times(&self, times: JobTimes) -> StoreFuture<'_, ()> {
        self.call(move |db| scheduling::remember_job_times(&mut db.connection, &times))
    }

    fn draining(&self) -> StoreFuture<'_, Vec<String>> {
        self.call(|db| scheduling::draining(&db.connection))
    }

    fn set_draining(&self, comfyui: &str, draining: bool) -> StoreFuture<'_, ()> {
        let comfyui = comfyui.to_owned();
        self.call(move |db| scheduling::set_draining(&db.connection, &comfyui, draining))
    }

    fn ended_sessions(&self) -> StoreFuture<'_, Vec<EndedSession>> {
        self.call(|db| sessions::ended(&db.connection))
    }

    fn end_session(&self, session: EndedSession, now: i64) -> StoreFuture<'_, ()> {
        self.call(move |db| sessions::end(&mut db.connection, &session, now))
    }
}
