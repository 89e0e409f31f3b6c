//! Object storage of cloud providers.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::SpawnedReqwestConnector;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use tokio::runtime::Handle;
use url::Url;

use crate::error::FileError;
use crate::file_store::DownloadLink;
use crate::object_files::{ObjectFiles, Shared};

/// How long a request is repeated: a caller waits for it.
const RETRY_FOR: Duration = Duration::from_secs(20);

/// Limits of the HTTP client. A download may take long, so only silence ends it.
const TIMEOUTS: [(ClientConfigKey, &str); 2] =
    [(ClientConfigKey::Timeout, "24h"), (ClientConfigKey::ReadTimeout, "30s")];

/// Opens the storage of a URL whose scheme is known. The settings override those of the environment.
pub(crate) fn open(url: &Url, settings: &[(&str, &str)]) -> Result<ObjectFiles, FileError> {
    // The client of `object_store` uses the provider of the process. If there is one already, it serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connector = SpawnedReqwestConnector::new(runtime()?);
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: 6, retry_timeout: RETRY_FOR };
    // The builders have the same methods and no trait in common.
    macro_rules! build {
        ($builder:ty, $key:ident) => {{
            let mut builder = <$builder>::from_env();
            for (key, value) in TIMEOUTS {
                builder = builder.with_config($key::Client(key), value);
            }
            for &(name, value) in settings {
                let key: $key = name.to_ascii_lowercase().parse()?;
                builder = builder.with_config(key, value);
            }
            let builder = builder.with_url(url.as_str()).with_retry(retry).with_http_connector(connector);
            Arc::new(builder.build()?)
        }};
    }
    let (store, signer): (Arc<dyn ObjectStore>, Option<Arc<dyn Signer>>) = match url.scheme() {
        "gs" => {
            let store = build!(GoogleCloudStorageBuilder, GoogleConfigKey);
            (Arc::clone(&store) as _, Some(store as _))
        }
        // Its signed URLs cannot set the headers of the answer.
        "az" => (build!(MicrosoftAzureBuilder, AzureConfigKey), None),
        _ => {
            let store = build!(AmazonS3Builder, AmazonS3ConfigKey);
            (Arc::clone(&store) as _, Some(store as _))
        }
    };
    let root = Path::from_url_path(url.path()).map_err(object_store::Error::from)?;
    Ok(ObjectFiles::new(Shared::in_cloud(store, root, signer)))
}

/// Signs a URL from which a file can be downloaded.
pub(crate) async fn sign(signer: &dyn Signer, path: &Path, link: DownloadLink) -> Result<String, FileError> {
    let headers = SignedUrlOptions::default().with_query([
        ("response-content-type", link.content_type),
        ("response-content-disposition", link.content_disposition),
    ]);
    Ok(signer.signed_url_opts(Method::GET, path, link.valid_for, &headers).await?.into())
}

/// Returns the runtime of requests, on a thread of its own. A connection belongs to the runtime that opened it, and callers
/// come from several, each of which may end or be busy.
fn runtime() -> Result<Handle, FileError> {
    static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);
    let mut running = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*running {
        return Ok(handle.clone());
    }
    // Built where it runs: a caller within a runtime of its own could not drop this one if the thread does not start.
    let (started, handle) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("files".to_owned()).spawn(move || {
        match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = started.send(Ok(runtime.handle().clone()));
                runtime.block_on(std::future::pending::<()>());
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    })?;
    let handle = handle.recv().map_err(std::io::Error::other)??;
    Ok(running.insert(handle).clone())
}
