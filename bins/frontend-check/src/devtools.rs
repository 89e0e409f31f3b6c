//! The browser's remote control: commands and events as JSON over a WebSocket (Chrome DevTools Protocol).

use actix_codec::Framed;
use anyhow::{Context, anyhow, bail};
use awc::BoxedSocket;
use awc::ws::{Codec, Frame, Message};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};

/// The largest message. Saved graphs with large images are much smaller.
const MAX_MESSAGE: usize = 256 << 20;

/// A connection that controls a page.
pub struct Devtools {
    socket: Framed<BoxedSocket, Codec>,
    last_id: u64,
    complaints: Vec<String>,
}

impl Devtools {
    /// Connects to the page with this `webSocketDebuggerUrl`.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let (_, socket) = awc::Client::new()
            .ws(url)
            .max_frame_size(MAX_MESSAGE)
            .connect()
            .await
            .map_err(|error| anyhow!("no connection to the browser at {url}: {error}"))?;
        let mut devtools = Self { socket, last_id: 0, complaints: Vec::new() };
        devtools.call("Runtime.enable", json!({})).await?;
        devtools.call("Page.enable", json!({})).await?;
        Ok(devtools)
    }

    /// Sends a command and returns its result.
    pub async fn call(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let command = json!({"id": id, "method": method, "params": params});
        self.socket.send(Message::Text(command.to_string().into())).await.context("the browser has ended")?;
        loop {
            let mut message = self.receive().await?;
            if message["id"] == id {
                if let Some(error) = message.get("error") {
                    bail!("the browser refuses {method}: {error}");
                }
                return Ok(message["result"].take());
            }
            self.note(&message);
        }
    }

    /// Evaluates JavaScript, awaits its promise, and returns the value.
    pub async fn evaluate(&mut self, expression: &str) -> anyhow::Result<Value> {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut result = self.call("Runtime.evaluate", params).await?;
        if let Some(details) = result.get("exceptionDetails") {
            bail!("{}", exception(details));
        }
        Ok(result["result"]["value"].take())
    }

    /// Returns the errors and warnings that the page has written to its console since the last call, and uncaught
    /// exceptions.
    pub fn take_complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    async fn receive(&mut self) -> anyhow::Result<Value> {
        loop {
            match self.socket.next().await.context("the browser closed the connection")?? {
                Frame::Text(text) => {
                    return serde_json::from_slice(&text).context("the browser sent invalid JSON");
                }
                Frame::Ping(bytes) => self.socket.send(Message::Pong(bytes)).await?,
                Frame::Close(_) => bail!("the browser closed the connection"),
                _ => {}
            }
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.consoleAPICalled") => {
                let text = console_text(params);
                match params["type"].as_str() {
                    Some(kind @ ("error" | "warning" | "assert")) => {
                        self.complaints.push(format!("console {kind}: {text}"));
                    }
                    _ => tracing::debug!(text, "console"),
                }
            }
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(format!("exception: {}", exception(&params["exceptionDetails"])));
            }
            _ => {}
        }
    }
}

fn console_text(params: &Value) -> String {
    let arguments = params["args"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let words: Vec<String> = arguments
        .iter()
        .map(|argument| match (&argument["value"], argument["description"].as_str()) {
            (Value::String(text), _) => text.clone(),
            (Value::Null, Some(description)) => description.to_owned(),
            (Value::Null, None) => argument["type"].as_str().unwrap_or("?").to_owned(),
            (value, _) => value.to_string(),
        })
        .collect();
    words.join(" ")
}

fn exception(details: &Value) -> String {
    let what = details["exception"]["description"].as_str().or(details["exception"]["value"].as_str());
    what.or(details["text"].as_str()).unwrap_or("an exception without a message").to_owned()
}
