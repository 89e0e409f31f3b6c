//! How fast a large result is delivered beside ComfyUI's own `/view`, and what memory the server takes for it.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::{join, try_join_all};

use super::http::{Address, Connection};
use super::job::Job;
use super::library::SAVED;
use super::process::Process;
use super::table::median;

const MIB: usize = 256;
const ROUNDS: usize = 7;
const CLIENTS: usize = 8;

/// A large file that is a job's result.
pub struct Large {
    job: Job,
    filename: String,
    subfolder: String,
}

/// What a process had, in MiB.
pub struct Memory {
    pub before: f64,
    pub half_way: f64,
    pub peak: f64,
    pub after: f64,
}

impl Large {
    /// Runs a job that saves an image, and puts 256 MiB in its place below the simulator's folder `data`.
    pub async fn make(server: &Address, data: &Path) -> anyhow::Result<Self> {
        let job = Job::start(server, SAVED).await?;
        let status = job.until(server, "completed").await?;
        let file = &status["outputs"]["image"];
        let part = |name: &str| {
            file[name].as_str().map(str::to_owned).with_context(|| format!("no {name}: {status}"))
        };
        let large = Self { job, filename: part("filename")?, subfolder: part("subfolder")? };
        let path = data.join("output").join(&large.subfolder).join(&large.filename);
        ensure!(path.is_file(), "the simulator did not save {}", path.display());
        let mut file = std::fs::File::create(&path)?;
        for mib in 0..MIB {
            // No zeros: a file system might keep them as a hole.
            file.write_all(&[mib as u8 | 1; 1 << 20])?;
        }
        Ok(large)
    }

    /// MiB per second: our `/result`, and the raw `/view`. They take turns, one download at a time.
    pub async fn compare(&self, server: &Address, comfyui: &Address) -> anyhow::Result<(f64, f64)> {
        let mut to_us = Connection::open(server).await?;
        let mut to_comfyui = Connection::open(comfyui).await?;
        let view = comfyui
            .get(&format!("/view?filename={}&subfolder={}&type=output", self.filename, self.subfolder));
        let result = self.result(server);
        throughput(&mut to_comfyui, &view).await?;
        throughput(&mut to_us, &result).await?;
        let (mut ours, mut raw) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(throughput(&mut to_us, &result).await?);
            raw.push(throughput(&mut to_comfyui, &view).await?);
        }
        Ok((median(ours), median(raw)))
    }

    /// The server's memory while eight clients download at once, four times over.
    pub async fn memory_of(&self, process: &Process, server: &Address) -> anyhow::Result<Memory> {
        let result = self.result(server);
        let (before, _) = process.memory()?;
        let eight = || async {
            let connections = try_join_all((0..CLIENTS).map(|_| Connection::open(server))).await?;
            let download = |mut connection: Connection| {
                let result = &result;
                async move { throughput(&mut connection, result).await }
            };
            try_join_all(connections.into_iter().map(download)).await
        };
        let look = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            process.memory()
        };
        let (downloads, half_way) = join(eight(), look).await;
        downloads?;
        for _ in 0..3 {
            eight().await?;
        }
        let (after, peak) = process.memory()?;
        Ok(Memory { before, half_way: half_way?.0, peak, after })
    }

    fn result(&self, server: &Address) -> Vec<u8> {
        server.get(&format!("/api/run/result/{}?output_type=image", self.job.0))
    }
}

/// MiB per second of one download.
async fn throughput(connection: &mut Connection, request: &[u8]) -> anyhow::Result<f64> {
    let started = Instant::now();
    let length = connection.download(request).await?;
    ensure!(length == MIB << 20, "the file has {length} bytes");
    Ok(MIB as f64 / started.elapsed().as_secs_f64())
}
