//! Uploads to ComfyUI's input folder or to a file store: which files are accepted, their names, and their size limit.
//!
//! The file is streamed and never kept in memory.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use comfy_runner_client::{Client, ClientError, Upload};
use comfy_runner_files::{FileError, FileStore, Put, PutError, StoredFile, put};
use comfy_runner_store::StoreError;
use futures::stream::{self, Stream, StreamExt};
use rand::RngExt;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::file_kind::FileKind;

/// The number of first bytes that are needed to recognise a kind of media: some containers are recognised late.
const HEAD: usize = 4096;

/// The longest stem of a name in bytes. With our prefix and an extension it is far below the 255 bytes of file systems.
const LONGEST_STEM: usize = 120;

/// Why a file was not uploaded. ComfyUI keeps no part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The file has no bytes.
    #[error("the file \"{0}\" is empty")]
    Empty(String),
    /// The file is not an image, a video, audio or a 3D model.
    #[error("the file \"{name}\" is {found}; upload an image, a video, audio or a 3D model")]
    NotMedia {
        /// The caller's name for it.
        name: String,
        /// What its bytes show.
        found: &'static str,
    },
    /// The file is a video, audio or a 3D model where only an image will do.
    #[error("the file \"{name}\" is {found}, not an image")]
    NotAnImage {
        /// The caller's name for it.
        name: String,
        /// What its bytes show.
        found: &'static str,
    },
    /// The file is larger than the limit.
    #[error("the file \"{name}\" is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The caller's name for it.
        name: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The source failed before the end of the file.
    #[error("the upload of \"{name}\" broke off: {reason}")]
    Source {
        /// The caller's name for it.
        name: String,
        /// What happened.
        reason: String,
    },
    /// ComfyUI did not take it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The file store did not take it.
    #[error(transparent)]
    Files(FileError),
    /// It was stored, and cannot be recorded.
    #[error("the file was not accepted, as it cannot be recorded")]
    Record(#[source] StoreError),
}

/// Streams a file to ComfyUI's input folder under a unique name, and returns that name. A 3D model goes to the folder `3d`
/// there, which is part of the name: ComfyUI looks for models in that folder only.
///
/// `limit` is in bytes. The body is read no faster than ComfyUI takes it.
pub async fn upload<S, E>(client: &Client, name: &str, body: S, limit: u64) -> Result<String, UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display + 'static,
{
    upload_media(client, name, body, limit, false).await
}

/// As [`upload`], for an input that takes images only.
pub async fn upload_image<S, E>(
    client: &Client,
    name: &str,
    body: S,
    limit: u64,
) -> Result<String, UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display + 'static,
{
    upload_media(client, name, body, limit, true).await
}

async fn upload_media<S, E>(
    client: &Client,
    name: &str,
    body: S,
    limit: u64,
    images_only: bool,
) -> Result<String, UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display + 'static,
{
    let file = accept(name, body, limit, images_only).await?;
    let upload = Upload::new(&file.name, file.kind.media_type).with_subfolder(file.kind.folder());
    let stored = client.upload(&upload, file.bytes).await;
    match file.failure.0.take() {
        Some(error) => Err(error),
        None => Ok(stored?.reference()),
    }
}

/// As [`upload`] and [`upload_image`], into a file store. Returns the unique name, which ComfyUI does not know yet, and what was
/// stored.
pub(crate) async fn store_media<S, E>(
    files: &dyn FileStore,
    name: &str,
    body: S,
    limit: u64,
    images_only: bool,
) -> Result<(String, StoredFile), UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display + 'static,
{
    let file = accept(name, body, limit, images_only).await?;
    let stored = put(files, file.bytes, Put::at_most(u64::MAX)).await;
    if let Some(error) = file.failure.0.take() {
        return Err(error);
    }
    let reason =
        |error: std::io::Error| UploadError::Source { name: shown_name(name), reason: error.to_string() };
    let stored = stored.map_err(|error| match error {
        PutError::Source(error) => reason(error),
        PutError::File(FileError::TooLarge { limit }) => {
            UploadError::TooLarge { name: shown_name(name), limit }
        }
        PutError::File(error) => UploadError::Files(error),
    })?;
    let folder = file.kind.folder();
    let name = if folder.is_empty() { file.name } else { format!("{folder}/{}", file.name) };
    Ok((name, stored))
}

/// A file that was recognised, and is being read.
struct Accepted<S> {
    /// Its unique name.
    name: String,
    kind: FileKind,
    bytes: S,
    /// Why `bytes` ended with an error.
    failure: Failure,
}

/// Reads the beginning of a file, and recognises its kind.
async fn accept<S, E>(
    name: &str,
    body: S,
    limit: u64,
    images_only: bool,
) -> Result<Accepted<impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin + 'static>, UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display + 'static,
{
    let shown = shown_name(name);
    let mut body = body.fuse();
    let head = read_head(&shown, &mut body).await?;
    let kind = FileKind::recognise(name, &head).map_err(|found| match found {
        None => UploadError::Empty(shown.clone()),
        Some(found) => UploadError::NotMedia { name: shown.clone(), found },
    })?;
    if images_only && !kind.media_type.starts_with("image/") {
        return Err(UploadError::NotAnImage { name: shown, found: kind.media_type });
    }
    let unique = unique_name(name, kind, OffsetDateTime::now_utc(), rand::rng().random());
    let whole = stream::once(async move { Ok(head) }).chain(body);
    // The limit and failures of the source are reported beside the stream: through the client they would look like a broken
    // request.
    let failure = Failure::default();
    let bytes = limited(Box::pin(whole), shown, limit, failure.clone());
    Ok(Accepted { name: unique, kind, bytes, failure })
}

/// Returns a unique name that contains the caller's: `20260324_143052_a1b2c3_myimage.png`.
///
/// Only letters, digits, `.`, `_` and `-` are kept. If the extension belongs to another kind of file (an image called
/// `page.html`), the right one is added.
fn unique_name(name: &str, kind: FileKind, now: OffsetDateTime, random: u32) -> String {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let (stem, extension) = base.rsplit_once('.').unwrap_or((base, ""));
    let extension = extension.to_ascii_lowercase();
    let (stem, extension) =
        if kind.takes(&extension) { (stem, extension) } else { (base, kind.extension.to_owned()) };
    let mut stem: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    // ComfyUI stores a name with two dots in a row, and then refuses to return the file.
    while stem.contains("..") {
        stem = stem.replace("..", ".");
    }
    while stem.len() > LONGEST_STEM {
        stem.pop();
    }
    let stem = stem.trim_matches(['.', '_']);
    let stem = if stem.is_empty() { "file" } else { stem };
    let time = now
        .format(format_description!("[year][month][day]_[hour][minute][second]"))
        .unwrap_or_else(|_| now.unix_timestamp().to_string());
    format!("{time}_{:06x}_{stem}.{extension}", random & 0xff_ffff)
}

/// Returns the caller's name for error messages: one line, not too long.
fn shown_name(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

async fn read_head<S, E>(shown: &str, body: &mut S) -> Result<Bytes, UploadError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::fmt::Display,
{
    let mut head = Vec::new();
    while head.len() < HEAD {
        match body.next().await {
            None => break,
            Some(Ok(bytes)) => head.extend_from_slice(&bytes),
            Some(Err(error)) => {
                return Err(UploadError::Source { name: shown.to_owned(), reason: error.to_string() });
            }
        }
    }
    Ok(head.into())
}

/// Why a stream ended early, for the code that reads it.
#[derive(Clone, Default)]
struct Failure(Rc<RefCell<Option<UploadError>>>);

/// Ends a stream with an error when its source fails, or when it has more than `limit` bytes.
fn limited<S, E>(
    body: S,
    shown: String,
    limit: u64,
    failure: Failure,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin + 'static
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + 'static,
    E: std::fmt::Display + 'static,
{
    let mut passed = 0u64;
    body.map(move |item| {
        let error = match item {
            Ok(bytes) => {
                passed = passed.saturating_add(bytes.len() as u64);
                if passed <= limit {
                    return Ok(bytes);
                }
                UploadError::TooLarge { name: shown.clone(), limit }
            }
            Err(error) => UploadError::Source { name: shown.clone(), reason: error.to_string() },
        };
        let text = error.to_string();
        *failure.0.borrow_mut() = Some(error);
        Err(std::io::Error::other(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const PNG: FileKind = FileKind { media_type: "image/png", extension: "png" };

    fn name(of: &str) -> String {
        unique_name(of, PNG, datetime!(2026-03-24 14:30:52 UTC), 0xffa1_b2c3)
    }

    #[test]
    fn a_name_is_unique_and_keeps_what_is_harmless_of_the_callers() {
        assert_eq!(name("myimage.png"), "20260324_143052_a1b2c3_myimage.png");
        assert_eq!(name("My Photo (1).PNG"), "20260324_143052_a1b2c3_My_Photo__1.png");
        assert_eq!(name("a...b..png.png"), "20260324_143052_a1b2c3_a.b.png.png");
        assert_eq!(name("füchse.png"), "20260324_143052_a1b2c3_füchse.png");
    }

    #[test]
    fn no_name_leaves_the_folder_or_is_hidden() {
        for hostile in
            ["../../etc/passwd", "..\\..\\boot.ini", "/etc/passwd", "..", "", ".", ".hidden", "a\0b\r\n"]
        {
            let name = name(hostile);
            assert!(
                name.starts_with("20260324_143052_a1b2c3_") && name.ends_with(".png"),
                "{hostile:?}: {name}"
            );
            assert!(
                !name.contains(['/', '\\', '\0', '\r', '\n']) && !name.contains(".."),
                "{hostile:?}: {name}"
            );
        }
        assert!(name(&"long".repeat(1000)).len() < 200);
    }

    #[test]
    fn an_image_with_another_extension_gets_the_right_one() {
        assert_eq!(name("page.html"), "20260324_143052_a1b2c3_page.html.png");
        assert_eq!(name("drawing.svg"), "20260324_143052_a1b2c3_drawing.svg.png");
        assert_eq!(name("film.mp4"), "20260324_143052_a1b2c3_film.mp4.png");
        assert_eq!(name("photo.jpeg"), "20260324_143052_a1b2c3_photo.jpeg");
        assert_eq!(name("no_extension"), "20260324_143052_a1b2c3_no_extension.png");
    }

    #[actix_rt::test]
    async fn a_stream_over_the_limit_ends_with_an_error_and_says_so_beside_it() {
        let chunks = [Ok::<_, std::io::Error>(Bytes::from_static(b"12345")), Ok(Bytes::from_static(b"6"))];
        let failure = Failure::default();
        let passed: Vec<_> =
            limited(stream::iter(chunks), "a.png".into(), 5, failure.clone()).collect().await;
        assert!(passed[0].is_ok() && passed[1].is_err());
        assert!(matches!(*failure.0.borrow(), Some(UploadError::TooLarge { limit: 5, .. })));
    }
}
