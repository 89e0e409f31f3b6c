//! What is asked of a ComfyUI to see how it behaves: the scenarios of `fixtures/recordings/scenarios.json`, and a run
//! of one. The recorder writes a run down; the conformance test compares a run with what was written down.

use std::path::PathBuf;
use std::time::Instant;

use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Comfy, Heard, Socket, without_nan};

/// One scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, and that of its recordings.
    pub case: String,
    /// The first version that has what the scenario is about; all if there is none.
    #[serde(default)]
    pub since: Option<String>,
    /// What the client says it can do.
    #[serde(default)]
    pub client_feature_flags: Map<String, Value>,
    /// Whether the history is emptied first.
    #[serde(default)]
    pub clear_history: bool,
    /// Files that must be in the input folder.
    #[serde(default)]
    pub uploads: Vec<TextFile>,
    /// The bodies of `POST /prompt`, without the client id.
    pub prompts: Vec<Map<String, Value>>,
    /// What happens after the last prompt was sent; without it, the end of one prompt is awaited.
    #[serde(default = "until_one_end")]
    pub then: Vec<Step>,
}

/// A file with text in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFile {
    filename: String,
    subfolder: String,
    content: String,
}

/// One thing that happens in the course of a scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A message is awaited.
    Hear(Awaited),
    /// A request is sent. `{P0}` in its path or body is the id of the first accepted prompt, and so on.
    Request(Request),
}

/// A message.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Awaited {
    /// The end of a prompt.
    End,
    /// This step of a node.
    Step(u64),
}

/// A request with a JSON body, or none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body.
    #[serde(default)]
    pub body: Value,
}

/// What came of a scenario.
#[derive(Debug)]
pub struct Run {
    /// The client id of its WebSocket.
    pub client_id: String,
    /// Status and body of each answer to `POST /prompt`.
    pub answers: Vec<(u16, Value)>,
    /// The ids of the accepted prompts.
    pub ids: Vec<String>,
    /// Everything heard, with the seconds since the WebSocket was opened.
    pub heard: Vec<(f64, Heard)>,
    /// The other requests as they were sent, with the status and body of each answer.
    pub exchanges: Vec<(Request, u16, Value)>,
    /// `GET /history/{id}` of each accepted prompt, afterwards.
    pub histories: Vec<(String, Value)>,
}

/// JSON as it is; what is JSON for Python only, as `{"raw": ...}`; nothing as null.
fn loose(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| json!({ "raw": text }))
}

/// The value of what may be `{"raw": ...}`, with null for what is no number.
pub fn from_loose(loose: &Value) -> Value {
    match loose.get("raw").and_then(Value::as_str) {
        Some(text) => serde_json::from_str(&without_nan(text)).unwrap(),
        None => loose.clone(),
    }
}

fn until_one_end() -> Vec<Step> {
    vec![Step::Hear(Awaited::End)]
}

/// The folder of the recordings.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/recordings"))
}

/// The scenarios that a version can be asked, in the order in which they must run: what is cached depends on it.
pub fn scenarios(version: &str) -> Vec<Scenario> {
    let text = std::fs::read_to_string(folder().join("scenarios.json")).unwrap();
    let all: Vec<Scenario> = serde_json::from_str(&text).unwrap();
    all.into_iter()
        .filter(|scenario| scenario.since.as_deref().is_none_or(|since| at_least(version, since)))
        .collect()
}

/// Whether a version is this one or a later one.
pub fn at_least(version: &str, since: &str) -> bool {
    let parts =
        |version: &str| version.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>();
    parts(version) >= parts(since)
}

impl Scenario {
    /// Runs it. `change` may change each body of `POST /prompt` before it is sent.
    pub async fn run(&self, comfy: &Comfy, client_id: &str, change: impl Fn(&mut Map<String, Value>)) -> Run {
        if self.clear_history {
            comfy.post("/history", &json!({"clear": true})).await;
        }
        for file in &self.uploads {
            let values = [("subfolder", file.subfolder.as_str()), ("overwrite", "true")];
            let answer =
                comfy.upload("/upload/image", &file.filename, file.content.as_bytes(), &values).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        // A prompt that is to run while others are sent does so for as long as that takes.
        let simulator = comfy.simulator.as_deref();
        let hold = || simulator.inspect(|simulator| simulator.hold_pauses());
        hold();
        let begin = Instant::now();
        let features = Value::Object(self.client_feature_flags.clone());
        let mut course = Course {
            comfy,
            socket: comfy.socket(client_id, &features).await,
            begin,
            run: Run {
                client_id: client_id.to_owned(),
                answers: Vec::new(),
                ids: Vec::new(),
                heard: Vec::new(),
                exchanges: Vec::new(),
                histories: Vec::new(),
            },
        };
        course.hear(|heard| heard.kind() == "feature_flags").await;
        for prompt in &self.prompts {
            let mut body = prompt.clone();
            change(&mut body);
            course.submit(body).await;
        }
        for step in &self.then {
            match step {
                Step::Hear(_) => simulator.inspect(|simulator| simulator.resume_pauses()),
                Step::Request(_) => hold(),
            };
            match step {
                Step::Hear(Awaited::End) => course.hear(Heard::is_end).await,
                Step::Hear(Awaited::Step(step)) => course.hear(|heard| heard.data()["value"] == *step).await,
                Step::Request(request) => course.send(request).await,
            }
        }
        course.finish().await
    }
}

impl Run {
    /// The run as a recording: what a file in the folder of a version holds.
    pub fn to_recording(&self, scenario: &Scenario, version: &str) -> Value {
        let prompts = scenario.prompts.iter().zip(&self.answers).map(|(body, (status, response))| {
            let mut prompt = body.clone();
            let request = prompt.shift_remove("prompt");
            prompt.shift_insert(0, "request".to_owned(), request.unwrap_or_default());
            prompt.insert("status".to_owned(), json!(status));
            prompt.insert("response".to_owned(), response.clone());
            Value::Object(prompt)
        });
        let websocket = self.heard.iter().map(|(at, heard)| {
            let at = (at * 10_000.0).round() / 10_000.0;
            match heard {
                Heard::Text(message) => json!({"t": at, "text": message}),
                Heard::Loose(_, raw) => json!({"t": at, "raw": raw}),
                Heard::Binary(bytes) => {
                    json!({"t": at, "binary": base64::prelude::BASE64_STANDARD.encode(bytes)})
                }
            }
        });
        let exchanges = self.exchanges.iter().map(|(request, status, response)| {
            json!({
                "method": request.method,
                "path": request.path,
                "body": request.body,
                "status": status,
                "response": response,
            })
        });
        json!({
            "case": scenario.case,
            "comfyui_version": version,
            "client_id": self.client_id,
            "client_feature_flags": scenario.client_feature_flags,
            "prompts": prompts.collect::<Vec<_>>(),
            "websocket": websocket.collect::<Vec<_>>(),
            "exchanges": exchanges.collect::<Vec<_>>(),
            "history": self.histories.iter().cloned().collect::<Map<_, _>>(),
        })
    }
}

/// A run on its way.
struct Course<'a> {
    comfy: &'a Comfy,
    socket: Socket,
    begin: Instant,
    run: Run,
}

impl Course<'_> {
    async fn hear(&mut self, last: impl Fn(&Heard) -> bool) {
        loop {
            let heard = self.socket.next().await.expect("the socket was closed");
            let found = last(&heard);
            self.run.heard.push((self.begin.elapsed().as_secs_f64(), heard));
            if found {
                return;
            }
        }
    }

    async fn submit(&mut self, mut body: Map<String, Value>) {
        body.insert("client_id".to_owned(), json!(self.run.client_id));
        let (status, answer) = self.exchange("POST", "/prompt", &Value::Object(body)).await;
        let id = answer["prompt_id"].as_str().map(str::to_owned);
        self.run.answers.push((status, answer));
        if let Some(id) = id {
            self.run.ids.push(id);
            if self.run.ids.len() == 1 {
                // The first must run before the second is sent, or the numbers of `status` differ.
                self.hear(|heard| heard.kind() == "execution_cached").await;
            }
        }
    }

    async fn send(&mut self, request: &Request) {
        let named = |text: &str| {
            let ids = self.run.ids.iter().enumerate();
            ids.fold(text.to_owned(), |text, (place, id)| text.replace(&format!("{{P{place}}}"), id))
        };
        let request = Request {
            method: request.method.clone(),
            path: named(&request.path),
            body: serde_json::from_str(&named(&request.body.to_string())).unwrap(),
        };
        let (status, answer) = self.exchange(&request.method, &request.path, &request.body).await;
        self.run.exchanges.push((request, status, answer));
    }

    async fn exchange(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        // JSON knows no such numbers, Python does.
        let body = body.to_string().replace("\"<NaN>\"", "NaN").replace("\"<Infinity>\"", "Infinity");
        let (headers, body) = match body.as_str() {
            "null" => (&[][..], Vec::new()),
            _ => (&[("content-type", "application/json")][..], body.into_bytes()),
        };
        let answer = self.comfy.send(method, path, headers, body).await;
        (answer.status, loose(&answer.text()))
    }

    async fn finish(mut self) -> Run {
        for id in self.run.ids.clone() {
            let answer = self.comfy.get(&format!("/history/{id}")).await;
            self.run.histories.push((id, loose(&answer.text())));
        }
        self.run
    }
}
