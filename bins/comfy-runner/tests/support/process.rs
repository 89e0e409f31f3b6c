//! The real binary as processes of their own, to be killed.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use comfy_runner_store::{Filter, Record, Sqlite, Store as _};
use serde_json::Value;

use super::{Form, PATIENCE, Reply, fixtures};

/// The command, with nothing of this environment's configuration.
pub fn comfy_runner() -> Command {
    without_configuration(Command::new(env!("CARGO_BIN_EXE_comfy-runner")))
}

pub fn without_configuration(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMFY")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A process that dies with its owner.
pub struct Process(Child);

impl Process {
    /// Starts a command whose stdout is a pipe, and waits for a line of it. Returns the lines so far, or all of them if the
    /// command ends before.
    pub fn start_until(
        command: &mut Command,
        is_ready: impl Fn(&str) -> bool,
    ) -> Result<(Self, String), String> {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Self(child);
        let mut printed = String::new();
        loop {
            let Some(line) = lines.next() else { return Err(printed) };
            let line = line.unwrap();
            printed += &format!("{line}\n");
            if is_ready(&line) {
                // A full pipe would stop the process.
                std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
                return Ok((process, printed));
            }
        }
    }

    /// SIGKILL: the process does nothing more.
    pub fn kill(&mut self) {
        // It may have ended by itself; that is for others to notice.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }

    /// SIGTERM, and the process' end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal("-TERM");
        self.0.wait().unwrap()
    }

    fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

/// The memory of a process, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// What it has now.
    pub resident: u64,
    /// The most that it has had.
    pub peak: u64,
}

impl Process {
    #[cfg(target_os = "linux")]
    fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Memory { resident: kib("VmRSS:"), peak: kib("VmHWM:") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A simulator that comes back at the same address, with the same files and without a memory.
pub struct Simulated {
    process: Process,
    /// Its folder of files.
    pub data: PathBuf,
    options: Vec<String>,
    pub url: String,
}

impl Simulated {
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &["--step-ms", "0"])
    }

    pub fn start_with(data: &Path, options: &[&str]) -> Self {
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        let (process, url) = Self::try_start(data, "127.0.0.1:0", &options).expect("a free port can be had");
        Self { process, data: data.to_owned(), options, url }
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGSTOP: the system still accepts connections for it, and it answers nothing.
    pub fn suspend(&self) {
        self.process.signal("-STOP");
    }

    /// SIGCONT: it goes on as if nothing had happened.
    pub fn resume(&self) {
        self.process.signal("-CONT");
    }

    pub fn restart(&mut self) {
        self.kill();
        let address = self.url.strip_prefix("http://").unwrap().to_owned();
        let started = Instant::now();
        loop {
            if let Some((process, _)) = Self::try_start(&self.data, &address, &self.options) {
                self.process = process;
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the port is taken");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_start(data: &Path, listen: &str, options: &[String]) -> Option<(Process, String)> {
        let mut command = comfy_runner();
        command.args(["simulate", "--listen", listen, "--data"]).arg(data).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let process = Process(child);
        Some((process, format!("http{}", line.trim().split("http").nth(1)?)))
    }
}

/// A server that can be killed.
pub struct Served {
    process: Process,
    pub base: String,
}

impl Served {
    /// `comfy-runner serve` with the sample workflows.
    pub fn start(comfyui: &str, state: &Path, more: &[&str]) -> Self {
        Self::try_start(comfy_runner(), comfyui, state, more).unwrap_or_else(|log| panic!("{log}"))
    }

    /// `comfy-runner serve` with the sample workflows and a configuration file.
    pub fn start_with_config(config: &Path, state: &Path) -> Self {
        let mut command = comfy_runner();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--workers",
            "1",
            "--log-format",
            "json",
            "--config",
        ]);
        command.arg(config).arg("--state-dir").arg(state);
        Self::listening(command).unwrap_or_else(|log| panic!("{log}"))
    }

    /// As [`Served::start`], by another command that runs ours; or all that it wrote before it ended.
    pub fn try_start(
        mut command: Command,
        comfyui: &str,
        state: &Path,
        more: &[&str],
    ) -> Result<Self, String> {
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--log-format", "json"])
            .args(["--comfyui", comfyui, "--state-dir"])
            .arg(state)
            .args(more);
        Self::listening(command)
    }

    fn listening(mut command: Command) -> Result<Self, String> {
        command.env("COMFY_RUNNER_WORKFLOWS", fixtures().join("workflows"));
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let process = Process(child);
        let mut log = String::new();
        loop {
            let Some(line) = lines.next() else { return Err(log) };
            let line = line.unwrap();
            let parsed: Value = serde_json::from_str(&line).unwrap_or_default();
            if parsed["fields"]["message"] == "listening" {
                let base = format!("http://{}", parsed["fields"]["address"].as_str().unwrap());
                // A full pipe would stop the server.
                let loud = std::env::var_os("COMFY_RUNNER_TEST_LOG").is_some();
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok).filter(|_| loud) {
                        eprintln!("{line}");
                    }
                });
                return Ok(Self { process, base });
            }
            log += &format!("{line}\n");
        }
    }

    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// The memory of the server.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> Memory {
        self.process.memory()
    }

    /// Stops the server in good order.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.process.terminate()
    }
}

/// A caller that knows what it is to be refused a connection.
#[derive(Clone)]
pub struct Caller {
    http: awc::Client,
}

/// What came of asking for a job.
#[derive(Debug, PartialEq)]
pub enum Asked {
    /// The server gave it this id.
    Taken(String),
    /// The server said no, in these words.
    Refused(u16, String),
    /// Nothing listens: the server has not heard of it.
    NotHeard,
    /// The connection broke, so the outcome is unknown.
    NoAnswer,
}

impl Caller {
    pub fn new() -> Self {
        Self { http: awc::Client::builder().timeout(PATIENCE).disable_redirects().finish() }
    }

    /// A caller with an API key.
    pub fn with_key(key: &str) -> Self {
        let builder = awc::Client::builder().timeout(PATIENCE).disable_redirects();
        Self { http: builder.add_default_header(("X-API-Key", key)).finish() }
    }

    pub async fn execute(&self, base: &str, workflow: &str, params: &Value) -> Asked {
        let form = Form::new().params(params.clone());
        let request = self
            .http
            .post(format!("{base}/api/run/{workflow}/execute"))
            .content_type(form.content_type())
            .force_close();
        match request.send_body(form.body()).await {
            Ok(mut response) => {
                let status = response.status().as_u16();
                let Ok(body) = response.json::<Value>().await else { return Asked::NoAnswer };
                match body["prompt_id"].as_str() {
                    Some(id) => Asked::Taken(id.to_owned()),
                    None => Asked::Refused(status, body["detail"].as_str().unwrap_or_default().to_owned()),
                }
            }
            Err(awc::error::SendRequestError::Connect(awc::error::ConnectError::Io(_))) => Asked::NotHeard,
            Err(_) => Asked::NoAnswer,
        }
    }

    /// Runs a workflow, which must be accepted, and returns the id of its job.
    pub async fn submit(&self, base: &str, workflow: &str, params: &Value) -> String {
        match self.execute(base, workflow, params).await {
            Asked::Taken(prompt_id) => prompt_id,
            other => panic!("{other:?}"),
        }
    }

    pub async fn post(&self, url: &str) -> Reply {
        Reply::from_response(
            self.http.post(url).force_close().send().await.unwrap_or_else(|error| panic!("{url}: {error}")),
        )
        .await
    }

    pub async fn get(&self, url: &str) -> Reply {
        Reply::from_response(
            self.http.get(url).force_close().send().await.unwrap_or_else(|error| panic!("{url}: {error}")),
        )
        .await
    }

    /// Waits until a job is over, and returns its status.
    pub async fn over(&self, base: &str, prompt_id: &str) -> Value {
        let started = Instant::now();
        loop {
            let reply = self.get(&format!("{base}/api/run/status/{prompt_id}")).await;
            assert_eq!(reply.status, 200, "{prompt_id}: {}", reply.text());
            let status = reply.json();
            if !matches!(status["status"].as_str(), Some("pending" | "running")) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "{prompt_id} is stuck at {status}");
            actix_rt::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Returns every record in the state folder of a server that is gone, by prompt id.
pub async fn records(state: &Path) -> HashMap<String, Record> {
    let store = Sqlite::open(state).unwrap();
    let mut records = HashMap::new();
    for job in store.list(Filter::default()).await.unwrap().jobs {
        let record = store.get(&job.prompt_id).await.unwrap().unwrap();
        records.insert(job.prompt_id, record);
    }
    records
}
