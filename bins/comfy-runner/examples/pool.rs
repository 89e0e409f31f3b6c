//! Measures how long 200 jobs take on several simulated ComfyUIs, spread by the server and in two simple ways:
//! `just bench pool`. Each job uses one of three checkpoints, in random order; a ComfyUI keeps one in memory, and loading one
//! takes as long as running a job. Then as many jobs without any work show what the server adds to each. The figures, and how they
//! were taken, stand in `docs/benchmarks.md`.
//!
//! The numbers of ComfyUIs can be given as arguments, `1 2 4 8` without; and the length of a job in milliseconds as `ms=500`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use comfy_runner::server::{AllowedOrigins, ComfyUiFolders, Limits, PublicUrl, Server, Settings};
use comfy_runner_client::Config;
use comfy_runner_files::{Location, ObjectFiles};
use comfy_runner_jobs::{ComfyUi, FilesConfig, JobsConfig};
use comfy_runner_scheduler::Priority;
use comfy_runner_simulator::Simulator;
use comfy_runner_store::Sqlite;
use comfy_runner_workflow::Workflows;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

const JOBS: u64 = 200;
/// The steps of a job.
const STEPS: u32 = 4;
/// The length of a job.
const RUN: Duration = Duration::from_millis(500);
const CHECKPOINTS: [&str; 3] =
    ["sd_xl_base_1.0.safetensors", "v1-5-pruned-emaonly.safetensors", "v1-5-pruned-emaonly-fp16.safetensors"];

fn main() -> anyhow::Result<()> {
    let (mut counts, mut run) = (Vec::new(), RUN);
    for argument in std::env::args().skip(1) {
        match argument.strip_prefix("ms=") {
            Some(milliseconds) => run = Duration::from_millis(milliseconds.parse()?),
            None => counts.push(argument.parse()?),
        }
    }
    let counts = if counts.is_empty() { vec![1, 2, 4, 8] } else { counts };
    println!("{JOBS} jobs of {} s, loading a checkpoint takes as long", run.as_secs_f64());
    println!("| ComfyUIs | shortest possible | ours | fewest prompts | in turn |");
    println!("| --- | --- | --- | --- | --- |");
    actix_rt::System::new().block_on(async {
        for count in counts {
            let ours = ours(count, run).await?;
            let fewest = directly(count, run, fewest).await?;
            let in_turn = directly(count, run, in_turn).await?;
            let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
            let row = [shortest(count, run), ours, fewest, in_turn].map(seconds);
            println!("| {count} | {} |", row.join(" | "));
        }
        let each = |time: Duration| time.as_secs_f64() * 1e3 / JOBS as f64;
        let (ours, raw) = (ours(1, Duration::ZERO).await?, directly(1, Duration::ZERO, in_turn).await?);
        println!("without work, on one ComfyUI: {:.2} ms per job, {:.2} directly", each(ours), each(raw));
        Ok(())
    })
}

/// A lower bound: every ComfyUI is busy to the end, and each checkpoint is loaded once, or each ComfyUI loads one.
fn shortest(count: usize, run: Duration) -> Duration {
    let loads = count.max(CHECKPOINTS.len()) as u32;
    run * (JOBS as u32 + loads) / count as u32
}

/// Returns the checkpoint of each job: in random order, the same in each run.
fn jobs() -> Vec<&'static str> {
    (0..JOBS).map(|number| CHECKPOINTS[(splitmix(number) % CHECKPOINTS.len() as u64) as usize]).collect()
}

/// The random number of SplitMix64 at this position. Simpler ones repeat with some number of ComfyUIs.
fn splitmix(position: u64) -> u64 {
    let mut number = position.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn graph(checkpoint: &str, seed: u64, run: Duration) -> Value {
    let text =
        |text: &str| json!({"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["1", 1]}});
    json!({
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
        "2": text("a"),
        "3": text("b"),
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "5": {"class_type": "KSampler", "inputs": {
            "seed": seed, "steps": 1, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0]}},
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "RunnerTestProgress", "inputs": {
            "image": ["6", 0], "steps": STEPS, "delay_ms": (run / STEPS).as_millis() as u64, "seed": seed, "preview": false}},
        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "x"}},
    })
}

fn simulators(count: usize, load: Duration) -> anyhow::Result<Vec<Simulator>> {
    let simulator =
        || Simulator::builder().step_delay(Duration::ZERO).model_load(load).models_in_memory(1).start();
    (0..count).map(|_| simulator().context("a simulator does not start")).collect()
}

async fn until_all_are_done(simulators: &[Simulator]) {
    while simulators.iter().map(Simulator::executed_prompts).sum::<usize>() < JOBS as usize {
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends every job to the server, all of them at once, and returns the time until the last one is done.
async fn ours(count: usize, run: Duration) -> anyhow::Result<Duration> {
    let simulators = simulators(count, run)?;
    let folder = tempfile::tempdir()?;
    write_workflow(&folder.path().join("mixed"), run)?;
    let comfyuis = simulators.iter().enumerate().map(|(number, simulator)| {
        Ok(ComfyUi::new(&format!("gpu{number}"), Config::new(simulator.url().parse()?))?)
    });
    let settings = Settings {
        listen: "127.0.0.1:0".parse()?,
        api_keys: Vec::new(),
        allow_origins: AllowedOrigins::default(),
        max_upload: 1 << 20,
        allow_input_hosts: Vec::new(),
        limits: Limits::default(),
        max_priority: Priority::MAX,
        workers: Some(1),
        comfyuis: comfyuis.collect::<anyhow::Result<_>>()?,
        folders: ComfyUiFolders::default(),
        public_url: PublicUrl::default(),
        jobs: JobsConfig::default(),
        store: Arc::new(Sqlite::open(&folder.path().join("state"))?),
        files: FilesConfig::new(Arc::new(ObjectFiles::open(&Location::Temporary)?)),
        redirect_downloads: false,
        allow_edit: false,
    };
    let server = Server::bind(&settings, Arc::new(Workflows::open(folder.path())?))?;
    let (url, handle) = (format!("http://{}/api/run/mixed/execute", server.address()), server.handle());
    let serving = actix_rt::spawn(server.run());
    let http = awc::Client::builder().timeout(Duration::from_secs(60)).finish();
    let begun = Instant::now();
    let requests = (0u64..).zip(jobs()).map(|(seed, checkpoint)| {
        let request = http.post(&url).send_json(&json!({"checkpoint": checkpoint, "seed": seed}));
        async move {
            let mut response = request.await.map_err(|error| anyhow::anyhow!("{error}"))?;
            let body = response.body().await?;
            ensure!(response.status().is_success(), "{}", String::from_utf8_lossy(&body));
            Ok(())
        }
    });
    let mut answers = stream::iter(requests).buffered(16);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    until_all_are_done(&simulators).await;
    let took = begun.elapsed();
    handle.stop(true).await;
    serving.await??;
    Ok(took)
}

fn write_workflow(folder: &Path, run: Duration) -> anyhow::Result<()> {
    std::fs::create_dir(folder)?;
    let manifest = "id: mixed
inputs:
  - {id: checkpoint, type: string, node_id: 1, field: ckpt_name}
  - {id: seed, type: seed, node_id: 5, field: seed}
";
    std::fs::write(folder.join("manifest.yaml"), manifest)?;
    Ok(std::fs::write(folder.join("workflow.json"), graph(CHECKPOINTS[0], 0, run).to_string())?)
}

/// Sends every job to a ComfyUI directly, as `choose` says, and returns the time until the last one is done.
async fn directly(
    count: usize,
    run: Duration,
    choose: fn(usize, &[usize]) -> usize,
) -> anyhow::Result<Duration> {
    let simulators = simulators(count, run)?;
    let http = awc::Client::builder().timeout(Duration::from_secs(60)).finish();
    let mut sent = vec![0; count];
    let begun = Instant::now();
    for (number, checkpoint) in jobs().into_iter().enumerate() {
        let left: Vec<_> = simulators
            .iter()
            .zip(&sent)
            .map(|(simulator, sent)| sent - simulator.executed_prompts())
            .collect();
        let at = choose(number, &left);
        let prompt = json!({"prompt": graph(checkpoint, number as u64, run), "client_id": "bench"});
        let request = http.post(format!("{}/prompt", simulators[at].url())).send_json(&prompt);
        let response = request.await.map_err(|error| anyhow::anyhow!("{error}"))?;
        ensure!(response.status().is_success(), "a simulator answers {}", response.status());
        sent[at] += 1;
    }
    until_all_are_done(&simulators).await;
    Ok(begun.elapsed())
}

/// The ComfyUI with the fewest prompts.
fn fewest(_: usize, left: &[usize]) -> usize {
    (0..left.len()).min_by_key(|at| left[*at]).unwrap_or(0)
}

fn in_turn(number: usize, left: &[usize]) -> usize {
    number % left.len()
}
