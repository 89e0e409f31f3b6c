//! What ten thousand jobs in the queue and two thousand watchers of the one that runs cost: memory of the server, how long a
//! change takes to reach all watchers, and what ComfyUI hears of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::{Address, Connection};
use super::job::Job;
use super::library::{STEADY, TWO_NODES};
use super::process::Process;

const JOBS: usize = 10_000;
const WATCHERS: usize = 2_000;
/// Connections that submit jobs.
const CALLERS: usize = 16;
/// How long is looked at what goes on, once without watchers and once with them.
const WINDOW: Duration = Duration::from_secs(20);

/// Milliseconds.
pub struct Latency {
    pub median: f64,
    pub p99: f64,
    pub worst: f64,
}

/// What was measured. Memory is in MiB.
pub struct Figures {
    pub memory_idle: f64,
    pub memory_queued: f64,
    pub memory_watched: f64,
    /// Jobs a second.
    pub submitted: f64,
    /// From the first watcher that sees a step to each of the others.
    pub step: Latency,
    /// How many states the watchers got.
    pub states: usize,
    /// From the call that cancels the job to the first watcher that hears of its end, in milliseconds. ComfyUI is asked for
    /// its queue in between, which is a long one.
    pub cancel: f64,
    /// From that first watcher to each of the others.
    pub end: Latency,
    /// Requests to ComfyUI while the jobs were submitted.
    pub requests_submitting: u64,
    /// Requests to ComfyUI in a window without watchers, and in one with them.
    pub requests_in_window: (u64, u64),
    /// WebSockets that ComfyUI has with all watchers there.
    pub sockets: u64,
}

pub async fn measure(process: &Process, server: &Address, simulator: &Address) -> anyhow::Result<Figures> {
    let (memory_idle, _) = process.memory()?;
    let running = Job::start(server, STEADY).await?;
    running.until(server, "running").await?;

    let before = heard(simulator).await?;
    let started = Instant::now();
    submit(server, TWO_NODES, JOBS).await?;
    let submitted = JOBS as f64 / started.elapsed().as_secs_f64();
    let after = heard(simulator).await?;
    let (memory_queued, _) = process.memory()?;

    let unwatched = requests_in_window(simulator).await?;
    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut watchers = Vec::new();
    for number in 0..WATCHERS {
        watchers.push(Watcher::open(server, &running, number % 2 == 0).await?);
    }
    let ends = watchers.into_iter().map(|watcher| tokio::task::spawn_local(watcher.watch(Rc::clone(&seen))));
    let ends: Vec<_> = ends.collect();
    // Those that have only come get the present state, which is no measure of anything.
    tokio::time::sleep(Duration::from_secs(2)).await;
    seen.borrow_mut().steps.clear();
    let watched = requests_in_window(simulator).await?;
    let sockets = heard(simulator).await?.1;
    let (memory_watched, _) = process.memory()?;
    let steps = std::mem::take(&mut seen.borrow_mut().steps);

    // The waiting jobs must not run: nothing reads their results.
    let drain = server.post_json("/api/comfyui/gpu0/drain", &json!({}));
    Connection::open(server).await?.exchange(&drain).await?;
    let cancelled = Instant::now();
    Connection::open(server)
        .await?
        .exchange(&server.post_json(&format!("/api/run/cancel/{}", running.0), &json!({})))
        .await?;
    let mut ended = Vec::new();
    for end in ends {
        ended.push(end.await??);
    }
    let first = ended.iter().copied().min().context("there are no watchers")?;
    let took = ended.into_iter().map(|at| at.duration_since(first)).collect();
    Ok(Figures {
        memory_idle,
        memory_queued,
        memory_watched,
        submitted,
        states: steps.values().map(Vec::len).sum(),
        step: Latency::new(delays(&steps)).context("no watcher received a step")?,
        cancel: first.duration_since(cancelled).as_secs_f64() * 1e3,
        end: Latency::new(took).context("there are no watchers")?,
        requests_submitting: after.0 - before.0,
        requests_in_window: (unwatched, watched),
        sockets,
    })
}

/// Submits so many jobs, from several callers at once.
pub async fn submit(server: &Address, workflow: &str, jobs: usize) -> anyhow::Result<()> {
    let request = server.post_params(&format!("/api/run/{workflow}/execute"), &json!({"color": 1}));
    let caller = async || {
        let mut connection = Connection::open(server).await?;
        for _ in 0..jobs / CALLERS {
            connection.exchange(&request).await?;
        }
        anyhow::Ok(())
    };
    try_join_all((0..CALLERS).map(|_| caller())).await.map(drop)
}

/// How many requests the simulator has had, less those that ask for it here, and how many WebSockets it has.
async fn heard(simulator: &Address) -> anyhow::Result<(u64, u64)> {
    let stats: Value = Connection::open(simulator).await?.json(&simulator.get("/system_stats")).await?;
    let count = |name: &str| stats["system"][name].as_u64().with_context(|| format!("no {name}: {stats}"));
    Ok((count("simulator_requests")?, count("simulator_sockets")?))
}

async fn requests_in_window(simulator: &Address) -> anyhow::Result<u64> {
    let (before, _) = heard(simulator).await?;
    tokio::time::sleep(WINDOW).await;
    let (after, _) = heard(simulator).await?;
    // The second question is ours.
    Ok(after - before - 1)
}

/// When the watchers saw which step.
#[derive(Default)]
struct Seen {
    steps: BTreeMap<u64, Vec<Instant>>,
}

/// From the first who saw a step, or a later one, to each who saw it.
fn delays(steps: &BTreeMap<u64, Vec<Instant>>) -> Vec<Duration> {
    let mut delays = Vec::new();
    let mut first_of_later: Option<Instant> = None;
    for times in steps.values().rev() {
        let first = times.iter().copied().chain(first_of_later).min();
        delays.extend(times.iter().filter_map(|time| Some(time.duration_since(first?))));
        first_of_later = first;
    }
    delays
}

/// One who watches, by WebSocket or by server-sent events.
struct Watcher(TcpStream);

impl Watcher {
    async fn open(server: &Address, job: &Job, by_websocket: bool) -> anyhow::Result<Self> {
        let request = match by_websocket {
            true => format!(
                "GET /api/run/ws?prompt_id={} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                job.0
            ),
            false => format!("GET /api/run/events/{} HTTP/1.1\r\nHost: {server}\r\n\r\n", job.0),
        };
        let mut stream = TcpStream::connect(server.to_string()).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(Self(stream))
    }

    /// Records each step that it receives until the end, and returns the time of the end.
    async fn watch(mut self, seen: Rc<RefCell<Seen>>) -> anyhow::Result<Instant> {
        let mut buffer = vec![0; 16 * 1024];
        let mut filled = 0;
        loop {
            ensure!(filled < buffer.len(), "a message is too long for this tool");
            let read = self.0.read(&mut buffer[filled..]).await?;
            if read == 0 {
                bail!("a watcher did not receive the end: {}", String::from_utf8_lossy(&buffer[..filled]));
            }
            let now = Instant::now();
            filled += read;
            let text = String::from_utf8_lossy(&buffer[..filled]);
            if text.contains("\"type\":\"job.cancelled\"") {
                return Ok(now);
            }
            // Every state here ends with the files so far, of which there are none.
            let Some(end) = text.rfind("\"node_outputs\":{}") else { continue };
            let steps = text[..end].match_indices("\"step\":").filter_map(|(at, mark)| {
                text[at + mark.len()..].split_once(',').and_then(|(step, _)| step.parse().ok())
            });
            for step in steps {
                seen.borrow_mut().steps.entry(step).or_default().push(now);
            }
            filled = 0;
        }
    }
}

impl Latency {
    fn new(mut took: Vec<Duration>) -> Option<Self> {
        took.sort_unstable();
        let at = |share: f64| {
            let at = (took.len().checked_sub(1)? as f64 * share).round() as usize;
            Some(took.get(at)?.as_secs_f64() * 1e3)
        };
        Some(Self { median: at(0.5)?, p99: at(0.99)?, worst: at(1.0)? })
    }
}
