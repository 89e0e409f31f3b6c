//! The processes that are measured. They end when they are dropped.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::http::{Address, Connection};
use super::library::Library;

const START: Duration = Duration::from_secs(10);

/// A process of the binary.
pub struct Process(Child);

impl Process {
    /// A simulator with its files in `data`.
    pub async fn simulate(binary: &Path, data: &Path, log: &Path) -> anyhow::Result<(Self, Address)> {
        let mut command = Command::new(binary);
        command.args(["simulate", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        Self::start(command, log, "listening on http://").await
    }

    /// A server before ComfyUIs, as it is without options: it logs each request that is no poll, and its records are on the disk.
    /// Its log and its records are in `folder`, which is created.
    pub async fn serve(
        binary: &Path,
        library: &Library,
        comfyuis: &[Address],
        folder: &Path,
    ) -> anyhow::Result<(Self, Address)> {
        std::fs::create_dir(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--state-dir"]).arg(folder.join("state"));
        command.arg("--workflows").arg(library.path());
        for (number, comfyui) in comfyuis.iter().enumerate() {
            command.arg("--comfyui").arg(format!("gpu{number}=http://{comfyui}"));
        }
        let (process, address) = Self::start(command, &folder.join("log"), "address=").await?;
        Connection::open(&address).await?.exchange(&address.get("/ready")).await?;
        Ok((process, address))
    }

    /// The time that it has used of the cores.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        let path = format!("/proc/{}/stat", self.0.id());
        let stat =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}; is this Linux?"))?;
        // The name of the program may contain spaces. After it, the 12th and 13th values are hundredths of a second.
        let values = stat.rsplit_once(')').map(|(_, values)| values.split_whitespace().skip(11).take(2));
        let ticks: u64 = values.into_iter().flatten().filter_map(|value| value.parse::<u64>().ok()).sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Starts a process and waits until its output tells, after `mark`, where it listens.
    async fn start(mut command: Command, log: &Path, mark: &str) -> anyhow::Result<(Self, Address)> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        // The user's own settings must not change what is measured.
        command.env_clear().stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut process = Self(child);
        let started = Instant::now();
        loop {
            let said = std::fs::read_to_string(log)?;
            let address = said.split_once(mark).and_then(|(_, rest)| rest.split_once(char::is_whitespace));
            if let Some((address, _)) = address {
                return Ok((process, format!("http://{address}").parse()?));
            }
            if process.0.try_wait()?.is_some() || started.elapsed() > START {
                bail!("{command:?} does not listen; it said: {said}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The memory that it has now, and the most that it has had, in MiB.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        let path = format!("/proc/{}/status", self.0.id());
        let status =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}; is this Linux?"))?;
        let mib = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = value.and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).with_context(|| format!("{path} has no {name}"))
        };
        Ok((mib("VmRSS:")?, mib("VmHWM:")?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
