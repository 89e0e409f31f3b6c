//! Whether the URL is that of a ComfyUI: a page of its editor, another program and a comfy-runner are recognised.

use awc::http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{Client, SystemStats};
use crate::error::ClientError;
use crate::exchange::{Reply, is_html};

/// The route that every ComfyUI has, and whose answer no other program gives.
const SYSTEM_STATS: &str = "/system_stats";
/// The route by which a comfy-runner is recognised, at the root of its host.
const HEALTH: &str = "/health";

/// The largest answer to [`HEALTH`], in bytes.
const MAX_HEALTH: usize = 4096;

/// The answer of a comfy-runner to [`HEALTH`].
#[derive(Deserialize)]
struct Health {
    program: String,
}

impl Client {
    /// Checks that the URL is the root of a ComfyUI, and returns information about it and its machine.
    ///
    /// # Errors
    /// [`ClientError::NotComfyUi`] or [`ClientError::ComfyRunner`] if something else answers there. Any other error leaves
    /// open what is there: it does not answer, or not with a status that tells.
    pub async fn identify(&self) -> Result<SystemStats, ClientError> {
        let (exchange, reply) = self.ask(Method::GET, SYSTEM_STATS).await?;
        let answer = match reply.status.as_u16() {
            200..=299 => match read_stats(&reply) {
                Ok(stats) => return Ok(stats),
                Err(answer) => Some(answer),
            },
            404 | 405 => Some(reply.status.as_u16().to_string()),
            // A comfy-runner may ask for its key.
            401 | 403 => None,
            _ => return Err(exchange.refused(reply.status, &reply.headers)),
        };
        let url = self.config().endpoint.to_string();
        if self.is_comfy_runner().await {
            return Err(ClientError::ComfyRunner { url });
        }
        Err(match answer {
            Some(answer) => ClientError::NotComfyUi { url, path: SYSTEM_STATS, answer },
            None => exchange.refused(reply.status, &reply.headers),
        })
    }

    /// Returns the error that says more, if this one may be due to a wrong URL: a route that every ComfyUI has is missing, or
    /// answered with something else.
    pub(crate) async fn explain(&self, error: ClientError) -> ClientError {
        let may_be_elsewhere = match &error {
            ClientError::Status { status, .. } => matches!(status, 200..=299 | 404 | 405),
            ClientError::Unreadable { .. } => true,
            _ => false,
        };
        if !may_be_elsewhere {
            return error;
        }
        match self.identify().await {
            Err(found @ (ClientError::NotComfyUi { .. } | ClientError::ComfyRunner { .. })) => found,
            _ => error,
        }
    }

    async fn is_comfy_runner(&self) -> bool {
        let answer = async {
            let mut response = self.http().get(self.config().endpoint.root_url(HEALTH)).send().await.ok()?;
            response.json::<Health>().limit(MAX_HEALTH).await.ok()
        };
        let health = tokio::time::timeout(self.reply_timeout(), answer).await.ok().flatten();
        health.is_some_and(|health| health.program == "comfy-runner")
    }
}

/// Reads what ComfyUI answers to [`SYSTEM_STATS`], or says what the answer is instead.
fn read_stats(reply: &Reply) -> Result<SystemStats, String> {
    if is_html(&reply.headers) {
        return Err("an HTML page".to_owned());
    }
    let stats = serde_json::from_slice::<Value>(&reply.body).ok().filter(|stats| stats["system"].is_object());
    stats
        .and_then(|stats| serde_json::from_value(stats).ok())
        .ok_or_else(|| format!("{}, but not ComfyUI's answer", reply.status.as_u16()))
}
