//! What the server writes about requests, and what it keeps to itself.

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::{Form, Shelf, png, simulator};

const KEY: &str = "key-that-is-a-secret";
const PROMPT: &str = "prompt text that is private";
const PATIENCE: Duration = Duration::from_secs(60);

/// The real server, and the lines of its log.
struct Serve {
    process: Child,
    lines: Receiver<Value>,
    seen: Vec<Value>,
}

impl Serve {
    fn start(shelf: &Shelf, simulator: &Simulator, filter: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_comfy-runner"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMFY")) {
            command.env_remove(name);
        }
        let mut process = command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
                "--log",
                filter,
                "--workflows",
            ])
            .arg(shelf.path())
            .args([
                "--comfyui",
                &simulator.url(),
                "--comfyui-header",
                "Authorization: Bearer token-that-is-a-secret",
            ])
            .env("COMFY_RUNNER_API_KEY", KEY)
            .env("COMFY_RUNNER_STATE_DIR", ":memory:")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let line = line.unwrap();
                let parsed = serde_json::from_str(&line).unwrap_or_else(|_| json!({"not JSON": line}));
                if sender.send(parsed).is_err() {
                    return;
                }
            }
        });
        Self { process, lines, seen: Vec::new() }
    }

    /// Waits for a line, and returns it.
    fn line(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(line) = self.seen.iter().find(|line| wanted(line)) {
            return line.clone();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line =
                self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no such line: {:#?}", self.seen));
            self.seen.push(line.clone());
            if wanted(&line) {
                return line;
            }
        }
    }

    fn base(&mut self) -> String {
        let line = self.line(|line| line["fields"]["message"] == "listening");
        format!("http://{}", line["fields"]["address"].as_str().unwrap())
    }

    /// Stops the server, and returns all that it wrote.
    fn stop(mut self) -> String {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.seen.extend(self.lines.iter());
        self.seen.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// A workflow whose node fails, and says the prompt in doing so.
fn shelf() -> Shelf {
    let shelf = Shelf::new();
    let failing = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "RunnerTestFail", "inputs": {"image": ["1", 0], "message": "{{prompt}}"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    let inputs =
        "inputs:\n  - {id: image, type: image, node_id: 1, field: image}\n  - {id: prompt, type: text}\n";
    shelf.put("failing", &format!("id: failing\nname: Failing\n{inputs}"), &failing);
    shelf
}

/// Uses the API in every way that has something to hide. Returns the job's id.
async fn use_it(base: &str) -> String {
    let http = awc::Client::builder().timeout(PATIENCE).finish();
    let url = |path: &str| format!("{base}{path}");
    for key in [KEY, "wrong-key-that-is-a-secret"] {
        let listed =
            http.get(url("/api/workflows?token=query-that-is-a-secret")).insert_header(("x-api-key", key));
        listed.send().await.unwrap();
    }
    http.get(url(&format!("/{}", "long".repeat(1000)))).send().await.unwrap();
    // More wrong keys than a minute allows.
    for _ in 0..30 {
        let guess = http.get(url("/api/workflows")).insert_header(("x-api-key", "a-guess"));
        guess.send().await.unwrap();
    }
    let wrong = Form::new().params(json!({"prompt": {"a": PROMPT}}));
    let right = Form::new().params(json!({"prompt": PROMPT})).file(
        "input_image",
        "name-that-is-a-secret.png",
        &png(),
    );
    let mut prompt_id = String::new();
    for (form, status) in [(wrong, 400), (right, 200)] {
        let request = http
            .post(url("/api/run/failing/execute"))
            .insert_header(("x-api-key", KEY))
            .insert_header(("x-request-id", format!("request-{status}")))
            .content_type(form.content_type());
        let mut reply = request.send_body(form.body()).await.unwrap();
        assert_eq!(reply.status(), status);
        let reply: Value = reply.json().await.unwrap();
        prompt_id = reply["prompt_id"].as_str().unwrap_or_default().to_owned();
    }
    prompt_id
}

#[actix_rt::test]
async fn at_info_level_there_is_a_line_for_each_request_and_nothing_that_is_a_secret() {
    let (simulator, shelf) = (simulator(), shelf());
    let mut serve = Serve::start(&shelf, &simulator, "info");
    let prompt_id = use_it(&serve.base()).await;

    let answered = |id: &'static str| {
        move |line: &Value| line["fields"]["message"] == "answered" && line["span"]["id"] == id
    };
    let line = serve.line(answered("request-200"));
    assert_eq!(line["fields"]["status"], 200);
    assert_eq!(
        (&line["fields"]["method"], &line["fields"]["path"]),
        (&json!("POST"), &json!("/api/run/failing/execute"))
    );
    assert_eq!(serve.line(answered("request-400"))["fields"]["status"], 400);
    // What else is logged while a request is at work carries its id.
    let submitted = serve.line(|line| line["fields"]["message"] == "submitted");
    assert_eq!(submitted["span"]["id"], "request-200");
    assert_eq!(submitted["fields"]["prompt_id"], prompt_id);
    let failed = serve.line(|line| line["fields"]["message"] == "a node failed");
    assert_eq!((&failed["fields"]["prompt_id"], &failed["fields"]["node"]), (&json!(prompt_id), &json!("2")));
    serve.line(|line| line["fields"]["message"] == "ended");
    serve.line(|line| line["level"] == "WARN" && line["fields"]["address"] == "127.0.0.1");
    let refused = serve.line(|line| line["fields"]["status"] == 401);
    assert_eq!(refused["span"]["id"].as_str().unwrap().len(), 16);

    let log = serve.stop();
    assert!(!log.contains("not JSON"), "{log}");
    assert_eq!(
        (log.matches("\"status\":401").count(), log.matches("\"status\":429").count()),
        (20, 0),
        "{log}"
    );
    assert!(log.contains("longlong") && !log.contains(&"long".repeat(100)), "a path is logged whole:\n{log}");
    for secret in ["that-is-a-secret", PROMPT, "private", "Traceback", "traceback", ".py"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}

#[actix_rt::test]
async fn at_debug_level_a_traceback_is_there_and_keys_still_are_not() {
    let (simulator, shelf) = (simulator(), shelf());
    let mut serve = Serve::start(&shelf, &simulator, "debug");
    let prompt_id = use_it(&serve.base()).await;
    let traceback = serve.line(|line| line["fields"]["message"] == "traceback");
    assert_eq!(traceback["level"], "DEBUG");
    assert_eq!(traceback["fields"]["prompt_id"], prompt_id);
    let log = serve.stop();
    for secret in ["key-that-is-a-secret", "token-that-is-a-secret"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
