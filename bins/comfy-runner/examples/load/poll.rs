//! How many times a second `/status` of a running job is answered, beside ComfyUI's own `/history/{id}`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::future::try_join_all;
use serde_json::json;

use super::http::{Address, Connection};
use super::library::{LONG, TWO_NODES};
use super::table::median;

const CONNECTIONS: usize = 16;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers per second: ours about a job that runs, and ComfyUI's about one that has ended. They take turns.
pub async fn compare(server: &Address, comfyui: &Address) -> anyhow::Result<(f64, f64)> {
    let mut to_us = Connection::open(server).await?;
    let ended = start(&mut to_us, server, TWO_NODES).await?;
    until(&mut to_us, server, &ended, "completed").await?;
    let running = start(&mut to_us, server, LONG).await?;
    until(&mut to_us, server, &running, "running").await?;

    let status = server.get(&format!("/api/run/status/{running}"));
    let history = comfyui.get(&format!("/history/{ended}"));
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(rate(server, &status).await?);
        raw.push(rate(comfyui, &history).await?);
    }
    // What was measured was measured while it ran. The connections of before have been idle for too long.
    let mut to_us = Connection::open(server).await?;
    until(&mut to_us, server, &running, "running").await?;
    Connection::open(comfyui)
        .await?
        .exchange(&comfyui.post_json("/interrupt", &json!({"prompt_id": running})))
        .await?;
    until(&mut to_us, server, &running, "cancelled").await?;
    Ok((median(ours), median(raw)))
}

/// The same request again and again on each of the connections, without pipelining.
async fn rate(address: &Address, request: &[u8]) -> anyhow::Result<f64> {
    let connections = try_join_all((0..CONNECTIONS).map(|_| Connection::open(address))).await?;
    let started = Instant::now();
    let ask = |mut connection: Connection| async move {
        let mut answers = 0u32;
        while started.elapsed() < ROUND {
            connection.exchange(request).await?;
            answers += 1;
        }
        anyhow::Ok(answers)
    };
    let answers: u32 = try_join_all(connections.into_iter().map(ask)).await?.iter().sum();
    Ok(f64::from(answers) / started.elapsed().as_secs_f64())
}

/// Runs a workflow; returns the job's id.
pub async fn start(connection: &mut Connection, server: &Address, workflow: &str) -> anyhow::Result<String> {
    let request = server.post_params(&format!("/api/run/{workflow}/execute"), &json!({"color": 4711}));
    let reply = connection.json(&request).await?;
    Ok(reply["prompt_id"].as_str().context("the reply to /execute has no prompt_id")?.to_owned())
}

/// Waits until the job's status is this.
pub async fn until(
    connection: &mut Connection,
    server: &Address,
    job: &str,
    status: &str,
) -> anyhow::Result<()> {
    let request = server.get(&format!("/api/run/status/{job}"));
    let started = Instant::now();
    loop {
        let reply = connection.json(&request).await?;
        if reply["status"] == status {
            return Ok(());
        }
        if started.elapsed() > PATIENCE {
            bail!("a job should be {status}, and is: {reply}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
