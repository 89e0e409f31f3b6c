//! How long `/execute` takes beside a `POST /prompt` of the same graph straight to ComfyUI.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::http::{Address, Connection};
use super::job::Job;

const ROUNDS: usize = 300;
/// Connections are made and caches filled before anything counts.
const WARM_UP: usize = 20;

/// Milliseconds.
pub struct Latency {
    pub median: f64,
    pub p95: f64,
}

/// Where a job goes while it is timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To ComfyUI.
    ComfyUi,
    /// Into our queue, as ComfyUI has two of our jobs.
    Queue,
}

/// Ours, and the raw one. They take turns, one request at a time.
///
/// Another job must be running, so that these wait and are withdrawn again. What is timed is the taking of a job, not its
/// rivalry for the cores with the one who asked: on an idle ComfyUI the scheduler often lets the new job run before the reply to
/// its prompt.
pub async fn compare(
    server: &Address,
    comfyui: &Address,
    workflow: &str,
    place: Place,
) -> anyhow::Result<(Latency, Latency)> {
    let second = match place {
        Place::ComfyUi => None,
        Place::Queue => Some(Job::start(server, workflow).await?),
    };
    let measured = measure(server, comfyui, workflow).await;
    if let Some(second) = second {
        second.cancel(server).await?;
    }
    measured
}

async fn measure(server: &Address, comfyui: &Address, workflow: &str) -> anyhow::Result<(Latency, Latency)> {
    let mut to_us = Connection::open(server).await?;
    let mut to_comfyui = Connection::open(comfyui).await?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let (color, raw_color) = (json!({"color": 2 * round}), json!({"color": 2 * round + 1}));
        let request = server.post_params(&format!("/api/run/{workflow}/execute"), &color);
        let graph =
            to_us.json(&server.post_params(&format!("/api/run/{workflow}/build"), &raw_color)).await?;
        let raw_request = comfyui.post_json("/prompt", &json!({"prompt": graph, "client_id": "load"}));

        // Each was just awake: that a sleeping core takes its time is not ours to measure.
        to_comfyui.exchange(&comfyui.get("/prompt")).await?;
        to_us.exchange(&server.get("/health")).await?;
        let (took, job) = time(&mut to_us, &request).await?;
        Job(job).cancel(server).await?;

        to_us.exchange(&server.get("/health")).await?;
        to_comfyui.exchange(&comfyui.get("/prompt")).await?;
        let (took_raw, job) = time(&mut to_comfyui, &raw_request).await?;
        withdraw(&mut to_comfyui, comfyui, &job).await?;

        if round >= WARM_UP {
            ours.push(took);
            raw.push(took_raw);
        }
    }
    Ok((Latency::new(ours), Latency::new(raw)))
}

/// How long a request took that makes a job, and the job.
async fn time(connection: &mut Connection, request: &[u8]) -> anyhow::Result<(Duration, String)> {
    let started = Instant::now();
    let reply = connection.exchange(request).await?;
    let took = started.elapsed();
    let reply: Value = serde_json::from_slice(reply)?;
    let job = reply["prompt_id"].as_str().with_context(|| format!("not accepted: {reply}"))?;
    Ok((took, job.to_owned()))
}

/// Takes a job out of the queue.
async fn withdraw(connection: &mut Connection, comfyui: &Address, job: &str) -> anyhow::Result<()> {
    connection.exchange(&comfyui.post_json("/queue", &json!({"delete": [job]}))).await?;
    Ok(())
}

impl Latency {
    fn new(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
        Self { median: at(0.5), p95: at(0.95) }
    }
}
