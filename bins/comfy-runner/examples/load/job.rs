//! Jobs that are started through our server, and waited for.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::http::{Address, Connection};
use super::library::LONG;

const PATIENCE: Duration = Duration::from_secs(20);

/// A job.
pub struct Job(pub String);

impl Job {
    /// Runs a workflow.
    pub async fn start(server: &Address, workflow: &str) -> anyhow::Result<Self> {
        let request = server.post_params(&format!("/api/run/{workflow}/execute"), &json!({"color": 4711}));
        let reply = Connection::open(server).await?.json(&request).await?;
        let job = reply["prompt_id"].as_str().context("the reply to /execute has no prompt_id")?;
        Ok(Self(job.to_owned()))
    }

    /// Waits until its status is this, and returns what `/status` says.
    pub async fn until(&self, server: &Address, status: &str) -> anyhow::Result<Value> {
        let mut connection = Connection::open(server).await?;
        let request = server.get(&self.status_path());
        let started = Instant::now();
        loop {
            let reply = connection.json(&request).await?;
            if reply["status"] == status {
                return Ok(reply);
            }
            if started.elapsed() > PATIENCE {
                bail!("a job should be {status}, and is: {reply}");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Cancels it, and waits until it is.
    pub async fn cancel(&self, server: &Address) -> anyhow::Result<()> {
        let cancel = server.post_json(&format!("/api/run/cancel/{}", self.0), &json!({}));
        Connection::open(server).await?.exchange(&cancel).await?;
        self.until(server, "cancelled").await.map(drop)
    }

    pub fn status_path(&self) -> String {
        format!("/api/run/status/{}", self.0)
    }
}

/// Does something while a long job runs, which is interrupted afterwards, also when that went wrong.
pub async fn while_one_runs<T>(
    server: &Address,
    comfyui: &Address,
    work: impl AsyncFnOnce(&Job) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let queue = Connection::open(comfyui).await?.json(&comfyui.get("/prompt")).await?;
    ensure!(
        queue["exec_info"]["queue_remaining"] == 0,
        "the ComfyUI at {comfyui} has work to do; what is measured there would say little"
    );
    let job = Job::start(server, LONG).await?;
    let result = async {
        job.until(server, "running").await?;
        let result = work(&job).await?;
        // It must have run all the while.
        job.until(server, "running").await?;
        Ok(result)
    }
    .await;
    let interrupt = comfyui.post_json("/interrupt", &json!({"prompt_id": job.0}));
    Connection::open(comfyui).await?.exchange(&interrupt).await?;
    job.until(server, "cancelled").await?;
    result
}
