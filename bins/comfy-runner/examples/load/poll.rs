//! How many times a second `/status` of a running job is answered, beside ComfyUI's own `/history/{id}`.

use std::time::{Duration, Instant};

use futures::future::try_join_all;

use super::http::{Address, Connection};
use super::job::Job;
use super::table::median;

const CONNECTIONS: usize = 16;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);

/// Answers per second: ours about the job that runs, and ComfyUI's about one that has ended. They take turns.
pub async fn compare(
    server: &Address,
    comfyui: &Address,
    running: &Job,
    ended: &Job,
) -> anyhow::Result<(f64, f64)> {
    let status = server.get(&running.status_path());
    let history = comfyui.get(&format!("/history/{}", ended.0));
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(rate(server, &status).await?);
        raw.push(rate(comfyui, &history).await?);
    }
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
