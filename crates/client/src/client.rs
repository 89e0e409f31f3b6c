//! The client, and its calls whose request and reply are small.

use std::rc::Rc;
use std::time::Duration;

use awc::http::{Method, StatusCode};
use awc::{ClientBuilder, ClientRequest, Connector};
use comfy_runner_protocol::queue::{DeleteFromQueue, Interrupt, QueueError, QueueReader, QueueStatus};
use comfy_runner_protocol::{History, HistoryEntry, ObjectInfo, PromptAccepted, PromptRequest, Queue, json};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{Config, ConfigError};
use crate::endpoint::encode;
use crate::error::{ClientError, PromptError};
use crate::exchange::{Exchange, Reply, content_length, expect_success, is_html, with_headers};
use crate::tls;
use crate::transport::Transport;

/// The largest reply that is read as a whole, in bytes. Node schemas of an installation with hundreds of custom nodes and
/// models reach several MB.
const MAX_REPLY: usize = 64 * 1024 * 1024;
/// The largest queue that is read, in bytes. It contains the graphs of all prompts, which are not kept: this limit only ends
/// a flood.
const MAX_QUEUE: u64 = 1024 * 1024 * 1024;
/// The largest number of values in the history of a prompt: each costs about 100 bytes of memory, and 2 bytes to send.
const MAX_HISTORY_VALUES: usize = 1_000_000;

/// The `User-Agent` header.
pub(crate) const USER_AGENT: &str = concat!("comfy-runner/", env!("CARGO_PKG_VERSION"));

/// A client of one ComfyUI. It shares its connections with its clones and cannot leave its thread. It must be used inside an
/// actix system (`actix_web::main` starts one); [`ClientHandle`](crate::ClientHandle) works on other runtimes.
#[derive(Clone)]
pub struct Client {
    shared: Rc<Shared>,
    reply_timeout: Duration,
}

struct Shared {
    config: Config,
    calls: awc::Client,
    /// For files and WebSockets, which take long and must not use up the connections of small calls.
    streams: awc::Client,
    /// For downloads, whose end must be certain.
    downloads: Transport,
}

/// The reply of `/system_stats`: a ComfyUI and its machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SystemStats {
    /// The machine and the versions: `comfyui_version`, `python_version`, `ram_total`, `argv`, ...
    #[serde(default)]
    pub system: Map<String, Value>,
    /// The devices that compute: `name`, `type`, `vram_total`, `vram_free`, ...
    #[serde(default)]
    pub devices: Vec<Map<String, Value>>,
}

impl SystemStats {
    /// Returns ComfyUI's version. Very old versions do not report it.
    pub fn comfyui_version(&self) -> Option<&str> {
        self.system.get("comfyui_version").and_then(Value::as_str)
    }
}

impl Client {
    /// Creates a client. It sends nothing yet.
    ///
    /// # Errors
    /// A certificate of the configuration cannot be used.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let tls = tls::client_config(&config)?;
        let connector = |connections: usize| {
            Connector::new()
                .rustls_0_23(tls.clone())
                .timeout(config.timeouts.connect)
                .handshake_timeout(config.timeouts.connect)
                .limit(connections)
        };
        let build = |connections: usize| {
            // Redirects are not followed: they would send our headers to another host.
            ClientBuilder::new()
                .connector(connector(connections))
                .disable_redirects()
                .disable_timeout()
                .add_default_header(("user-agent", USER_AGENT))
                .finish()
        };
        let (calls, streams, downloads) = (build(64), build(0), Transport::new(connector(0).finish()));
        let reply_timeout = config.timeouts.reply;
        Ok(Self { shared: Rc::new(Shared { config, calls, streams, downloads }), reply_timeout })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Returns the HTTP client below, for requests other than those of ComfyUI's API. It trusts the same certificates, but does
    /// not send the configured headers and has no time limit.
    pub fn http(&self) -> awc::Client {
        self.shared.streams.clone()
    }

    /// Returns a client with the same connections and another time limit for replies, for example for a health check.
    pub fn with_reply_timeout(&self, timeout: Duration) -> Self {
        Self { shared: Rc::clone(&self.shared), reply_timeout: timeout }
    }

    /// Submits a prompt. A success with `node_errors` means that ComfyUI dropped some outputs.
    pub async fn prompt(&self, request: &PromptRequest<'_>) -> Result<PromptAccepted, PromptError> {
        let (exchange, reply) = self.send(Method::POST, "/prompt", Some(request)).await?;
        if reply.status == StatusCode::BAD_REQUEST {
            // A 400 may come from a proxy instead of ComfyUI.
            return Err(match exchange.json(&reply) {
                Ok(refused) => PromptError::Refused(refused),
                Err(_) => exchange.refused(reply.status, &reply.headers).into(),
            });
        }
        match expect_success(&exchange, reply).and_then(|reply| exchange.json(&reply)) {
            Ok(accepted) => Ok(accepted),
            Err(error) => Err(self.explain(error).await.into()),
        }
    }

    /// Returns the running and the waiting prompts. The graphs in ComfyUI's reply are skipped while it is read, so that they
    /// take no memory.
    pub async fn queue(&self) -> Result<Queue, ClientError> {
        match twice_if_broken_off(|| self.read_queue()).await {
            Ok(queue) => Ok(queue),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Checks that ComfyUI answers, with the smallest request that every version has.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let _: QueueStatus = self.get_json("/prompt").await?;
        Ok(())
    }

    /// Returns how a prompt ended, or `None` if it has not ended or ComfyUI does not know it (any more).
    pub async fn history(&self, prompt_id: &str) -> Result<Option<HistoryEntry>, ClientError> {
        if prompt_id.chars().all(|c| c == '.') {
            // There is no such id, and in a path it would mean the folder above.
            return Ok(None);
        }
        let (exchange, reply) = self.get(&format!("/history/{}", encode(prompt_id))).await?;
        if json::count_values(&reply.body) > MAX_HISTORY_VALUES {
            return Err(exchange.unreadable(format!("it holds more than {MAX_HISTORY_VALUES} values")));
        }
        let mut history: History = exchange.json(&reply)?;
        Ok(history.shift_remove(prompt_id))
    }

    /// Interrupts a prompt if it is the running one. ComfyUI before 0.3.56 interrupts any running prompt: check its
    /// [`queue`](Self::queue) first.
    pub async fn interrupt(&self, prompt_id: &str) -> Result<(), ClientError> {
        self.post("/interrupt", &Interrupt { prompt_id }).await
    }

    /// Removes a waiting prompt from the queue. It is not an error if the prompt does not wait there.
    pub async fn delete_pending(&self, prompt_id: &str) -> Result<(), ClientError> {
        self.post("/queue", &DeleteFromQueue { delete: &[prompt_id] }).await
    }

    /// Returns the schemas of every node type. They are several MB and cost ComfyUI seconds, so keep them.
    pub async fn object_info(&self) -> Result<ObjectInfo, ClientError> {
        self.get_json("/object_info").await
    }

    /// Fetches the schemas of every node type. Returns the hash of the answer, and what parses it.
    pub(crate) async fn object_info_bytes(
        &self,
    ) -> Result<(blake3::Hash, impl Future<Output = Result<ObjectInfo, ClientError>>), ClientError> {
        let (exchange, reply) = self.get("/object_info").await?;
        let hash = blake3::hash(&reply.body);
        let parse = async move {
            match exchange.json(&reply) {
                Ok(schemas) => Ok(schemas),
                Err(error) => Err(self.explain(error).await),
            }
        };
        Ok((hash, parse))
    }

    /// Returns the kinds of models: the names of the folders that ComfyUI and its custom nodes registered.
    pub async fn model_kinds(&self) -> Result<Vec<String>, ClientError> {
        self.get_json("/models").await
    }

    /// Returns the file names of the models of one kind, or `None` if ComfyUI has no such kind.
    pub async fn models(&self, kind: &str) -> Result<Option<Vec<String>>, ClientError> {
        if kind.chars().all(|c| c == '.') {
            // In a path it would mean the folder above.
            return Ok(None);
        }
        let (exchange, reply) = self.ask(Method::GET, &format!("/models/{}", encode(kind))).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(exchange.json(&expect_success(&exchange, reply)?)?))
    }

    /// Returns information about ComfyUI and its machine.
    pub async fn system_stats(&self) -> Result<SystemStats, ClientError> {
        self.get_json("/system_stats").await
    }

    /// Fetches any other path and parses the reply as JSON. The path begins with a slash and must be percent-encoded.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (exchange, reply) = self.get(path).await?;
        match exchange.json(&reply) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Creates a request whose reply or own body is streamed.
    pub(crate) fn streaming(&self, method: Method, path: &str) -> (Exchange, ClientRequest) {
        let exchange = Exchange::new(self.config(), &method, path);
        let request = self.shared.streams.request(method, self.config().endpoint.url(path));
        (exchange, with_headers(request, self.config()))
    }

    /// Returns the transport of downloads.
    pub(crate) fn downloads(&self) -> &Transport {
        &self.shared.downloads
    }

    /// Returns the HTTP client that opens WebSockets.
    pub(crate) fn for_sockets(&self) -> &awc::Client {
        &self.shared.streams
    }

    pub(crate) fn reply_timeout(&self) -> Duration {
        self.reply_timeout
    }

    async fn get(&self, path: &str) -> Result<(Exchange, Reply), ClientError> {
        let (exchange, reply) = self.ask(Method::GET, path).await?;
        match expect_success(&exchange, reply) {
            Ok(reply) => Ok((exchange, reply)),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Sends a request that may safely be repeated.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Result<(Exchange, Reply), ClientError> {
        twice_if_broken_off(|| self.send(method.clone(), path, None::<&()>)).await
    }

    async fn read_queue(&self) -> Result<Queue, ClientError> {
        let (exchange, request) = self.call(Method::GET, "/queue");
        let answer = async {
            let mut response = request.send().await.map_err(|error| exchange.failed_to_send(error))?;
            if !response.status().is_success() {
                return Err(exchange.refused(response.status(), response.headers()));
            }
            let announced = content_length(response.headers()).unwrap_or(0);
            let is_html = is_html(response.headers());
            let unreadable = |error: QueueError| match is_html {
                true => exchange.is_a_page(),
                false => exchange.unreadable(error.to_string()),
            };
            let mut queue = QueueReader::default();
            let mut length = 0;
            while let Some(piece) = response.next().await {
                let piece = piece.map_err(|error| exchange.broken_body(error))?;
                length += piece.len() as u64;
                if length > MAX_QUEUE {
                    return Err(exchange.too_large(MAX_QUEUE));
                }
                queue.feed(&piece).map_err(&unreadable)?;
            }
            match queue.finish() {
                Ok(_) if length < announced => Err(exchange.broken_off("its answer ended too soon")),
                Err(QueueError::Cut) => Err(exchange.broken_off("its answer ended too soon")),
                queue => queue.map_err(unreadable),
            }
        };
        tokio::time::timeout(self.reply_timeout, answer)
            .await
            .unwrap_or_else(|_| Err(exchange.timed_out(self.reply_timeout)))
    }

    async fn post(&self, path: &str, body: &impl Serialize) -> Result<(), ClientError> {
        let (exchange, reply) = self.send(Method::POST, path, Some(body)).await?;
        match expect_success(&exchange, reply) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Creates a request whose reply is read as a whole.
    fn call(&self, method: Method, path: &str) -> (Exchange, ClientRequest) {
        let exchange = Exchange::new(self.config(), &method, path);
        let request = self.shared.calls.request(method, self.config().endpoint.url(path));
        (exchange, with_headers(request, self.config()))
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(Exchange, Reply), ClientError> {
        let (exchange, request) = self.call(method, path);
        let answer = async {
            let sent = match body {
                Some(body) => request.send_json(body).await,
                None => request.send().await,
            };
            let response = sent.map_err(|error| exchange.failed_to_send(error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = exchange.read(&headers, response, MAX_REPLY).await?;
            Ok(Reply { status, headers, body })
        };
        let reply = tokio::time::timeout(self.reply_timeout, answer).await;
        let reply = reply.unwrap_or_else(|_| Err(exchange.timed_out(self.reply_timeout)))?;
        Ok((exchange, reply))
    }
}

/// Repeats a request whose connection broke: a connection that was kept alive may have been closed at that moment.
async fn twice_if_broken_off<T>(ask: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    match ask().await {
        Err(ClientError::BrokenOff { .. }) => ask().await,
        result => result,
    }
}
