//! Simulators as processes, and a server in front of them: the real binary, to be killed.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{Caller, Served, Simulated};
use super::until;

/// Simulators `gpu0`, `gpu1` and so on, and a server of them.
pub struct Pool {
    pub simulators: Vec<Simulated>,
    pub server: Served,
    pub caller: Caller,
    options: Vec<String>,
    folder: TempDir,
}

impl Pool {
    /// Starts simulators of no steps, and a server that gives each one job at a time.
    pub fn start(count: usize, options: &[&str]) -> Self {
        let options = [&["--comfyui-depth", "1"], options].concat();
        Self::start_with(&vec![&["--step-ms", "0"][..]; count], Caller::new(), &options)
    }

    /// Starts a simulator for each of these options, and a server.
    pub fn start_with(simulators: &[&[&str]], caller: Caller, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = |number| folder.path().join(format!("data{number}"));
        let simulators = simulators.iter().enumerate();
        let simulators: Vec<_> =
            simulators.map(|(number, options)| Simulated::start_with(&data(number), options)).collect();
        let options = [&["--failover-after", "0"], options].concat();
        let server = serve(&simulators, &folder, &options);
        let options = options.into_iter().map(str::to_owned).collect();
        Self { simulators, server, caller, options, folder }
    }

    /// Kills the server, and starts it again with the same ComfyUIs and records.
    pub fn restart_server(&mut self) {
        self.server.kill();
        self.start_server();
    }

    /// Starts the server, which has ended, with the same ComfyUIs and records.
    pub fn start_server(&mut self) {
        let options: Vec<_> = self.options.iter().map(String::as_str).collect();
        self.server = serve(&self.simulators, &self.folder, &options);
    }

    /// The state folder of the server.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub async fn submit(&self, workflow: &str, params: &Value) -> String {
        self.submit_as(&self.caller, workflow, params).await
    }

    pub async fn submit_as(&self, caller: &Caller, workflow: &str, params: &Value) -> String {
        caller.submit(&self.server.base, workflow, params).await
    }

    pub async fn get(&self, path: &str) -> Value {
        self.caller.get(&format!("{}{path}", self.server.base)).await.json()
    }

    /// Posts to the server, which must succeed.
    pub async fn post(&self, path: &str) {
        let reply = self.caller.post(&format!("{}{path}", self.server.base)).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }

    pub async fn cancel(&self, prompt_id: &str) {
        let path = format!("{}/api/run/cancel/{prompt_id}", self.server.base);
        let reply = self.caller.post(&path).await;
        assert!(matches!(reply.status.as_u16(), 200 | 202), "{path}: {}", reply.text());
        // A busy machine may not have stopped it within some seconds.
        self.until(prompt_id, |record| !record["finished_at"].is_null()).await;
    }

    pub async fn record(&self, prompt_id: &str) -> Value {
        self.get(&format!("/api/jobs/{prompt_id}")).await
    }

    /// Waits until a job is like this.
    pub async fn until(&self, prompt_id: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.until_path(&format!("/api/jobs/{prompt_id}"), is).await
    }

    /// Waits until the ComfyUIs are like this.
    pub async fn until_comfyuis(&self, is: impl Fn(&[Value]) -> bool) -> Value {
        self.until_path("/api/comfyui", |list| is(list["comfyuis"].as_array().unwrap())).await
    }

    /// Waits until this number of jobs waits for a ComfyUI.
    pub async fn until_waiting(&self, count: usize) {
        self.until_path("/api/comfyui", |list| list["waiting"] == count).await;
    }

    /// Waits until all ComfyUIs are up.
    pub async fn until_up(&self) {
        self.until_comfyuis(|all| all.iter().all(|comfyui| comfyui["status"] == "up")).await;
    }

    async fn until_path(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(path, async || self.get(path).await, is).await
    }

    /// Waits until a job completes, and returns the number of its ComfyUI.
    pub async fn completed(&self, prompt_id: &str) -> usize {
        let record = self.until(prompt_id, |record| !record["finished_at"].is_null()).await;
        assert_eq!(record["status"], "completed", "{record}");
        number(&record["comfyui"])
    }

    /// Waits until a job runs, and returns the number of its ComfyUI.
    pub async fn running(&self, prompt_id: &str) -> usize {
        number(&self.until(prompt_id, |record| record["status"] == "running").await["comfyui"])
    }

    /// Waits until a job is lost, and returns the one that repeats it.
    pub async fn repeated(&self, prompt_id: &str) -> String {
        let lost = self.until(prompt_id, |record| record["status"] == "error").await;
        let error = lost["error"].as_str().unwrap();
        error.rsplit_once("it was submitted again as ").unwrap_or_else(|| panic!("{error}")).1.to_owned()
    }

    /// Returns what a simulator says of itself at this path.
    pub async fn ask(&self, simulator: usize, path: &str) -> Value {
        self.caller.get(&format!("{}{path}", self.simulators[simulator].url)).await.json()
    }

    /// Returns the ids of the prompts that a simulator ran successfully since it was started, in their order.
    pub async fn ran(&self, simulator: usize) -> Vec<String> {
        let history = self.ask(simulator, "/history").await;
        let ended = history.as_object().unwrap().iter();
        let mut ran: Vec<_> = ended.filter(|(_, entry)| entry["status"]["status_str"] == "success").collect();
        ran.sort_by_key(|(_, entry)| entry["prompt"][0].as_u64());
        ran.into_iter().map(|(id, _)| id.clone()).collect()
    }
}

fn serve(simulators: &[Simulated], folder: &TempDir, options: &[&str]) -> Served {
    let urls = simulators.iter().enumerate();
    let urls: Vec<_> = urls.map(|(number, simulated)| format!("gpu{number}={}", simulated.url)).collect();
    Served::start(&urls.join(","), &folder.path().join("state"), options)
}

/// The number in `gpu3`.
pub fn number(comfyui: &Value) -> usize {
    let name = comfyui.as_str().unwrap_or_else(|| panic!("no ComfyUI has it: {comfyui}"));
    name.strip_prefix("gpu").unwrap().parse().unwrap()
}

/// The params of a job of `test-progress`.
pub fn job(steps: u32, delay_ms: u32, seed: u64) -> Value {
    json!({"steps": steps, "delay_ms": delay_ms, "seed": seed, "preview": false})
}

/// The params of a job of `test-progress` that runs until it is cancelled.
pub fn endless(seed: u64) -> Value {
    job(10_000, 20, seed)
}
