//! Measures two servers of the Comfy API v2 before one ComfyUI in one run: this one and another front. The figures, and how they
//! were taken, are in `docs/benchmarks.md`.
//!
//!     cargo run --release -p comfy-runner --example api_v2 -- URL=PID URL=PID [PART...]
//!
//! The first is ours. Both must be listening already, and be processes of this machine, because their memory is measured. The
//! ComfyUI behind them must have the test nodes of `fixtures/comfyui_test_nodes`. The two take turns within each part, so that
//! other work on the machine affects both alike. The parts are `submit`, `polls`, `expired`, `memory`, `upload` and `streams`;
//! all of them when none is named.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Submissions of each graph.
const SUBMISSIONS: usize = 300;
/// Connections that poll a finished job.
const POLLERS: usize = 16;
/// Rounds of polling, and how long each is.
const ROUNDS: (usize, Duration) = (5, Duration::from_secs(2));
/// Jobs that are polled without pause until they end.
const POLLED_JOBS: usize = 1000;
/// Jobs that remain.
const REMAINING_JOBS: usize = 1000;
/// The size of an upload.
const UPLOAD: usize = 90 << 20;
/// Streams of one job.
const STREAMS: usize = 2000;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut front = || Front::parse(&arguments.next().context("two arguments are needed: URL=PID URL=PID")?);
    let (ours, other) = (front()?, front()?);
    let parts: Vec<_> = arguments.collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    println!("{:<58} {:>14} {:>14}", "", "ours", "other");
    if wants("submit") {
        submit(&ours, &other).await?;
    }
    if wants("polls") {
        polls(&ours, &other).await?;
    }
    if wants("expired") {
        expired(&ours, &other).await?;
    }
    if wants("memory") {
        memory(&ours, &other).await?;
    }
    if wants("upload") {
        upload(&ours, &other).await?;
    }
    if wants("streams") {
        streams(&ours, &other).await?;
    }
    Ok(())
}

fn print(what: &str, ours: impl std::fmt::Display, other: impl std::fmt::Display) {
    println!("{what:<58} {ours:>14} {other:>14}");
}

/// A server.
struct Front {
    address: String,
    pid: u32,
}

impl Front {
    fn parse(argument: &str) -> anyhow::Result<Self> {
        let (url, pid) = argument.rsplit_once('=').context("an argument is URL=PID")?;
        let address = url.strip_prefix("http://").context("a URL begins with http://")?;
        Ok(Self { address: address.trim_end_matches('/').to_owned(), pid: pid.parse()? })
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    fn get(&self, path: &str) -> Vec<u8> {
        format!("GET /api/v2{path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).into_bytes()
    }

    fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
        let mut request = format!(
            "POST /api/v2{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        )
        .into_bytes();
        request.extend(body);
        request
    }

    fn submission(&self, graph: &Value) -> Vec<u8> {
        self.post("/jobs", "application/json", json!({"workflow": graph}).to_string().as_bytes())
    }

    /// Memory in KiB: now, or the most since [`Front::forget_peak`].
    fn memory(&self, name: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such figure")?;
        let kib = line.split_whitespace().nth(1).context("no number")?;
        Ok(kib.parse()?)
    }

    fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5")?)
    }
}

/// A connection with one request at a time.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Sends a request and returns the status and the body of its answer.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, body_at, length) = loop {
            self.read().await?;
            if let Some(at) = self.buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                let (status, length) = head(&self.buffer[..at])?;
                break (status, at + 4, length);
            }
        };
        while self.buffer.len() < body_at + length {
            self.read().await?;
        }
        Ok((status, self.buffer[body_at..].to_vec()))
    }

    async fn json(&mut self, request: &[u8]) -> anyhow::Result<Value> {
        let (status, body) = self.exchange(request).await?;
        ensure!((200..300).contains(&status), "{status}: {}", String::from_utf8_lossy(&body));
        Ok(serde_json::from_slice(&body)?)
    }

    /// Submits a graph and returns the job's id.
    async fn submit(&mut self, front: &Front, graph: &Value) -> anyhow::Result<String> {
        let job = self.json(&front.submission(graph)).await?;
        Ok(job["id"].as_str().context("a job has an id")?.to_owned())
    }

    /// Polls a job until it is over, and returns its last status.
    async fn end(&mut self, front: &Front, id: &str, pause: Duration) -> anyhow::Result<String> {
        let request = front.get(&format!("/jobs/{id}"));
        loop {
            let job = self.json(&request).await?;
            match job["status"].as_str().context("a job has a status")? {
                "queued" | "running" | "canceling" => {}
                over => return Ok(over.to_owned()),
            }
            if pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
        Ok(())
    }
}

/// The status and the length in the head of an answer.
fn head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.get(9..12)?.parse().ok()).context("no status")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status, length.context("no length")?))
}

/// A graph that ComfyUI has not run before: an image that is inverted a number of times and saved.
fn graph(inversions: usize) -> Value {
    let color = rand::random::<u32>() >> 8;
    let mut graph = json!({"1": {"class_type": "EmptyImage", "_meta": {"title": "Empty Image"}, "inputs": {
        "width": 16, "height": 16, "batch_size": 1, "color": color}}});
    for number in 2..inversions + 2 {
        graph[number.to_string()] = json!({"class_type": "ImageInvert",
            "_meta": {"title": format!("Invert Image, the step with the number {number} of this graph")},
            "inputs": {"image": [(number - 1).to_string(), 0]}});
    }
    graph["save"] = json!({"class_type": "SaveImage", "_meta": {"title": "Save Image"}, "inputs": {
        "images": [(inversions + 1).to_string(), 0], "filename_prefix": "benchmark/final"}});
    graph
}

/// A job that makes a step each half second until it is cancelled.
fn long() -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 1}},
        "2": {"class_type": "RunnerTestProgress", "inputs": {"image": ["1", 0], "steps": 5000, "delay_ms": 500,
              "seed": rand::random::<u32>(), "preview": false}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    })
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How long a submission takes on an idle ComfyUI, in milliseconds. The next follows when its job is over.
async fn submit(ours: &Front, other: &Front) -> anyhow::Result<()> {
    for inversions in [0, 28] {
        let fronts = [ours, other];
        let mut connections = [ours.connect().await?, other.connect().await?];
        let mut took = [Vec::new(), Vec::new()];
        for round in 0..SUBMISSIONS + 20 {
            // Who comes first alternates, too.
            for side in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                let (front, connection) = (fronts[side], &mut connections[side]);
                let request = front.submission(&graph(inversions));
                let started = Instant::now();
                let job = connection.json(&request).await?;
                let elapsed = started.elapsed().as_secs_f64() * 1e3;
                connection
                    .end(front, job["id"].as_str().unwrap_or_default(), Duration::from_millis(2))
                    .await?;
                if round >= 20 {
                    took[side].push(elapsed);
                }
            }
        }
        let [ours, other] = took.map(median);
        print(
            &format!("submit, {} nodes, median", inversions + 2),
            format!("{ours:.2} ms"),
            format!("{other:.2} ms"),
        );
    }
    Ok(())
}

/// How many times a second a finished job is answered.
async fn polls(ours: &Front, other: &Front) -> anyhow::Result<()> {
    let mut rates = [Vec::new(), Vec::new()];
    let mut requests = Vec::new();
    for front in [ours, other] {
        let mut connection = front.connect().await?;
        let id = connection.submit(front, &graph(0)).await?;
        connection.end(front, &id, Duration::from_millis(50)).await?;
        requests.push(front.get(&format!("/jobs/{id}")));
    }
    for _ in 0..ROUNDS.0 {
        for (side, front) in [ours, other].into_iter().enumerate() {
            let connections = try_join_all((0..POLLERS).map(|_| front.connect())).await?;
            let started = Instant::now();
            let request = requests[side].as_slice();
            let poll = |mut connection: Connection| async move {
                let mut answers = 0_u32;
                while started.elapsed() < ROUNDS.1 {
                    let (status, _) = connection.exchange(request).await?;
                    ensure!(status == 200, "{status}");
                    answers += 1;
                }
                anyhow::Ok(answers)
            };
            let answers: u32 = try_join_all(connections.into_iter().map(poll)).await?.iter().sum();
            rates[side].push(f64::from(answers) / started.elapsed().as_secs_f64());
        }
    }
    let [ours, other] = rates.map(median);
    print(
        &format!("a finished job polled, {POLLERS} connections"),
        format!("{ours:.0}/s"),
        format!("{other:.0}/s"),
    );
    print("the same, ratio", format!("{:.1}", ours / other), "");
    Ok(())
}

/// How many jobs are reported `expired`, although they succeed. Three poll each job without pause.
async fn expired(ours: &Front, other: &Front) -> anyhow::Result<()> {
    let fronts = [ours, other];
    let mut wrong = [0, 0];
    let mut pollers = [Vec::new(), Vec::new()];
    for (side, front) in fronts.into_iter().enumerate() {
        pollers[side] = try_join_all((0..3).map(|_| front.connect())).await?;
    }
    for _ in 0..POLLED_JOBS {
        for side in 0..2 {
            let front = fronts[side];
            let id = pollers[side][0].submit(front, &graph(0)).await?;
            let ends = pollers[side].iter_mut().map(|poller| poller.end(front, &id, Duration::ZERO));
            let ends = try_join_all(ends).await?;
            if ends.iter().any(|end| end == "expired") {
                wrong[side] += 1;
            } else {
                ensure!(ends.iter().all(|end| end == "succeeded"), "{id}: {ends:?}");
            }
        }
    }
    print(&format!("reported expired, of {POLLED_JOBS}"), wrong[0], wrong[1]);
    Ok(())
}

/// How much memory a job takes when it is over.
async fn memory(ours: &Front, other: &Front) -> anyhow::Result<()> {
    let size = graph(28).to_string().len();
    let mut grown = Vec::new();
    for front in [ours, other] {
        let mut connection = front.connect().await?;
        let before = front.memory("VmRSS")?;
        let mut ids = Vec::new();
        for _ in 0..REMAINING_JOBS {
            ids.push(connection.submit(front, &graph(28)).await?);
        }
        for id in &ids {
            let end = connection.end(front, id, Duration::from_millis(100)).await?;
            ensure!(end == "succeeded" || end == "expired", "{id}: {end}");
        }
        grown.push((front.memory("VmRSS")? - before) / REMAINING_JOBS as f64);
    }
    print(
        &format!("memory per job, graph of {size} bytes"),
        format!("{:.1} KiB", grown[0]),
        format!("{:.1} KiB", grown[1]),
    );
    print("the same, share", format!("1/{:.1}", grown[1] / grown[0]), "");
    Ok(())
}

/// How much the memory grows while large files are uploaded.
async fn upload(ours: &Front, other: &Front) -> anyhow::Result<()> {
    for at_once in [1, 4] {
        let mut grown = Vec::new();
        for front in [ours, other] {
            let requests: Vec<_> = (0..at_once).map(|_| upload_request(front)).collect();
            let before = front.memory("VmRSS")?;
            front.forget_peak()?;
            let send = async |request: &[u8]| front.connect().await?.json(request).await;
            try_join_all(requests.iter().map(|request| send(request))).await?;
            grown.push((front.memory("VmHWM")? - before) / 1024.0);
        }
        let what = format!("memory while {at_once} x {} MiB are uploaded, peak", UPLOAD >> 20);
        print(&what, format!("+{:.1} MiB", grown[0]), format!("+{:.1} MiB", grown[1]));
    }
    Ok(())
}

fn upload_request(front: &Front) -> Vec<u8> {
    let mut bytes = vec![0; UPLOAD];
    // No two files are the same.
    bytes[..16].copy_from_slice(&rand::random::<[u8; 16]>());
    let field = |name: &str, value: &str| {
        format!("--part\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let mut body =
        (field("content_type", "application/octet-stream") + &field("file_path", "large.bin")).into_bytes();
    body.extend(b"--part\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large.bin\"\r\n\r\n");
    body.extend(bytes);
    body.extend(b"\r\n--part--\r\n");
    front.post("/assets", "multipart/form-data; boundary=part", &body)
}

/// How many of many streams of one job are opened, follow it and hear its end.
async fn streams(ours: &Front, other: &Front) -> anyhow::Result<()> {
    let mut opened = Vec::new();
    let mut followed = Vec::new();
    let mut ended = Vec::new();
    let mut memory = Vec::new();
    for front in [ours, other] {
        let mut connection = front.connect().await?;
        let id = connection.submit(front, &long()).await?;
        while connection.json(&front.get(&format!("/jobs/{id}"))).await?["status"] != "running" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let before = front.memory("VmRSS")?;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            if let Some(stream) = Stream::open(front, &id).await? {
                streams.push(stream);
            }
        }
        memory.push((front.memory("VmRSS")? - before) / streams.len().max(1) as f64);
        opened.push(streams.len());
        let window = Duration::from_secs(10);
        let heard = join_all(streams.iter_mut().map(|stream| stream.hears("event: progress", window))).await;
        followed.push(heard.into_iter().filter(|heard| *heard).count());
        connection.json(&front.post(&format!("/jobs/{id}/cancel"), "application/json", b"")).await?;
        let window = Duration::from_secs(60);
        let heard = join_all(streams.iter_mut().map(|stream| stream.hears("\"canceled\"", window))).await;
        ended.push(heard.into_iter().filter(|heard| *heard).count());
        connection.end(front, &id, Duration::from_millis(100)).await?;
    }
    print(&format!("streams of one job, of {STREAMS}: opened"), opened[0], opened[1]);
    print("that got progress within 10 s", followed[0], followed[1]);
    print("that got the end within 60 s after the cancel", ended[0], ended[1]);
    print("memory per stream", format!("{:.1} KiB", memory[0]), format!("{:.1} KiB", memory[1]));
    Ok(())
}

/// A stream of events.
struct Stream {
    connection: Connection,
}

impl Stream {
    /// Opens a stream. `None` if there are too many.
    async fn open(front: &Front, id: &str) -> anyhow::Result<Option<Self>> {
        let mut connection = front.connect().await?;
        connection.stream.write_all(&front.get(&format!("/jobs/{id}/events"))).await?;
        while connection.buffer.len() < 12 {
            connection.read().await?;
        }
        match &connection.buffer[9..12] {
            b"200" => Ok(Some(Self { connection })),
            b"429" => Ok(None),
            other => bail!("a stream is {}", String::from_utf8_lossy(other)),
        }
    }

    /// Reads on until a text comes. Returns whether it came in time.
    async fn hears(&mut self, text: &str, window: Duration) -> bool {
        self.connection.buffer.clear();
        let heard = async {
            loop {
                if self.connection.read().await.is_err() {
                    return false;
                }
                if self.connection.buffer.windows(text.len()).any(|window| window == text.as_bytes()) {
                    return true;
                }
                let keep = self.connection.buffer.len().saturating_sub(64);
                self.connection.buffer.drain(..keep);
            }
        };
        tokio::time::timeout(window, heard).await.unwrap_or(false)
    }
}
