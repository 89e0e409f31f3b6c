//! Files in an `object_store`.
//!
//! A file is at `content/<first two digits of its hash>/<hash>`. A file that is being written, and is too large for one
//! request, is at `incoming/<random name>`.

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    local::LocalFileSystem,
};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

use crate::content_hash::ContentHash;
use crate::error::FileError;
use crate::file_store::{DownloadLink, FileContent, FileFuture, FileList, FileStore, FileWriter, StoredFile};
use crate::local;
use crate::location::Location;
use crate::object_writer::ObjectWriter;

/// The folder of finished files.
const CONTENT: &str = "content";
/// The folder of files that are being written.
const INCOMING: &str = "incoming";
/// An object that shows that a bucket can be written.
const MARKER: &str = "comfy-runner-files";
/// The number of locks that the files share.
const LOCKS: usize = 64;

/// A store of files in a local folder or in object storage. A clone is another handle to the same store.
#[derive(Clone)]
pub struct ObjectFiles {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub store: Arc<dyn ObjectStore>,
    /// The path below which everything is.
    root: Path,
    /// The number of bytes that are written at once.
    pub part: usize,
    /// How many parts are written at the same time.
    pub parts_at_once: usize,
    /// The largest file that the storage can rename.
    pub largest: u64,
    /// The local folder, if it is one.
    folder: Option<PathBuf>,
    #[cfg(feature = "cloud")]
    signer: Option<Arc<dyn object_store::signer::Signer>>,
    /// Storing a content and deleting it exclude one another. A file's lock is chosen by its hash.
    locks: [Mutex<()>; LOCKS],
    /// Deleted when the store is dropped.
    _temporary: Option<TempDir>,
}

impl ObjectFiles {
    /// Opens the store at a location. A local folder is created if it is missing, readable for its owner only.
    ///
    /// Object storage takes its credentials and settings from the environment, as `object_store` documents them:
    /// `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL` for MinIO and others, `AWS_ALLOW_HTTP`;
    /// `GOOGLE_SERVICE_ACCOUNT`; `AZURE_STORAGE_ACCOUNT_NAME`. Nothing is sent yet: see [`check`](Self::check).
    ///
    /// # Errors
    /// The folder cannot be created, or the settings cannot be used.
    pub fn open(location: &Location) -> Result<Self, FileError> {
        Self::open_with(location, &[])
    }

    /// As [`open`](Self::open), with settings of object storage by the names that they have in the environment, which they
    /// override. A folder has no settings.
    ///
    /// # Errors
    /// As [`open`](Self::open); and an unknown setting.
    pub fn open_with(location: &Location, settings: &[(&str, &str)]) -> Result<Self, FileError> {
        let _ = settings;
        match location {
            Location::Folder(folder) => Self::in_folder(folder, None),
            Location::Temporary => {
                let temporary = TempDir::with_prefix("comfy-runner-files-")?;
                let folder = temporary.path().to_owned();
                Self::in_folder(&folder, Some(temporary))
            }
            #[cfg(feature = "cloud")]
            Location::Cloud(url) => crate::cloud::open(url, settings),
            #[cfg(not(feature = "cloud"))]
            Location::Cloud(url) => {
                let why = crate::LocationError::NotInThisBuild(url.scheme().to_owned());
                Err(FileError::storage(crate::Fault::Unavailable, why))
            }
        }
    }

    fn in_folder(folder: &FilePath, temporary: Option<TempDir>) -> Result<Self, FileError> {
        local::create_private(folder)?;
        // A file that was stored survives a crash of the machine.
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self::new(Shared {
            store: Arc::new(store),
            root: Path::default(),
            part: 512 * 1024,
            parts_at_once: 2,
            largest: u64::MAX,
            folder: Some(folder.to_owned()),
            #[cfg(feature = "cloud")]
            signer: None,
            locks: Shared::locks(),
            _temporary: temporary,
        }))
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Checks that the storage answers, can be written, and can be listed. In object storage it leaves an object of a few bytes,
    /// `comfy-runner-files`.
    ///
    /// # Errors
    /// The bucket does not exist, the credentials are wrong, or the storage cannot be reached.
    pub async fn check(&self) -> Result<(), FileError> {
        let Shared { store, root, folder, .. } = &*self.shared;
        // A folder was created by `open`. Only a write distinguishes a bucket that does not exist.
        if folder.is_none() {
            store.put(&root.clone().join(MARKER), MARKER.into()).await?;
        }
        store.list(Some(&root.clone().join(CONTENT))).next().await.transpose()?;
        Ok(())
    }
}

impl Shared {
    fn locks() -> [Mutex<()>; LOCKS] {
        std::array::from_fn(|_| Mutex::new(()))
    }

    #[cfg(feature = "cloud")]
    pub(crate) fn in_cloud(
        store: Arc<dyn ObjectStore>,
        root: Path,
        signer: Option<Arc<dyn object_store::signer::Signer>>,
    ) -> Self {
        Self {
            store,
            root,
            // S3 takes parts of 5 MiB or more, and at most 10,000 of them.
            part: 8 * 1024 * 1024,
            parts_at_once: 3,
            // S3 copies no larger object in one request, and has no other way to rename it.
            largest: 5 * 1024 * 1024 * 1024,
            folder: None,
            signer,
            locks: Self::locks(),
            _temporary: None,
        }
    }

    pub(crate) async fn lock(&self, hash: &ContentHash) -> MutexGuard<'_, ()> {
        self.locks[usize::from(hash.as_bytes()[0]) % LOCKS].lock().await
    }

    pub(crate) fn path(&self, hash: &ContentHash) -> Path {
        let hash = hash.to_string();
        self.root.clone().join(CONTENT).join(&hash[..2]).join(hash)
    }

    pub(crate) fn incoming(&self) -> Path {
        self.root.clone().join(INCOMING).join(uuid::Uuid::new_v4().simple().to_string())
    }

    async fn head(&self, hash: &ContentHash) -> Result<Option<StoredFile>, FileError> {
        match self.store.head(&self.path(hash)).await {
            Ok(meta) => Ok(Some(described(*hash, &meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a file whose lock is held.
    async fn delete(&self, hash: &ContentHash) -> Result<bool, FileError> {
        match self.store.delete(&self.path(hash)).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn described(hash: ContentHash, meta: &ObjectMeta) -> StoredFile {
    StoredFile::new(hash, meta.size, meta.last_modified.into())
}

impl FileStore for ObjectFiles {
    fn create(&self, limit: u64) -> FileFuture<'_, Box<dyn FileWriter>> {
        async move { Ok(Box::new(ObjectWriter::new(Arc::clone(&self.shared), limit)) as _) }.boxed()
    }

    fn get(&self, hash: &ContentHash, range: Option<Range<u64>>) -> FileFuture<'_, Option<FileContent>> {
        let hash = *hash;
        async move {
            // An empty range is none for HTTP, and one that ends after the file would be cut without a word.
            let whole_or_checked = match &range {
                None => None,
                Some(range) => {
                    let Some(file) = self.shared.head(&hash).await? else { return Ok(None) };
                    if range.start > range.end || range.end > file.size {
                        return Err(FileError::Range { size: file.size });
                    }
                    if range.is_empty() {
                        let nothing = futures::stream::empty().boxed();
                        return Ok(Some(FileContent::new(file, range.clone(), nothing)));
                    }
                    Some(GetRange::Bounded(range.clone()))
                }
            };
            let options = GetOptions { range: whole_or_checked, ..GetOptions::default() };
            let result = match self.shared.store.get_opts(&self.shared.path(&hash), options).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                result => result?,
            };
            let (file, range) = (described(hash, &result.meta), result.range.clone());
            let bytes = match result.payload {
                GetResultPayload::File(file, _) => local::read(file, range.clone()),
                GetResultPayload::Stream(bytes) => bytes.map_err(FileError::from).boxed(),
            };
            Ok(Some(FileContent::new(file, range, bytes)))
        }
        .boxed()
    }

    fn head(&self, hash: &ContentHash) -> FileFuture<'_, Option<StoredFile>> {
        let hash = *hash;
        async move { self.shared.head(&hash).await }.boxed()
    }

    fn delete(&self, hash: &ContentHash) -> FileFuture<'_, bool> {
        let hash = *hash;
        async move {
            let _lock = self.shared.lock(&hash).await;
            // Object storage deletes what does not exist, too.
            Ok(self.shared.head(&hash).await?.is_some() && self.shared.delete(&hash).await?)
        }
        .boxed()
    }

    fn delete_older(&self, hash: &ContentHash, before: SystemTime) -> FileFuture<'_, bool> {
        let hash = *hash;
        async move {
            let _lock = self.shared.lock(&hash).await;
            match self.shared.head(&hash).await? {
                Some(file) if file.stored_at < before => self.shared.delete(&hash).await,
                _ => Ok(false),
            }
        }
        .boxed()
    }

    fn list(&self) -> FileList<'_> {
        let prefix = self.shared.root.clone().join(CONTENT);
        let files = self.shared.store.list(Some(&prefix)).map_err(FileError::from);
        let files = files.try_filter_map(async |meta| {
            let hash = meta.location.filename().and_then(|name| name.parse().ok());
            if hash.is_none() {
                tracing::warn!("the file store contains an object that it did not write");
            }
            Ok(hash.map(|hash| described(hash, &meta)))
        });
        files.boxed()
    }

    fn unfinished(&self, before: SystemTime, delete: bool) -> FileFuture<'_, usize> {
        async move {
            let prefix = self.shared.root.clone().join(INCOMING);
            let mut left = self.shared.store.list(Some(&prefix));
            let mut found = 0;
            while let Some(meta) = left.try_next().await? {
                if SystemTime::from(meta.last_modified) >= before {
                    continue;
                }
                if delete {
                    self.shared.store.delete(&meta.location).await?;
                }
                found += 1;
            }
            if let Some(folder) = &self.shared.folder {
                found += local::staged(folder, before, delete).await?;
            }
            Ok(found)
        }
        .boxed()
    }

    fn has_download_urls(&self) -> bool {
        #[cfg(feature = "cloud")]
        return self.shared.signer.is_some();
        #[cfg(not(feature = "cloud"))]
        false
    }

    fn download_url(&self, hash: &ContentHash, link: DownloadLink) -> FileFuture<'_, Option<String>> {
        let hash = *hash;
        async move {
            #[cfg(feature = "cloud")]
            if let Some(signer) = &self.shared.signer {
                return Ok(Some(crate::cloud::sign(&**signer, &self.shared.path(&hash), link).await?));
            }
            let _ = (hash, link);
            Ok(None)
        }
        .boxed()
    }
}
