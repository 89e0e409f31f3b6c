//! A client for tests: plain HTTP, and a WebSocket that hands out what it hears.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod normal;
pub mod scenario;

use std::rc::Rc;
use std::time::Duration;

use actix_rt::time::timeout;
use awc::ws::{Codec, Frame, Message};
use awc::{BoxedSocket, Client};
use comfy_runner_simulator::Simulator;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn simulator() -> Simulator {
    Simulator::builder().step_delay(Duration::ZERO).start().unwrap()
}

/// An answer to a request.
pub struct Answer {
    pub status: u16,
    pub headers: awc::http::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A ComfyUI, simulated or real.
#[derive(Clone)]
pub struct Comfy {
    url: String,
    http: Client,
    /// What it is, if it is simulated and may be held.
    simulator: Option<Rc<Simulator>>,
}

impl Comfy {
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), http: Client::builder().timeout(PATIENCE).finish(), simulator: None }
    }

    /// A simulated one, which the runs of scenarios hold while they send requests.
    pub fn of(simulator: Simulator) -> Self {
        let url = simulator.url();
        Self { simulator: Some(Rc::new(simulator)), ..Self::at(url) }
    }

    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let method = awc::http::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.url)).no_decompress();
        for header in headers {
            request = request.insert_header(*header);
        }
        let mut response = request.send_body(body).await.unwrap();
        let body = response.body().limit(256 << 20).await.unwrap().to_vec();
        Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Vec::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().into_bytes()).await
    }

    pub async fn upload(&self, path: &str, filename: &str, bytes: &[u8], values: &[(&str, &str)]) -> Answer {
        let mut body = Vec::new();
        for (name, value) in values {
            body.extend(
                format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
            );
        }
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{filename}\"\r\nContent-Type: \
             application/octet-stream\r\n\r\n"
        );
        body.extend(head.bytes());
        body.extend(bytes);
        body.extend(b"\r\n--b--\r\n");
        self.send("POST", path, &[("content-type", "multipart/form-data; boundary=b")], body).await
    }

    /// Submits a graph that must be accepted, and gives its id.
    pub async fn submit(&self, graph: &Value, client_id: &str) -> String {
        let answer = self.post("/prompt", &json!({"prompt": graph, "client_id": client_id})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["prompt_id"].as_str().unwrap().to_owned()
    }

    /// Waits for a prompt to end, and gives its entry in the history.
    pub async fn ended(&self, id: &str) -> Value {
        let wait = async {
            loop {
                let mut history = self.get(&format!("/history/{id}")).await.json();
                if history.get(id).is_some() {
                    return history[id].take();
                }
                actix_rt::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the prompt does not end")
    }

    /// Submits a graph and waits for it to end well.
    pub async fn run(&self, graph: &Value) -> Value {
        let id = self.submit(graph, "a-client").await;
        let ended = self.ended(&id).await;
        assert_eq!(ended["status"]["status_str"], "success", "{}", ended["status"]);
        ended
    }

    /// Opens a WebSocket and says what we can do, `null` for saying nothing.
    pub async fn socket(&self, client_id: &str, features: &Value) -> Socket {
        let url = format!("{}/ws?clientId={client_id}", self.url);
        let (_, framed) = self.http.ws(url).max_frame_size(64 << 20).connect().await.unwrap();
        let mut socket = Socket { framed };
        if !features.is_null() {
            socket.say(&json!({"type": "feature_flags", "data": features})).await;
        }
        socket
    }
}

/// The text with `null` for each `NaN`, `Infinity` and `-Infinity` outside of strings: Python writes these into JSON.
pub fn without_nan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quoted = false;
    while let Some(character) = rest.chars().next() {
        let word =
            ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            out.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        let length = match character {
            '\\' if quoted => rest.chars().take(2).map(char::len_utf8).sum(),
            '"' => {
                quoted = !quoted;
                1
            }
            _ => character.len_utf8(),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// A WebSocket of ours.
pub struct Socket {
    framed: actix_codec::Framed<BoxedSocket, Codec>,
}

/// What came over a WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Text(Value),
    /// A message that is JSON for Python only: its value, with null for what is no number, and its text.
    Loose(Value, String),
    Binary(Vec<u8>),
}

impl Heard {
    fn parse(text: &[u8]) -> Self {
        if let Ok(message) = serde_json::from_slice(text) {
            return Self::Text(message);
        }
        let text = String::from_utf8(text.to_vec()).unwrap();
        Self::Loose(serde_json::from_str(&without_nan(&text)).unwrap(), text)
    }

    /// The message's `type`; empty for a binary frame.
    pub fn kind(&self) -> &str {
        match self {
            Self::Text(message) | Self::Loose(message, _) => message["type"].as_str().unwrap(),
            Self::Binary(_) => "",
        }
    }

    pub fn data(&self) -> &Value {
        match self {
            Self::Text(message) | Self::Loose(message, _) => &message["data"],
            Self::Binary(_) => &Value::Null,
        }
    }

    /// Whether it closes a prompt.
    pub fn is_end(&self) -> bool {
        self.kind() == "executing" && self.data()["node"].is_null()
    }
}

impl Socket {
    pub async fn say(&mut self, message: &Value) {
        self.framed.send(Message::Text(message.to_string().into())).await.unwrap();
    }

    /// The next message; `None` when the socket was closed or cut.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            match timeout(PATIENCE, self.framed.next()).await.expect("nothing is heard any more")? {
                Ok(Frame::Text(text)) => return Some(Heard::parse(&text)),
                Ok(Frame::Binary(bytes)) => return Some(Heard::Binary(bytes.to_vec())),
                Ok(Frame::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Everything up to the first message that `last` accepts, that included.
    pub async fn until(&mut self, last: impl Fn(&Heard) -> bool) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let heard = self.next().await.expect("the socket was closed");
            all.push(heard);
            if last(&all[all.len() - 1]) {
                return all;
            }
        }
    }

    /// Everything up to the end of a prompt.
    pub async fn until_end(&mut self) -> Vec<Heard> {
        self.until(Heard::is_end).await
    }
}

/// A graph of nodes without models: a plain image, some steps, a file.
pub fn steps(count: u32, delay_ms: u32, seed: u64) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 3368601}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "RunnerTestProgress", "inputs": {
            "image": ["2", 0], "steps": count, "delay_ms": delay_ms, "seed": seed, "preview": true}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "steps/final"}},
    })
}

/// A text-to-image graph.
pub fn text_to_image(text: &str, seed: u64) -> Value {
    json!({
        "3": {"class_type": "KSampler", "inputs": {
            "seed": seed, "steps": 4, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5-pruned-emaonly.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 96, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "ComfyUI"}},
    })
}

/// The path of `/view` for a file that a node reported.
pub fn view(file: &Value) -> String {
    let part = |key: &str| file[key].as_str().unwrap().to_owned();
    format!("/view?filename={}&subfolder={}&type={}", part("filename"), part("subfolder"), part("type"))
}
