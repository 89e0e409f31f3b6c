//! The client and its small calls: what is sent and answered as a whole.

use std::rc::Rc;
use std::time::Duration;

use awc::http::{Method, StatusCode};
use awc::{ClientBuilder, ClientRequest, Connector};
use bytes::Bytes;
use comfy_runner_protocol::queue::{DeleteFromQueue, Interrupt, QueueError, QueueReader, QueueStatus};
use comfy_runner_protocol::{History, HistoryEntry, ObjectInfo, PromptAccepted, PromptRequest, Queue, json};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::{Config, ConfigError};
use crate::endpoint::encode;
use crate::error::{ClientError, SubmitError};
use crate::exchange::{Exchange, Reply, content_length, expect_success, is_html, with_headers};
use crate::tls;
use crate::transport::Transport;

/// The most that a reply which is read as a whole may hold. Node schemas of an installation with hundreds of custom
/// nodes and models reach several MB.
const MAX_REPLY: usize = 64 * 1024 * 1024;
/// The most that is read of a queue. It holds the graphs of all prompts, of which nothing is kept: this only ends a flood.
const MAX_QUEUE: u64 = 1024 * 1024 * 1024;
/// The most values that the history of a prompt may hold: each costs about 100 bytes of memory, and 2 bytes to send.
const MAX_HISTORY_VALUES: usize = 1_000_000;

/// What the client calls itself.
pub(crate) const USER_AGENT: &str = concat!("comfy-runner/", env!("CARGO_PKG_VERSION"));

/// A ComfyUI, as seen from one thread: it shares its connections with its clones, and cannot leave its thread. It
/// must be used inside an actix system (`actix_web::main` has one); for other runtimes there is
/// [`Handle`](crate::Handle).
#[derive(Clone)]
pub struct Client {
    shared: Rc<Shared>,
    reply_timeout: Duration,
}

struct Shared {
    config: Config,
    calls: awc::Client,
    /// Files and sockets stay for long; they must not take the connections that small calls need.
    streams: awc::Client,
    /// Downloads, whose end must be certain.
    downloads: Transport,
}

/// What `/system_stats` says of a ComfyUI and its machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemStats {
    /// The machine and the versions: `comfyui_version`, `python_version`, `ram_total`, `argv`, ...
    #[serde(default)]
    pub system: Map<String, Value>,
    /// The devices that compute: `name`, `type`, `vram_total`, `vram_free`, ...
    #[serde(default)]
    pub devices: Vec<Map<String, Value>>,
}

impl SystemStats {
    /// ComfyUI's version; very old ones do not tell.
    pub fn comfyui_version(&self) -> Option<&str> {
        self.system.get("comfyui_version").and_then(Value::as_str)
    }
}

impl Client {
    /// A client for the ComfyUI of this configuration. Nothing is sent yet.
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
            // Redirects are not followed: they would carry our headers to another host.
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

    /// How this client was configured.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The HTTP client beneath, which trusts what the configuration trusts, for what is not ComfyUI's API: it sends no
    /// headers of the configuration by itself, and has no time limit.
    pub fn http(&self) -> awc::Client {
        self.shared.streams.clone()
    }

    /// The same client, with its connections, but another patience for replies: a health check wants its answer soon.
    pub fn with_reply_timeout(&self, timeout: Duration) -> Self {
        Self { shared: Rc::clone(&self.shared), reply_timeout: timeout }
    }

    /// Submits a prompt. A success may carry `node_errors`: some outputs were dropped.
    pub async fn prompt(&self, request: &PromptRequest<'_>) -> Result<PromptAccepted, SubmitError> {
        let (exchange, reply) = self.send(Method::POST, "/prompt", Some(request)).await?;
        if reply.status == StatusCode::BAD_REQUEST {
            // A proxy's 400 is not ComfyUI's.
            return Err(match exchange.json(&reply) {
                Ok(refused) => SubmitError::Refused(refused),
                Err(_) => exchange.refused(reply.status, &reply.headers).into(),
            });
        }
        Ok(exchange.json(&expect_success(&exchange, reply)?)?)
    }

    /// What runs and what waits. The graphs that ComfyUI sends along are passed over as they come: the memory that this
    /// takes does not depend on them.
    pub async fn queue(&self) -> Result<Queue, ClientError> {
        twice_if_broken_off(|| self.read_queue()).await
    }

    /// Whether ComfyUI answers, by the smallest question that every version knows.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let _: QueueStatus = self.get_json("/prompt").await?;
        Ok(())
    }

    /// How a prompt ended; `None` while it has not, and when ComfyUI does not know it (any more).
    pub async fn history(&self, prompt_id: &str) -> Result<Option<HistoryEntry>, ClientError> {
        if prompt_id.chars().all(|c| c == '.') {
            // No such id exists, and dots would be taken for a way up the path.
            return Ok(None);
        }
        let (exchange, reply) = self.get(&format!("/history/{}", encode(prompt_id))).await?;
        if json::count_values(&reply.body) > MAX_HISTORY_VALUES {
            return Err(exchange.unreadable(format!("it holds more than {MAX_HISTORY_VALUES} values")));
        }
        let mut history: History = exchange.json(&reply)?;
        Ok(history.shift_remove(prompt_id))
    }

    /// Interrupts a prompt if it is the one that runs. ComfyUI before 0.3.56 interrupts whatever runs: ask its
    /// [`queue`](Self::queue) first.
    pub async fn interrupt(&self, prompt_id: &str) -> Result<(), ClientError> {
        self.post("/interrupt", &Interrupt { prompt_id }).await
    }

    /// Takes a waiting prompt out of the queue. It is no error if it does not wait there.
    pub async fn delete_pending(&self, prompt_id: &str) -> Result<(), ClientError> {
        self.post("/queue", &DeleteFromQueue { delete: &[prompt_id] }).await
    }

    /// The schemas of every node type. Several MB, and seconds of work for ComfyUI: keep them.
    pub async fn object_info(&self) -> Result<ObjectInfo, ClientError> {
        self.get_json("/object_info").await
    }

    /// What ComfyUI says of itself and its machine.
    pub async fn system_stats(&self) -> Result<SystemStats, ClientError> {
        self.get_json("/system_stats").await
    }

    /// Any other path, read as JSON. The path begins with a slash and is encoded already.
    pub async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (exchange, reply) = self.get(path).await?;
        exchange.json(&reply)
    }

    /// Any other path, as the bytes that come. The path begins with a slash and is encoded already.
    pub async fn get_raw(&self, path: &str) -> Result<Bytes, ClientError> {
        Ok(self.get(path).await?.1.body)
    }

    /// A request whose reply, or whose own body, is streamed.
    pub(crate) fn streaming(&self, method: Method, path: &str) -> (Exchange, ClientRequest) {
        let exchange = Exchange::new(self.config(), &method, path);
        let request = self.shared.streams.request(method, self.config().endpoint.url(path));
        (exchange, with_headers(request, self.config()))
    }

    /// What files are downloaded with.
    pub(crate) fn downloads(&self) -> &Transport {
        &self.shared.downloads
    }

    /// The client that sockets are opened with.
    pub(crate) fn for_sockets(&self) -> &awc::Client {
        &self.shared.streams
    }

    pub(crate) fn reply_timeout(&self) -> Duration {
        self.reply_timeout
    }

    async fn get(&self, path: &str) -> Result<(Exchange, Reply), ClientError> {
        let (exchange, reply) = self.ask(Method::GET, path).await?;
        let reply = expect_success(&exchange, reply)?;
        Ok((exchange, reply))
    }

    /// Sends a question, which does no harm when it is asked again.
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
        expect_success(&exchange, reply).map(drop)
    }

    /// A request whose reply is awaited as a whole.
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

/// Asks again when the connection broke: one that was kept may have been closed at that very instant.
async fn twice_if_broken_off<T>(ask: impl AsyncFn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    match ask().await {
        Err(ClientError::BrokenOff { .. }) => ask().await,
        result => result,
    }
}
