//! How long `/execute` takes beside a `POST /prompt` of the same graph straight to ComfyUI.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::http::{Address, Connection};

const ROUNDS: usize = 300;
/// Connections are made and caches filled before anything counts.
const WARM_UP: usize = 20;

/// Milliseconds.
pub struct Latency {
    pub median: f64,
    pub p95: f64,
}

/// Ours, and the raw one. They take turns, one request at a time, each before an empty queue: what is timed is the taking
/// of a job, not the rivalry with an earlier one for the cores.
pub async fn compare(
    server: &Address,
    comfyui: &Address,
    workflow: &str,
) -> anyhow::Result<(Latency, Latency)> {
    let mut to_us = Connection::open(server).await?;
    let mut to_comfyui = Connection::open(comfyui).await?;
    // Each job has a colour of its own, so that ComfyUI never finds one in its cache.
    let (mut requests, mut raw_requests) = (Vec::new(), Vec::new());
    for round in 0..WARM_UP + ROUNDS {
        let params = json!({"color": 2 * round});
        requests.push(server.post_params(&format!("/api/run/{workflow}/execute"), &params));
        let params = json!({"color": 2 * round + 1});
        let graph = to_us.json(&server.post_params(&format!("/api/run/{workflow}/build"), &params)).await?;
        raw_requests.push(comfyui.post_json("/prompt", &json!({"prompt": graph, "client_id": "load"})));
    }
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for (request, raw_request) in requests.iter().zip(&raw_requests) {
        ours.push(time(&mut to_us, request).await?);
        until_idle(&mut to_comfyui, comfyui).await?;
        raw.push(time(&mut to_comfyui, raw_request).await?);
        until_idle(&mut to_comfyui, comfyui).await?;
    }
    drop((ours.drain(..WARM_UP), raw.drain(..WARM_UP)));
    Ok((Latency::of(ours), Latency::of(raw)))
}

async fn time(connection: &mut Connection, request: &[u8]) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let reply = connection.exchange(request).await?;
    let took = started.elapsed();
    let reply: Value = serde_json::from_slice(reply)?;
    reply["prompt_id"].as_str().with_context(|| format!("not accepted: {reply}"))?;
    Ok(took)
}

/// Waits until nothing runs or waits.
async fn until_idle(connection: &mut Connection, comfyui: &Address) -> anyhow::Result<()> {
    let request = comfyui.get("/prompt");
    while connection.json(&request).await?["exec_info"]["queue_remaining"] != 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The last messages about the job reach our server.
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(())
}

impl Latency {
    fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
        Self { median: at(0.5), p95: at(0.95) }
    }
}
