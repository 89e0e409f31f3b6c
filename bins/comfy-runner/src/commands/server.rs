//! The client of a running server.

use anyhow::{Context as _, anyhow, bail};
use awc::http::header::LOCATION;
use awc::http::{Method, StatusCode};
use comfy_runner_api::ErrorBody;
use comfy_runner_client::{Client, Config, Endpoint};
use serde::de::DeserializeOwned;

use crate::cli::ServerAddress;

/// The maximum size of a response in bytes: a page of jobs, or a record with its graph.
const MAX_ANSWER: usize = 64 << 20;

/// A running comfy-runner.
pub struct Server {
    config: Config,
    http: awc::Client,
}

/// A response whose body has not been read.
pub type Answer = awc::ClientResponse;

impl Server {
    pub fn new(options: &ServerAddress) -> anyhow::Result<Self> {
        let endpoint: Endpoint = options.server.parse().context("--server (COMFY_RUNNER_SERVER)")?;
        let mut config = Config::new(endpoint);
        // The environment variable may list the server's keys; any of them will do.
        let key = options
            .api_key
            .as_deref()
            .and_then(|keys| keys.split(',').map(str::trim).find(|k| !k.is_empty()));
        if let Some(key) = key {
            config = config.with_header("X-API-Key", key).context("--api-key (COMFY_RUNNER_API_KEY)")?;
        }
        let http = Client::new(config.clone())?.http();
        Ok(Self { config, http })
    }

    /// Sends a request and reads the response, a type of the API.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str) -> anyhow::Result<T> {
        let mut answer = self.open(method, path).await?;
        let body = answer.body().limit(MAX_ANSWER).await.with_context(|| self.broken())?;
        serde_json::from_slice(&body).with_context(|| self.not_ours())
    }

    /// Sends a request and returns the response unread. An error status is an error with the server's `detail`.
    pub async fn open(&self, method: Method, path: &str) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, self.config.endpoint.url(path));
        for (name, value) in self.config.headers() {
            request = request.insert_header((name.clone(), value.clone()));
        }
        let mut answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        if answer.status() == StatusCode::TEMPORARY_REDIRECT {
            return self.open_elsewhere(&answer).await;
        }
        if answer.status().is_success() {
            return Ok(answer);
        }
        let body = answer.body().limit(MAX_ANSWER).await.with_context(|| self.broken())?;
        let status = answer.status();
        let detail = match serde_json::from_slice::<ErrorBody>(&body) {
            Ok(error) => error.detail,
            Err(_) if status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED => {
                format!("{} ({})", self.not_ours(), status.as_u16())
            }
            Err(_) => format!("{} answered {status}", self.address()),
        };
        match status {
            StatusCode::UNAUTHORIZED => bail!("{detail}; give it with --api-key or COMFY_RUNNER_API_KEY"),
            _ => bail!("{detail}"),
        }
    }

    /// Opens the file to which the server redirects. The server's API key is not for its storage.
    async fn open_elsewhere(&self, redirect: &Answer) -> anyhow::Result<Answer> {
        let url = redirect.headers().get(LOCATION).and_then(|url| url.to_str().ok());
        let url = url.with_context(|| self.not_ours())?;
        // The signature in the URL is a secret.
        let host = url.split('?').next().unwrap_or(url);
        let answer = self.http.get(url).send().await;
        let answer = answer.map_err(|error| anyhow!("the file cannot be downloaded from {host}: {error}"))?;
        anyhow::ensure!(answer.status().is_success(), "{host} answered {}", answer.status());
        Ok(answer)
    }

    /// Opens a WebSocket.
    pub async fn socket(
        &self,
        path: &str,
    ) -> anyhow::Result<actix_codec::Framed<awc::BoxedSocket, awc::ws::Codec>> {
        let mut request = self.http.ws(self.config.endpoint.url(path)).max_frame_size(MAX_ANSWER);
        for (name, value) in self.config.headers() {
            request = request.set_header(name.clone(), value.clone());
        }
        let (_, socket) = request.connect().await.map_err(|error| match error {
            awc::error::WsClientError::InvalidResponseStatus(StatusCode::UNAUTHORIZED) => {
                anyhow!("the server wants an API key, or another one; give it with --api-key or COMFY_RUNNER_API_KEY")
            }
            error => self.unreachable(&error),
        })?;
        Ok(socket)
    }

    fn address(&self) -> &str {
        self.config.endpoint.address()
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> anyhow::Error {
        anyhow!(
            "no server answers at {} ({error}); start `comfy-runner serve`, or name another with --server",
            self.address()
        )
    }

    fn not_ours(&self) -> String {
        format!("{} does not answer like comfy-runner; check --server", self.address())
    }

    fn broken(&self) -> String {
        format!("the answer of {} broke off", self.address())
    }
}
