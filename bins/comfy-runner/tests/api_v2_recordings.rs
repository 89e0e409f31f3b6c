//! What a client sent to Comfy's own front, sent to this server instead: the answers are the same, or truer ones.
//!
//! `fixtures/api-v2/` holds the requests of recorded runs with the status, the code, the ids and the events of each answer.
//! The server is a process of its own, which is restarted and killed where the front was. Behind it is the simulator, and the
//! ComfyUI that `COMFYUI_URL` names as well.

mod support;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use awc::ClientRequest;
use comfy_runner_files::ContentHash;
use comfy_runner_simulator::{Simulator, Version};
use rand::RngExt as _;
use serde_json::{Value, json};
use support::process::Served;
use support::streams::{Sent, Sse};
use support::{Form, PATIENCE, Reply, eventually, fixtures};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The answers that differ, by recording and request, with the status and code of this server and the reason.
const DIFFERENT: &[(&str, usize, u16, &str, &str)] = &[
    ("validation_errors", 19, 201, "", "labels are metadata"),
    ("validation_errors", 20, 422, "metadata_invalid", "the code of the hosted API"),
    (
        "validation_errors",
        22,
        400,
        "invalid_request",
        "a list is a wrong request, and no failure of the server",
    ),
    ("list_jobs", 13, 201, "", "labels are metadata"),
    ("list_and_unknown_raw", 13, 400, "invalid_cursor", "there are cursors"),
    ("list_and_unknown_raw", 19, 404, "not_found", "an unknown path has the envelope"),
    ("list_and_unknown_raw", 20, 405, "method_not_allowed", "a wrong method has the envelope"),
    ("list_and_unknown_raw", 21, 405, "method_not_allowed", "a wrong method has the envelope"),
    ("download_output", 8, 416, "range_not_satisfiable", "the range is outside of the file"),
    ("download_output", 12, 200, "", "several ranges are answered with the whole file"),
    ("false_expired", 0, 404, "not_found", "it is a job of an earlier recording"),
    ("auth_and_origin", 7, 403, "forbidden", "the code of the contract"),
    ("auth_and_origin", 8, 403, "forbidden", "the code of the contract"),
    ("auth_and_origin", 10, 401, "unauthorized", "the key is looked at first"),
    ("auth_and_origin", 11, 401, "unauthorized", "without --allow-origin no page needs OPTIONS"),
    ("asset_upload_and_reuse", 3, 201, "", "the same bytes under another name are an asset of their own"),
    ("asset_upload_and_reuse", 9, 201, "", "an output is an input like any other file"),
    ("asset_upload_and_reuse", 12, 409, "asset_in_use", "an output is known, and goes with its job"),
    ("asset_upload_and_reuse", 16, 200, "", "the asset with the other name still has the bytes"),
    ("asset_upload_and_reuse", 17, 200, "", "the asset with the other name still has the bytes"),
    ("asset_upload_and_reuse", 31, 405, "method_not_allowed", "files of the host are not uploads"),
    ("restart_without_state", 9, 200, "", "the id of an output outlives a restart"),
    ("restart_without_state", 11, 200, "", "the graph outlives a restart"),
    ("restart_without_state", 12, 200, "", "the list outlives a restart"),
    ("restart_without_state", 13, 200, "", "the asset outlives a restart"),
    ("restart_without_state", 14, 422, "idempotency_key_reuse", "the key outlives a restart"),
    ("comfyui_unreachable", 1, 503, "upstream_unreachable", "no job was made, so the key is free"),
    ("comfyui_unreachable", 3, 201, "", "an upload needs no ComfyUI"),
    ("comfyui_unreachable", 4, 404, "not_found", "that there is no such job is known without ComfyUI"),
    ("comfyui_unreachable", 6, 404, "not_found", "that there is no such job is known without ComfyUI"),
    ("comfyui_unreachable", 7, 404, "not_found", "that there is no such job is known without ComfyUI"),
    ("too_large", 2, 201, "", "a graph of 2.2 MiB is not too large"),
];

/// The nodes that the simulator does not have.
const NOT_SIMULATED: [&str; 2] = ["SaveWEBM", "SaveLatent"];

/// The origin of the front in the recordings.
const RECORDED_ORIGIN: &str = "http://127.0.0.1:18289";

fn rank(status: &str) -> u8 {
    match status {
        "queued" => 0,
        "running" => 1,
        "canceling" => 2,
        _ => 3,
    }
}

/// A stream that is read while other requests are sent.
struct Watcher {
    at: String,
    target: String,
    /// What the client saw.
    theirs: Vec<String>,
    /// The job, by its recorded id.
    job: String,
    /// What has come so far.
    seen: Rc<RefCell<Vec<Sent>>>,
    /// Ends with the stream.
    reading: actix_rt::task::JoinHandle<()>,
}

/// A recorded run that is played again.
struct Replay {
    name: String,
    comfyui: String,
    /// The ComfyUI, unless it is a real one or none.
    simulator: Option<Rc<Simulator>>,
    server: Served,
    state: TempDir,
    options: Vec<&'static str>,
    http: awc::Client,
    /// Our strings for recorded ones: ids of jobs and assets, hashes, seeds, the address.
    ours: HashMap<String, String>,
    /// The recorded ids of jobs that are to be cancelled, of which this server says so.
    cancelled: HashSet<String>,
    /// The recorded ids of jobs that do not end until the pauses of the simulator are skipped.
    slow: HashSet<String>,
    watchers: Vec<Watcher>,
    /// Streams that the client kept open without reading on.
    held: Vec<Sse>,
    /// The last request, to send it again on the connection of the next.
    last: Option<Value>,
    /// Answers that are not what they should be.
    wrong: Vec<String>,
}

impl Replay {
    /// A recorded exchange with our strings.
    fn translated(&self, recorded: &Value) -> Value {
        let mut text = recorded.to_string();
        for (theirs, ours) in &self.ours {
            text = text.replace(theirs, ours);
        }
        let mut translated: Value = serde_json::from_str(&text).unwrap();
        if let Some(graph) = translated.pointer_mut("/body/workflow").and_then(Value::as_object_mut)
            && self.simulator.is_some()
        {
            let is_known =
                |node: &Value| !NOT_SIMULATED.contains(&node["class_type"].as_str().unwrap_or_default());
            graph.retain(|_, node| is_known(node));
        }
        if self.simulator.is_some() {
            for graph in ["/body/workflow", "/workflow"] {
                let nodes = translated.pointer_mut(graph).and_then(Value::as_object_mut);
                nodes.into_iter().flat_map(|nodes| nodes.values_mut()).for_each(slow_down);
            }
        }
        translated
    }

    /// Lets slow jobs end, once those who watch have seen what the client saw before the end.
    async fn let_jobs_end(&self) {
        let Some(simulator) = &self.simulator else { return };
        for watcher in &self.watchers {
            let is_ready = || watcher.reading.is_finished() || sees(&watcher.seen.borrow(), &watcher.theirs);
            eventually(&watcher.at, is_ready).await;
        }
        simulator.skip_pauses();
    }

    fn request(&self, exchange: &Value) -> ClientRequest {
        let method = exchange["method"].as_str().unwrap().parse().unwrap();
        let target = exchange["target"].as_str().unwrap();
        let mut request = self.http.request(method, format!("{}{target}", self.server.base)).no_decompress();
        for (name, value) in exchange["headers"].as_object().into_iter().flatten() {
            request = request.insert_header((name.as_str(), value.as_str().unwrap()));
        }
        request
    }

    async fn send(&self, exchange: &Value) -> Reply {
        let request = self.request(exchange);
        let sent = match exchange.get("form") {
            Some(form) => {
                let form = multipart(form);
                request.content_type(form.content_type()).send_body(form.body()).await
            }
            None => {
                let body = exchange.get("body").map(Value::to_string).unwrap_or_default();
                request.content_type("application/json").send_body(body).await
            }
        };
        Reply::from_response(sent.unwrap()).await
    }

    /// Sends the last request and this one on one connection, and returns everything that came.
    async fn send_behind(&self, exchange: &Value) -> String {
        let address = self.server.base.strip_prefix("http://").unwrap();
        let mut socket = actix_web::rt::net::TcpStream::connect(address).await.unwrap();
        let line = |exchange: &Value, more: &str| {
            let (method, target) =
                (exchange["method"].as_str().unwrap(), exchange["target"].as_str().unwrap());
            format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n")
        };
        let first = line(self.last.as_ref().unwrap(), "");
        socket.write_all((first + &line(exchange, "Connection: close\r\n")).as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answers)).await.unwrap().unwrap();
        String::from_utf8(answers).unwrap()
    }

    /// Sends a request until the answer is so.
    async fn until(&self, exchange: &Value, is_so: impl Fn(&Value) -> bool) -> Reply {
        loop {
            let reply = self.send(exchange).await;
            if !reply.status.is_success() || is_so(&reply.json()) {
                return reply;
            }
            actix_rt::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Does what was done to the front or to ComfyUI.
    async fn act(&mut self, action: &str) {
        match action {
            "restart" => {
                assert!(self.server.terminate().success());
                self.start_again().await;
            }
            "kill" => {
                self.server.kill();
                self.held.clear();
                self.start_again().await;
            }
            "forget" => {
                let jobs: Vec<_> = self.ours.values().collect();
                let url = format!("{}/history", self.comfyui);
                let reply = self.http.post(url).send_json(&json!({"delete": jobs})).await.unwrap();
                assert_eq!(reply.status(), 200);
            }
            other => panic!("nobody knows how to {other}"),
        }
    }

    /// Starts the server with the records of the one before. Who read a stream that broke off opens it again, as the client does.
    async fn start_again(&mut self) {
        self.server = Served::start(&self.comfyui, self.state.path(), &self.options);
        self.ours.insert(RECORDED_ORIGIN.to_owned(), self.server.base.clone());
        for watcher in std::mem::take(&mut self.watchers) {
            watcher.reading.await.unwrap();
            let seen = watcher.seen.take();
            let is_over = |event: &Sent| rank(event.data["status"].as_str().unwrap_or("queued")) == 3;
            assert!(!seen.iter().any(is_over), "{}: the job runs on: {seen:?}", watcher.at);
            let request = self.http.get(format!("{}{}", self.server.base, watcher.target));
            let (seen, reading) = read_on(Sse::from_request(request).await);
            self.watchers.push(Watcher { seen, reading, ..watcher });
        }
    }

    /// Reads a stream as far as the client did.
    async fn follow(&mut self, at: &str, recorded: &Value, exchange: &Value) {
        let mut stream = Sse::from_request(self.request(exchange)).await;
        let theirs: Vec<String> = match recorded.get("stream") {
            Some(stream) => serde_json::from_value(stream["events"].clone()).unwrap(),
            // There were too many.
            None => vec!["status queued".to_owned()],
        };
        let job = job_in(recorded["target"].as_str().unwrap());
        if recorded["stream"]["ends"] != true {
            let mut awaited: Vec<_> = theirs.iter().map(String::as_str).collect();
            while !awaited.is_empty() {
                let event = stream.next().await.unwrap_or_else(|| panic!("{at}: without {awaited:?}"));
                let seen = named(&event);
                awaited.retain(|awaited| !seen.starts_with(awaited));
            }
            self.held.push(stream);
        } else if recorded["stream"]["held"] == true {
            let target = exchange["target"].as_str().unwrap().to_owned();
            let (seen, reading) = read_on(stream);
            self.watchers.push(Watcher { at: at.to_owned(), target, theirs, job, seen, reading });
        } else {
            let mut events = Vec::new();
            if self.slow.contains(&job) {
                while !sees(&events, &theirs) {
                    let Some(event) = stream.next().await else { break };
                    events.push(event);
                }
                self.let_jobs_end().await;
            }
            events.extend(stream.all().await);
            self.check_events(at, &theirs, &job, &events);
        }
    }

    /// Compares all events of a job with what the client saw.
    fn check_events(&self, at: &str, theirs: &[String], job: &str, events: &[Sent]) {
        let ours: Vec<_> = events.iter().map(named).collect();
        let last = theirs.iter().rfind(|event| event.starts_with("status")).unwrap();
        let expected = format!("status {}", self.truer(job, last.strip_prefix("status ").unwrap()));
        assert_eq!(ours.last(), Some(&expected), "{at}: {ours:?}");
        let values = events.iter().filter(|event| event.name == "progress");
        assert!(values.map(|event| event.data["value"].as_f64().unwrap()).is_sorted(), "{at}: {events:?}");
        // Who comes after the end hears of the outputs and the end only.
        let statuses = ours.iter().filter(|event| event.starts_with("status")).count();
        let is_late = statuses == 1;
        let is_cancelled = self.cancelled.contains(job);
        for event in theirs {
            let excused = match event.split_once(' ') {
                Some(("status", status)) => rank(status) == 3 || is_late,
                Some((_, node)) => is_cancelled || (self.simulator.is_some() && self.is_not_simulated(node)),
                None => is_late || is_cancelled,
            };
            assert!(excused || ours.contains(event), "{at}: no {event} in {ours:?}");
        }
    }

    fn is_not_simulated(&self, node: &str) -> bool {
        self.name == "output_kinds" && ["5", "10"].contains(&node)
    }

    /// Returns how a job really ends: a cancelled one is canceled, and none is expired.
    fn truer(&self, job: &str, theirs: &str) -> String {
        match theirs {
            _ if self.cancelled.contains(job) => "canceled".to_owned(),
            "expired" => "succeeded".to_owned(),
            theirs => theirs.to_owned(),
        }
    }

    /// Compares the answer to a request with the recorded one.
    async fn play(&mut self, index: usize, recorded: &Value) {
        if let Some(action) = recorded["before"].as_str() {
            self.act(action).await;
        }
        let exchange = self.translated(recorded);
        let at = format!("{} {index}: {} {}", self.name, recorded["method"], recorded["target"]);
        if recorded["same_connection"] == true {
            let answers = self.send_behind(&exchange).await;
            let parts = answers.split_once("\r\n\r\n");
            let (first, second) = parts.unwrap_or_else(|| panic!("{at}: {answers:?}"));
            assert!(
                first.starts_with("HTTP/1.1 200") && second.starts_with("HTTP/1.1 200"),
                "{at}: {answers}"
            );
            return;
        }
        if recorded.get("stream").is_some() || recorded["code"] == "too_many_streams" {
            return self.follow(&at, recorded, &exchange).await;
        }
        let job = job_in(recorded["target"].as_str().unwrap());
        let reply = match (recorded.get("job"), recorded["phase"].as_str()) {
            (Some(_), _) => {
                if self.slow.contains(&job) && !self.cancelled.contains(&job) && recorded["method"] == "GET" {
                    self.let_jobs_end().await;
                }
                self.until(&exchange, |body| rank(body["status"].as_str().unwrap_or("x")) == 3).await
            }
            (_, Some(phase)) if recorded["method"] == "GET" => {
                let at_least = if self.cancelled.contains(&job) { 2 } else { rank(phase) };
                // The job before it may not run yet.
                let place = &recorded["queue_position"];
                let is_there = |body: &Value| match rank(body["status"].as_str().unwrap()) {
                    0 if at_least == 0 => *place == body["queue_position"],
                    rank => rank >= at_least,
                };
                self.until(&exchange, is_there).await
            }
            _ => self.send(&exchange).await,
        };
        self.last = Some(exchange.clone());
        self.compare(index, &at, recorded, &exchange, &reply);
    }

    fn compare(&mut self, index: usize, at: &str, recorded: &Value, exchange: &Value, reply: &Reply) {
        let different =
            DIFFERENT.iter().find(|(of, request, ..)| (*of, *request) == (self.name.as_str(), index));
        let (status, code) = match different {
            Some((_, _, status, code, _)) => (u64::from(*status), *code),
            None => (recorded["status"].as_u64().unwrap(), recorded["code"].as_str().unwrap_or_default()),
        };
        let has_code = reply.status.as_u16() >= 400 && recorded["method"] != "HEAD";
        let found = if has_code {
            reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
        } else {
            String::new()
        };
        if u64::from(reply.status.as_u16()) != status || (has_code && found != code) {
            let found = reply.text();
            return self.wrong.push(format!("{at}: not {status} {code}, but {} {found:.200}", reply.status));
        }
        if different.is_some() || status >= 400 {
            return;
        }
        if let Some(theirs) = recorded["id"].as_str().filter(|_| recorded["method"] == "POST") {
            self.ours.insert(theirs.to_owned(), reply.json()["id"].as_str().unwrap().to_owned());
            let nodes = recorded["body"]["workflow"].as_object();
            if self.simulator.is_some() && nodes.is_some_and(|nodes| nodes.values().any(is_slow)) {
                self.slow.insert(theirs.to_owned());
            }
        }
        if let Some(length) = recorded["bytes"].as_u64() {
            assert_eq!(reply.body.len() as u64, length, "{at}");
        }
        if let Some(theirs) = exchange.get("workflow") {
            assert_eq!(reply.json()["workflow"], *theirs, "{at}");
        }
        let job = job_in(recorded["target"].as_str().unwrap());
        if recorded["target"].as_str().unwrap().ends_with("/cancel") {
            let status = reply.json()["status"].as_str().unwrap().to_owned();
            assert!(rank(&status) >= 2, "{at}: {status}");
            if status.starts_with("cancel") {
                self.cancelled.insert(job.clone());
            }
        }
        if let Some(theirs) = recorded["queue_position"].as_u64() {
            let body = reply.json();
            assert!(body["status"] != "queued" || body["queue_position"] == theirs, "{at}: {body}");
        }
        if let Some(theirs) = recorded["job"].as_str() {
            self.compare_ends(at, &job, theirs, recorded, &reply.json());
        }
        // Theirs does not know filters by label.
        let filters = recorded["target"].as_str().unwrap().contains("metadata");
        if let Some(theirs) = recorded["listed"].as_array().filter(|_| !filters) {
            // Theirs had jobs of earlier runs as well.
            let known: Option<Vec<_>> =
                theirs.iter().map(|id| Some(json!(self.ours.get(id.as_str().unwrap())?))).collect();
            let ours = reply.json()["jobs"].as_array().unwrap().clone();
            let ours: Vec<_> = ours.iter().map(|job| job["id"].clone()).collect();
            assert!(known.is_none_or(|known| known == ours), "{at}: {ours:?}");
        }
    }

    /// Compares jobs that are over.
    fn compare_ends(&mut self, at: &str, job: &str, theirs: &str, recorded: &Value, body: &Value) {
        assert_eq!(body["status"], self.truer(job, theirs), "{at}");
        assert!(body["completed_at"].is_string(), "{at}");
        if self.cancelled.contains(job) {
            return;
        }
        let ours = body["outputs"].as_array().unwrap();
        let mut matched = 0;
        let theirs = recorded["outputs"].as_array().into_iter().flatten();
        let theirs = theirs.filter(|output| {
            !(self.simulator.is_some() && self.is_not_simulated(output["node_id"].as_str().unwrap()))
        });
        let theirs: Vec<_> = theirs.cloned().collect();
        for (index, output) in theirs.iter().enumerate() {
            let node = &output["node_id"];
            let before = theirs[..index].iter().filter(|other| other["node_id"] == *node).count();
            let own = ours.iter().filter(|own| own["node_id"] == *node).nth(before);
            let own = own.unwrap_or_else(|| panic!("{at}: {node} made more: {body}"));
            let is_video = own["content_type"].as_str().unwrap().starts_with("video/");
            let expected = if is_video { &json!("video") } else { &output["type"] };
            assert_eq!(own["type"], *expected, "{at}");
            assert!(own["size_bytes"].as_u64().unwrap() > 0 && own["hash"].is_string(), "{at}");
            let id = |output: &Value| output["id"].as_str().unwrap().to_owned();
            self.ours.insert(id(output), id(own));
            matched += 1;
        }
        // Theirs has no texts, and no outputs of a job that it calls expired.
        let more = ours.iter().filter(|own| own["type"] != "text").count() - matched;
        assert!(more == 0 || recorded["job"] == "expired", "{at}: {body}");
    }
}

/// The name of an event, as recordings have it.
fn named(event: &Sent) -> String {
    let data = &event.data;
    match event.name.as_str() {
        "status" => match data["queue_position"].as_u64() {
            Some(place) => format!("status {} {place}", data["status"].as_str().unwrap()),
            None => format!("status {}", data["status"].as_str().unwrap()),
        },
        "output" => format!("output {}", data["node_id"].as_str().unwrap()),
        other => other.to_owned(),
    }
}

/// Whether a node takes so long that clients did something meanwhile.
fn is_slow(node: &Value) -> bool {
    node["inputs"]["delay_ms"].as_u64() >= Some(100) && node["inputs"]["steps"].is_u64()
}

/// Makes a slow node so slow that it outlasts whatever is done meanwhile, also on a busy machine.
fn slow_down(node: &mut Value) {
    if is_slow(node) {
        let steps = &mut node["inputs"]["steps"];
        *steps = json!(20 * steps.as_u64().unwrap());
    }
}

/// Whether there is every event that the client saw before the outputs and the end.
fn sees(events: &[Sent], theirs: &[String]) -> bool {
    let is_before = |event: &&String| match event.split_once(' ') {
        Some(("status", status)) => rank(status.split(' ').next().unwrap()) < 3,
        Some(_) => false,
        None => true,
    };
    theirs.iter().filter(is_before).all(|theirs| events.iter().any(|event| named(event) == *theirs))
}

/// Reads a stream until it ends or breaks off.
fn read_on(mut stream: Sse) -> (Rc<RefCell<Vec<Sent>>>, actix_rt::task::JoinHandle<()>) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let events = Rc::clone(&seen);
    let reading = actix_rt::spawn(async move {
        while let Ok(Some(event)) = stream.try_next().await {
            events.borrow_mut().push(event);
        }
    });
    (seen, reading)
}

/// The id of the job in a path.
fn job_in(target: &str) -> String {
    let rest = target.strip_prefix("/api/v2/jobs/").unwrap_or_default();
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// A recorded form with files of the same length or kind.
fn multipart(parts: &Value) -> Form {
    parts.as_array().unwrap().iter().fold(Form::new(), |form, part| {
        let name = part["name"].as_str().unwrap();
        match part["text"].as_str() {
            Some(text) => form.text(name, text),
            None => form.file(name, part["filename"].as_str().unwrap(), &content(part)),
        }
    })
}

/// A file in the place of a recorded one, whose bytes are not recorded.
fn content(part: &Value) -> Vec<u8> {
    let length = part["bytes"].as_u64().unwrap() as usize;
    let is_image = part["filename"].as_str().unwrap().ends_with(".png") && length > 100;
    if !is_image {
        return vec![b'x'; length];
    }
    let digits = u32::from_str_radix(&part["content"].as_str().unwrap()[..6], 16).unwrap().to_be_bytes();
    let image = image::RgbImage::from_pixel(32, 24, image::Rgb([digits[1], digits[2], digits[3]]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Our strings for those of a recording that are known before its first request: hashes of files, and seeds, because a ComfyUI
/// that has run the same graph before would run nothing.
fn known_strings(recording: &Value) -> HashMap<String, String> {
    let mut ours = HashMap::from([("(2.2 MiB)".to_owned(), "x".repeat(2_306_867))]);
    for exchange in recording["exchanges"].as_array().unwrap() {
        for part in exchange["form"].as_array().into_iter().flatten() {
            if let Some(theirs) = part["hash"].as_str() {
                ours.insert(theirs.to_owned(), format!("blake3:{}", ContentHash::of(&content(part))));
            }
        }
        for node in exchange["body"]["workflow"].as_object().into_iter().flat_map(|graph| graph.values()) {
            if let Some(seed) = node["inputs"]["seed"].as_u64().filter(|seed| *seed > 1_000_000) {
                ours.entry(seed.to_string()).or_insert_with(|| {
                    rand::rng().random_range(100_000_000_000_u64..999_999_999_999).to_string()
                });
            }
        }
    }
    ours
}

async fn replay_before(name: &str, recording: &Value, comfyui: &str, simulator: Option<Rc<Simulator>>) {
    let options = match name {
        "auth_and_origin" => vec!["--api-key", "secret-for-the-recording"],
        "too_large" => vec!["--max-upload", "1MiB"],
        _ => Vec::new(),
    };
    let state = tempfile::tempdir().unwrap();
    let server = Served::start(comfyui, state.path(), &options);
    let mut ours = known_strings(recording);
    ours.insert(RECORDED_ORIGIN.to_owned(), server.base.clone());
    let mut replay = Replay {
        name: name.to_owned(),
        comfyui: comfyui.to_owned(),
        simulator,
        server,
        state,
        options,
        http: awc::Client::builder().timeout(PATIENCE).disable_redirects().finish(),
        ours,
        cancelled: HashSet::new(),
        slow: HashSet::new(),
        watchers: Vec::new(),
        held: Vec::new(),
        last: None,
        wrong: Vec::new(),
    };
    for (index, recorded) in recording["exchanges"].as_array().unwrap().iter().enumerate() {
        replay.play(index, recorded).await;
    }
    if let Some(action) = recording["finally"].as_str() {
        replay.act(action).await;
    }
    replay.let_jobs_end().await;
    for watcher in std::mem::take(&mut replay.watchers) {
        watcher.reading.await.unwrap();
        replay.check_events(&watcher.at, &watcher.theirs, &watcher.job, &watcher.seen.take());
    }
    assert!(replay.wrong.is_empty(), "{}", replay.wrong.join("\n"));
}

async fn replay(name: &str) {
    let recording = std::fs::read_to_string(fixtures().join(format!("api-v2/{name}.json"))).unwrap();
    let recording: Value = serde_json::from_str(&recording).unwrap();
    let of = recording["recorded"].as_str().unwrap();
    if of.ends_with("no ComfyUI") {
        return replay_before(name, &recording, "http://127.0.0.1:1", None).await;
    }
    let version = if of.ends_with("0.33.0") { Version::V0_33_0 } else { Version::V0_3_64 };
    let simulator = Simulator::builder().step_delay(Duration::ZERO).speak_as(version).start().unwrap();
    replay_before(name, &recording, &simulator.url(), Some(Rc::new(simulator))).await;
    if let Ok(comfyui) = std::env::var("COMFYUI_URL") {
        replay_before(name, &recording, comfyui.trim_end_matches('/'), None).await;
    }
}

#[actix_rt::test]
async fn runs_that_succeed_and_fail() {
    for name in [
        "success_with_preview",
        "failing_node",
        "failing_node.0.33.0",
        "false_expired",
        "partner_key",
        "output_kinds",
    ] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn requests_that_are_refused() {
    for name in ["validation_errors", "too_large"] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn lists_and_unknown_paths() {
    for name in ["list_jobs", "list_and_unknown_raw"] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn uploads_and_downloads() {
    for name in ["asset_upload_and_reuse", "download_output"] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn repeated_requests() {
    replay("idempotent_repeat").await;
}

#[actix_rt::test]
async fn keys_and_origins() {
    replay("auth_and_origin").await;
}

#[actix_rt::test]
async fn cancelled_jobs() {
    for name in ["cancel_running", "cancel_running.0.33.0", "cancel_pending", "cancel_pending.0.33.0"] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn streams_that_are_left_opened_again_and_read_by_several() {
    for name in ["sse_resume_last_event_id", "two_watchers_of_one_job", "too_many_streams"] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn restarts_and_kills() {
    for name in [
        "restart_without_state",
        "restart_with_state_dir",
        "server_killed_while_streaming",
        "server_stopped_while_streaming",
    ] {
        replay(name).await;
    }
}

#[actix_rt::test]
async fn a_comfyui_that_forgets_or_is_gone() {
    for name in ["comfyui_forgot_the_job", "comfyui_unreachable"] {
        replay(name).await;
    }
}

#[test]
fn every_recording_is_played() {
    let source = include_str!("api_v2_recordings.rs");
    let files = std::fs::read_dir(fixtures().join("api-v2")).unwrap();
    let names = files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned());
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), 27);
    for name in names {
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
    }
}
