//! Files through the public API, in local folders.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use comfy_runner_files::{
    ContentHash, FileError, FileStore, Location, ObjectFiles, Put, PutError, StoredFile, put,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proptest::prelude::*;
use tempfile::TempDir;

/// More than the store keeps in memory of a file.
const LARGE: usize = 1_300_000;

fn open(folder: &TempDir) -> ObjectFiles {
    ObjectFiles::open(&Location::Folder(folder.path().join("files"))).unwrap()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

fn pieces(content: &[u8], size: usize) -> impl futures::Stream<Item = Result<Bytes, io::Error>> {
    let pieces: Vec<_> = content.chunks(size.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

async fn store(files: &dyn FileStore, content: &[u8]) -> StoredFile {
    put(files, pieces(content, 64 * 1024), Put::at_most(u64::MAX)).await.unwrap()
}

async fn read(files: &dyn FileStore, hash: &ContentHash, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let content = files.get(hash, range).await.unwrap().expect("the file exists");
    content.bytes.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

/// The files below a folder, whatever they are.
fn on_disk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(on_disk(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}

async fn listed(files: &dyn FileStore) -> Vec<ContentHash> {
    let mut hashes: Vec<_> = files.list().map(|file| file.unwrap().hash).collect().await;
    hashes.sort();
    hashes
}

/// Waits until a condition holds: what a dropped writer leaves is deleted by another thread.
async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_file_is_found_by_the_hash_of_its_content() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    for length in [0, 1, 1000, LARGE] {
        let content = content(length);
        let stored = store(&files, &content).await;
        assert_eq!((stored.hash, stored.size), (ContentHash::of(&content), length as u64));
        assert_eq!(read(&files, &stored.hash, None).await, content);
        assert_eq!(files.head(&stored.hash).await.unwrap().unwrap().size, length as u64);
    }
    assert_eq!(listed(&files).await.len(), 4);
    let again = open(&folder);
    assert_eq!(listed(&again).await, listed(&files).await, "the next process finds them");
}

#[tokio::test]
async fn a_file_that_does_not_exist_is_none() {
    let files = ObjectFiles::open(&Location::Temporary).unwrap();
    let hash = ContentHash::of(b"never stored");
    assert!(files.get(&hash, None).await.unwrap().is_none());
    assert!(files.get(&hash, Some(0..1)).await.unwrap().is_none());
    assert!(files.head(&hash).await.unwrap().is_none());
    assert!(!files.delete(&hash).await.unwrap());
    assert!(listed(&files).await.is_empty());
}

#[tokio::test]
async fn a_temporary_store_ends_with_its_last_handle() {
    let files = ObjectFiles::open(&Location::Temporary).unwrap();
    let handle = files.clone();
    drop(files);
    let stored = store(&handle, b"a fox").await;
    assert_eq!(read(&handle, &stored.hash, None).await, b"a fox");
}

#[tokio::test]
async fn the_same_content_is_stored_once_also_at_the_same_time() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    for length in [1000, LARGE] {
        let content = content(length);
        let puts = (1..=8).map(|n| put(&files, pieces(&content, n * 40_000), Put::at_most(u64::MAX)));
        for stored in futures::future::join_all(puts).await {
            assert_eq!(stored.unwrap().hash, ContentHash::of(&content));
        }
        assert_eq!(read(&files, &ContentHash::of(&content), None).await, content);
    }
    assert_eq!(listed(&files).await.len(), 2);
    assert_eq!(on_disk(folder.path()).len(), 2);
}

#[tokio::test]
async fn a_stream_that_breaks_off_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    for length in [0, 1000, LARGE] {
        let content = content(length);
        let broken =
            pieces(&content, 100_000).chain(stream::iter([Err(io::Error::other("the caller left"))]));
        let error = put(&files, broken, Put::at_most(u64::MAX)).await.unwrap_err();
        assert!(matches!(&error, PutError::Source(error) if error.to_string() == "the caller left"));
        until(|| on_disk(folder.path()).is_empty()).await;
        assert!(listed(&files).await.is_empty());
    }
}

#[tokio::test]
async fn the_limit_holds_while_the_file_arrives() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let exact = content(700_000);
    assert!(put(&files, pieces(&exact, 9_999), Put::at_most(700_000)).await.is_ok());
    assert!(files.delete(&ContentHash::of(&exact)).await.unwrap());
    // The stream has no end: only the limit ends it.
    let endless = stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[7; 1000])));
    let error = put(&files, endless, Put::at_most(700_000)).await.unwrap_err();
    assert!(matches!(error, PutError::File(FileError::TooLarge { limit: 700_000 })));
    until(|| on_disk(folder.path()).is_empty()).await;
}

#[tokio::test]
async fn other_content_than_announced_is_not_stored() {
    let files = ObjectFiles::open(&Location::Temporary).unwrap();
    let announced = ContentHash::of(b"a fox");
    let expecting = Put::at_most(100).expecting(Some(announced));
    assert_eq!(put(&files, pieces(b"a fox", 2), expecting).await.unwrap().hash, announced);
    let error = put(&files, pieces(b"a dog", 2), expecting).await.unwrap_err();
    let found = ContentHash::of(b"a dog");
    assert!(
        matches!(error, PutError::File(FileError::Mismatch { expected, found: f }) if expected == announced && f == found)
    );
    assert!(files.head(&found).await.unwrap().is_none());
}

#[tokio::test]
async fn a_range_outside_of_the_file_is_an_error_with_the_size() {
    let files = ObjectFiles::open(&Location::Temporary).unwrap();
    let stored = store(&files, b"a red fox").await;
    assert_eq!(read(&files, &stored.hash, Some(0..9)).await, b"a red fox");
    assert_eq!(read(&files, &stored.hash, Some(9..9)).await, b"");
    for range in [0..10, 10..10, 9..12, u64::MAX - 1..u64::MAX] {
        let error = files.get(&stored.hash, Some(range)).await.unwrap_err();
        assert!(matches!(error, FileError::Range { size: 9 }), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_was_stored_again_is_not_old() {
    let files = ObjectFiles::open(&Location::Temporary).unwrap();
    let stored = store(&files, b"a fox").await;
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    let later = SystemTime::now() + Duration::from_secs(3600);
    assert!(!files.delete_older(&stored.hash, long_ago).await.unwrap());
    let first = files.head(&stored.hash).await.unwrap().unwrap().stored_at;
    store(&files, b"a fox").await;
    assert!(files.head(&stored.hash).await.unwrap().unwrap().stored_at >= first);
    assert!(files.delete_older(&stored.hash, later).await.unwrap());
    assert!(!files.delete_older(&stored.hash, later).await.unwrap());
}

#[tokio::test]
async fn what_a_killed_process_leaves_is_counted_and_deleted() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let kept = store(&files, b"a fox").await;
    // A process that was killed drops nothing.
    for size in [LARGE, 2 * LARGE] {
        let mut writer = files.create(u64::MAX).await.unwrap();
        writer.write(content(size).into()).await.unwrap();
        std::mem::forget(writer);
    }
    assert_eq!(on_disk(folder.path()).len(), 3);
    let (long_ago, later) = (SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(3600));
    assert_eq!(files.unfinished(long_ago, true).await.unwrap(), 0);
    assert_eq!(files.unfinished(later, false).await.unwrap(), 2);
    assert_eq!(files.unfinished(later, true).await.unwrap(), 2);
    assert_eq!(files.unfinished(later, true).await.unwrap(), 0);
    assert_eq!(listed(&files).await, [kept.hash]);
}

#[tokio::test]
async fn a_file_that_is_cut_on_the_disk_is_reported() {
    let folder = TempDir::new().unwrap();
    let files = open(&folder);
    let stored = store(&files, &content(LARGE)).await;
    let reading = files.get(&stored.hash, None).await.unwrap().unwrap();
    let path = on_disk(folder.path()).pop().unwrap();
    std::fs::File::options().write(true).open(path).unwrap().set_len(10).unwrap();
    let error = reading.bytes.try_collect::<Vec<_>>().await.unwrap_err().to_string();
    assert!(error.contains("shorter") && !error.contains('/'), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn others_cannot_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    open(&folder);
    let mode = std::fs::metadata(folder.path().join("files")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn chunks_do_not_matter(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300_000), 0..8),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let files = ObjectFiles::open(&Location::Temporary).unwrap();
            let whole = chunks.concat();
            let source = stream::iter(chunks.into_iter().map(|chunk| Ok::<_, io::Error>(Bytes::from(chunk))));
            let stored = put(&files, source, Put::at_most(whole.len() as u64)).await.unwrap();
            assert_eq!((stored.hash, stored.size), (ContentHash::of(&whole), whole.len() as u64));
            assert_eq!(read(&files, &stored.hash, None).await, whole);
            let (a, b) = (from.index(whole.len() + 1), to.index(whole.len() + 1));
            let (a, b) = (a.min(b), a.max(b));
            assert_eq!(read(&files, &stored.hash, Some(a as u64..b as u64)).await, &whole[a..b]);
        });
    }
}
