//! A server with the sample library and a simulator behind it, and a caller that speaks its API.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod api_v2;
pub mod connection;
pub mod described;
pub mod faulty_store;
pub mod hostile;
pub mod pool;
pub mod process;
pub mod python;
pub mod s3;
pub mod streams;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;
use awc::body::{BodyStream, MessageBody};
use comfy_runner::server::{AllowedOrigins, ComfyUiFolders, Handle, Limits, PublicUrl, Server, Settings};
use comfy_runner_client::Config;
use comfy_runner_files::{Location, ObjectFiles};
use comfy_runner_jobs::{ComfyUi, FilesConfig, JobsConfig};
use comfy_runner_scheduler::Priority;
use comfy_runner_simulator::Simulator;
use comfy_runner_store::Sqlite;
use comfy_runner_workflow::Workflows;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Far more than anything here takes; a test that waits so long is stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// Returns a PNG file.
pub fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, 128]));
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub fn settings(comfyui: &str) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        api_keys: Vec::new(),
        allow_origins: AllowedOrigins::default(),
        max_upload: 1 << 20,
        allow_input_hosts: Vec::new(),
        limits: Limits::default(),
        max_priority: Priority::MAX,
        workers: Some(1),
        comfyuis: vec![ComfyUi::only(Config::new(comfyui.parse().unwrap()))],
        folders: ComfyUiFolders::default(),
        public_url: PublicUrl::default(),
        jobs: JobsConfig::default(),
        store: Arc::new(Sqlite::in_memory().unwrap()),
        files: FilesConfig::new(Arc::new(ObjectFiles::open(&Location::Temporary).unwrap())),
        redirect_downloads: false,
        allow_edit: false,
    }
}

pub fn simulator() -> Simulator {
    Simulator::builder().step_delay(Duration::ZERO).start().unwrap()
}

/// The names of the files in ComfyUI's input folder, those in folders of it included.
pub fn uploaded(simulator: &Simulator) -> Vec<String> {
    let input = simulator.data_dir().join("input");
    let mut names: Vec<_> = files_below(&input)
        .iter()
        .map(|path| path.strip_prefix(&input).unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "example.png")
        .collect();
    names.sort();
    names
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        match entry.unwrap().path() {
            folder if folder.is_dir() => files.extend(files_below(&folder)),
            // The simulator removes what it was only receiving between our listing and our looking.
            file => files.push(file),
        }
    }
    files
}

/// Waits for something that happens soon, but not at once.
pub async fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < PATIENCE, "never happened: {what}");
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Looks at something until it is like this, and returns it.
pub async fn until<T: Debug>(what: &str, look: impl AsyncFn() -> T, is: impl Fn(&T) -> bool) -> T {
    until_within(PATIENCE, what, look, is).await
}

/// As [`until`], with a limit of its own.
pub async fn until_within<T: Debug>(
    limit: Duration,
    what: &str,
    look: impl AsyncFn() -> T,
    is: impl Fn(&T) -> bool,
) -> T {
    let started = Instant::now();
    loop {
        let now = look().await;
        if is(&now) {
            return now;
        }
        assert!(started.elapsed() < limit, "{what} stays {now:?}");
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A graph whose only output is text.
pub fn caption(text: &str) -> Value {
    json!({"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestText", "inputs": {"image": ["1", 0], "text": text},
            "_meta": {"title": "Caption"}}})
}

/// A folder of workflows of a test's own.
pub struct Shelf {
    folder: TempDir,
}

impl Shelf {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a workflow's two files.
    pub fn put(&self, id: &str, manifest: &str, graph: &Value) {
        self.put_manifest(id, manifest);
        std::fs::write(self.path().join(id).join("workflow.json"), graph.to_string()).unwrap();
    }

    /// Writes one block of a dynamic workflow.
    pub fn put_block(&self, id: &str, file: &str, block: &Value) {
        let blocks = self.path().join(id).join("blocks");
        std::fs::create_dir_all(&blocks).unwrap();
        std::fs::write(blocks.join(file), block.to_string()).unwrap();
    }

    pub fn put_manifest(&self, id: &str, manifest: &str) {
        std::fs::create_dir_all(self.path().join(id)).unwrap();
        std::fs::write(self.path().join(id).join("manifest.yaml"), manifest).unwrap();
    }
}

/// A caller of a server's API.
pub struct Api {
    pub base: String,
    pub http: awc::Client,
    handle: Handle,
}

impl Api {
    /// A server with the sample library.
    pub fn start(comfyui: &str) -> Self {
        Self::start_with(&settings(comfyui), &fixtures().join("workflows"))
    }

    pub fn start_with(settings: &Settings, workflows: &Path) -> Self {
        let workflows = Arc::new(Workflows::open(workflows).unwrap());
        let server = Server::bind(settings, workflows).unwrap();
        let base = format!("http://{}", server.address());
        let handle = server.handle();
        actix_rt::spawn(server.run());
        let http = awc::Client::builder().timeout(PATIENCE).disable_redirects().finish();
        Self { base, http, handle }
    }

    pub async fn stop(&self) {
        self.handle.stop(false).await;
    }

    /// Lets requests at work end.
    pub async fn stop_gracefully(&self) {
        self.handle.stop(true).await;
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = self.http.get(format!("{}{path}", self.base)).no_decompress();
        for &(name, value) in headers {
            request = request.insert_header((name, value));
        }
        Reply::from_response(request.send().await.unwrap()).await
    }

    pub async fn head(&self, path: &str) -> Reply {
        Reply::from_response(self.http.head(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        Reply::from_response(self.http.delete(format!("{}{path}", self.base)).send().await.unwrap()).await
    }

    /// Posts a multipart form with an idempotency key.
    pub async fn post_with_key(&self, path: &str, key: &str, form: Form) -> Reply {
        let request = self.http.post(format!("{}{path}", self.base)).content_type(form.content_type());
        let request = request.insert_header(("Idempotency-Key", key));
        Reply::from_response(request.send_body(form.body()).await.unwrap()).await
    }

    /// Posts a multipart form.
    pub async fn post(&self, path: &str, form: Form) -> Reply {
        self.post_body(path, form.content_type(), form.body()).await
    }

    pub async fn post_body(
        &self,
        path: &str,
        content_type: String,
        body: impl MessageBody + 'static,
    ) -> Reply {
        let request = self.http.post(format!("{}{path}", self.base)).content_type(content_type);
        Reply::from_response(request.send_body(body).await.unwrap()).await
    }

    /// Posts a form without announcing its length.
    pub async fn post_unmeasured(&self, path: &str, form: Form) -> Reply {
        let content_type = form.content_type();
        let pieces: Vec<_> = form.body().chunks(1 << 16).map(Bytes::copy_from_slice).collect();
        let body = BodyStream::new(futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
        self.post_body(path, content_type, body).await
    }

    /// Sends bytes as they are, all of them before it listens, and returns what came until the server closed.
    pub async fn send_raw(&self, request: &[u8]) -> Reply {
        let address = self.base.strip_prefix("http://").unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        // A server that refuses a request need not read it to its end.
        let _ = socket.write_all(request).await;
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, async {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = socket.read(&mut piece).await {
                answer.extend_from_slice(&piece[..length]);
            }
        })
        .await
        .expect("the server closes the connection");
        Reply::parse(&answer)
    }

    /// Sends a GET without normalizing its path and headers.
    pub async fn get_raw(&self, path: &str) -> Reply {
        self.send_raw(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .await
    }

    /// Runs a workflow and returns the answer to `execute`.
    pub async fn execute(&self, workflow: &str, params: Value) -> Value {
        let reply = self.post(&format!("/api/run/{workflow}/execute"), Form::new().params(params)).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// Runs a workflow and returns the id of its job.
    pub async fn submit(&self, workflow: &str, params: Value) -> String {
        self.execute(workflow, params).await["prompt_id"].as_str().unwrap().to_owned()
    }

    /// Cancels a job, which must succeed.
    pub async fn cancel(&self, prompt_id: &str) {
        let reply = self.post(&format!("/api/run/cancel/{prompt_id}"), Form::new()).await;
        assert!(reply.status.is_success(), "{}", reply.text());
        if reply.status == 202 {
            // The machine is so busy that the job has not stopped within some seconds.
            self.wait(prompt_id).await;
        }
    }

    /// Waits until a job is over, and returns its last status.
    pub async fn wait(&self, prompt_id: &str) -> Value {
        self.wait_until(prompt_id, |status| !matches!(status["status"].as_str(), Some("pending" | "running")))
            .await
    }

    pub async fn wait_until(&self, prompt_id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let reply = self.get(&format!("/api/run/status/{prompt_id}")).await;
            assert_eq!(reply.status, 200, "{}", reply.text());
            let status = reply.json();
            if done(&status) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "stuck at {status}");
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// An answer, with its body.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub async fn from_response<S>(mut response: awc::ClientResponse<S>) -> Self
    where
        S: futures::Stream<Item = Result<Bytes, awc::error::PayloadError>> + Unpin,
    {
        let body = response.body().limit(512 << 20).await.unwrap_or_default().to_vec();
        let headers = response.headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { status: response.status(), headers, body }
    }

    fn parse(answer: &[u8]) -> Self {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(answer)));
        let head = std::str::from_utf8(&answer[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse().unwrap(), value.parse().unwrap())
        };
        Self { status, headers: lines.map(header).collect(), body: answer[end + 4..].to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The `detail` of an error, which must be all that it says unless errors of params or ComfyUI's node errors come along.
    pub fn detail(&self) -> String {
        let body = self.json();
        let keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(matches!(keys[..], ["detail"] | ["detail", "param_errors" | "node_errors"]), "{body}");
        body["detail"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A multipart form.
#[derive(Default)]
pub struct Form {
    parts: Vec<u8>,
}

const BOUNDARY: &str = "----comfy-runner-test";

impl Form {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn params(self, params: Value) -> Self {
        self.text("params", &params.to_string())
    }

    pub fn text(mut self, name: &str, text: &str) -> Self {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n");
        self.parts.extend(head.into_bytes());
        self
    }

    pub fn file(mut self, name: &str, filename: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{filename}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        self.parts.extend(head.into_bytes());
        self.parts.extend(bytes);
        self.parts.extend(b"\r\n");
        self
    }

    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub fn body(self) -> Vec<u8> {
        let mut body = self.parts;
        body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
        body
    }
}
