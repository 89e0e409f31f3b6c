//! Assets: files that callers upload by their content and name in graphs by an id.

use bytes::Bytes;
use comfy_runner_client::{Client, ClientError};
use comfy_runner_files::{ContentHash, FileError, FileStore, Put, PutError, put};
use comfy_runner_protocol::{Media, OutputFile};
use comfy_runner_store::{AssetRecord, StoreError, Upload};
use futures::{Stream, stream};
use uuid::Uuid;

use crate::files::collect_one;
use crate::jobs::Jobs;
use crate::state::unix_millis;

/// The digits of a hash in the name of an upload: enough that two contents never have the same.
const NAME_DIGITS: usize = 32;
/// The longest extension in the name of an upload.
const LONGEST_EXTENSION: usize = 10;

/// An asset to create.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewAsset {
    /// Its media type.
    pub content_type: String,
    /// The name that the caller gives it.
    pub file_path: String,
    /// After how many seconds it is deleted; `None` for never.
    pub expires_in: Option<u64>,
}

/// Why there is no asset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssetError {
    /// The upload broke off.
    #[error("the file did not arrive whole: {0}")]
    Source(String),
    /// The file store does not take or return the bytes.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no file store.
    #[error("this server has no file store")]
    NoFileStore,
    /// ComfyUI has the bytes and cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The bytes are gone.
    #[error("the bytes of \"{0}\" are gone")]
    Gone(String),
    /// The store of records fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// See [`Jobs::add_asset`].
pub(crate) async fn add<S, E>(
    jobs: &Jobs,
    new: NewAsset,
    body: S,
    options: Put,
) -> Result<(AssetRecord, bool), AssetError>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: std::fmt::Display,
{
    let stored = put(store_of(jobs)?, body, options).await.map_err(|error| match error {
        PutError::Source(error) => AssetError::Source(error.to_string()),
        PutError::File(error) => error.into(),
    })?;
    let hash = stored.hash.to_string();
    let is_new = with_hash(jobs, &stored.hash).await?.is_none();
    Ok((record(jobs, new, hash, stored.size).await?, is_new))
}

/// See [`Jobs::asset_from_hash`].
pub(crate) async fn from_hash(
    jobs: &Jobs,
    hash: &ContentHash,
    file_path: Option<String>,
    expires_in: Option<u64>,
) -> Result<Option<(AssetRecord, bool)>, AssetError> {
    let Some(known) = with_hash(jobs, hash).await? else { return Ok(None) };
    let file_path = file_path.unwrap_or_else(|| known.file_path.clone());
    let same = named(jobs, vec![file_path.clone()]).await?.pop().filter(|same| same.hash == known.hash);
    // One that lasts as long as is asked for.
    if let Some(same) = same.filter(|same| same.expires_at.is_none()) {
        return Ok(Some((same, false)));
    }
    let new = NewAsset { content_type: known.content_type, file_path, expires_in };
    Ok(Some((record(jobs, new, known.hash, known.size).await?, true)))
}

async fn record(jobs: &Jobs, new: NewAsset, hash: String, size: u64) -> Result<AssetRecord, StoreError> {
    let now = unix_millis();
    let NewAsset { content_type, file_path, expires_in } = new;
    let id = Uuid::new_v4().to_string();
    let mut asset = AssetRecord::new(id, hash, size, content_type, file_path, now);
    asset.expires_at = expires_in
        .map(|seconds| now.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)));
    jobs.store().add_asset(asset.clone()).await?;
    Ok(asset)
}

/// Returns an asset with these bytes, if the file store really has them.
pub(crate) async fn with_hash(jobs: &Jobs, hash: &ContentHash) -> Result<Option<AssetRecord>, AssetError> {
    let known = jobs.store().asset_with_hash(&hash.to_string()).await?;
    let Some(known) = known.filter(is_kept) else { return Ok(None) };
    let has_bytes = store_of(jobs)?.head(hash).await?.is_some();
    Ok(has_bytes.then_some(known))
}

/// See [`Jobs::asset`].
pub(crate) async fn get(jobs: &Jobs, id: &str) -> Result<Option<AssetRecord>, StoreError> {
    Ok(jobs.store().asset(id).await?.filter(is_kept))
}

/// See [`Jobs::assets_named`].
pub(crate) async fn named(jobs: &Jobs, file_paths: Vec<String>) -> Result<Vec<AssetRecord>, StoreError> {
    if file_paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = jobs.store().assets_named(file_paths).await?;
    found.retain(is_kept);
    Ok(found)
}

/// See [`Jobs::delete_asset`].
pub(crate) async fn delete(jobs: &Jobs, id: &str) -> Result<bool, StoreError> {
    let Some(asset) = jobs.store().asset(id).await? else { return Ok(false) };
    let deleted = jobs.store().delete_asset(id).await?;
    collect_one(jobs, asset.hash.clone()).await?;
    Ok(deleted && is_kept(&asset))
}

/// See [`Jobs::asset_as_input`].
pub(crate) async fn as_input(jobs: &Jobs, asset: &AssetRecord) -> Result<String, AssetError> {
    let hash: ContentHash = asset.hash.parse().map_err(|_| AssetError::Gone(asset.id.clone()))?;
    if store_of(jobs)?.head(&hash).await?.is_none() {
        return Err(AssetError::Gone(asset.id.clone()));
    }
    Ok(record_upload(jobs, &asset.file_path, &hash, asset.size).await?)
}

/// See [`Jobs::output_as_input`].
pub(crate) async fn output_as_input(
    jobs: &Jobs,
    client: &Client,
    file: &OutputFile,
) -> Result<String, AssetError> {
    let files = store_of(jobs)?;
    let reply =
        client.open_file(file.into()).await?.ok_or_else(|| AssetError::Gone(file.filename.clone()))?;
    let stored = put(files, reply.body, Put::at_most(u64::MAX)).await.map_err(|error| match error {
        PutError::Source(error) => AssetError::Client(error),
        PutError::File(error) => error.into(),
    })?;
    Ok(record_upload(jobs, &file.filename, &stored.hash, stored.size).await?)
}

/// See [`Jobs::text_as_input`].
pub(crate) async fn text_as_input(jobs: &Jobs, text: String) -> Result<String, AssetError> {
    let body = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from(text))]);
    let stored = put(store_of(jobs)?, body, Put::at_most(u64::MAX)).await.map_err(|error| match error {
        PutError::Source(never) => match never {},
        PutError::File(error) => AssetError::File(error),
    })?;
    Ok(record_upload(jobs, "text.txt", &stored.hash, stored.size).await?)
}

/// Records bytes of the file store as an upload, so that they are sent to the ComfyUI that runs a job. Its name follows from
/// the bytes: the same bytes are sent once, and ComfyUI can use its cache.
async fn record_upload(
    jobs: &Jobs,
    file_path: &str,
    hash: &ContentHash,
    size: u64,
) -> Result<String, StoreError> {
    let hash = hash.to_string();
    let name = upload_name(file_path, &hash);
    jobs.store().add_upload(Upload::new(&name, size, unix_millis()).with_hash(Some(hash))).await?;
    Ok(name)
}

fn upload_name(file_path: &str, hash: &str) -> String {
    let extension = file_path.rsplit_once('.').map_or("", |(_, extension)| extension);
    let plain =
        extension.len() <= LONGEST_EXTENSION && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let extension = if plain { extension.to_ascii_lowercase() } else { String::new() };
    let stem = &hash[..NAME_DIGITS.min(hash.len())];
    let name = if extension.is_empty() { stem.to_owned() } else { format!("{stem}.{extension}") };
    // ComfyUI looks for models in a folder of their own.
    if Media::from_filename(&name) == Media::ThreeD { format!("3d/{name}") } else { name }
}

fn is_kept(asset: &AssetRecord) -> bool {
    asset.expires_at.is_none_or(|end| end > unix_millis())
}

fn store_of(jobs: &Jobs) -> Result<&dyn FileStore, AssetError> {
    jobs.file_store().map(|store| &**store).ok_or(AssetError::NoFileStore)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_upload_follows_from_its_bytes_and_keeps_a_plain_extension() {
        let hash = "0123456789abcdef".repeat(4);
        let stem = "0123456789abcdef0123456789abcdef";
        for (file_path, name) in [
            ("photo.PNG", format!("{stem}.png")),
            ("input/a.b/c.jpeg", format!("{stem}.jpeg")),
            ("mesh.glb", format!("3d/{stem}.glb")),
            ("no extension", stem.to_owned()),
            ("a.../../x", stem.to_owned()),
            ("a.längst", stem.to_owned()),
        ] {
            assert_eq!(upload_name(file_path, &hash), name, "{file_path}");
        }
    }
}
