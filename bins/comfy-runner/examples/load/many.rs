//! What three hundred ComfyUIs and ten thousand waiting jobs cost: memory and processor time while nothing happens, and how long
//! it takes until a ComfyUI that has room gets the next job.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};

use super::http::{Address, Connection};
use super::library::{Library, QUIET, TWO_NODES};
use super::process::Process;
use super::table::median;
use super::watchers::submit;

const COMFYUIS: usize = 300;
const JOBS: usize = 10_000;
/// How long is looked at a server on which nothing happens.
const WINDOW: Duration = Duration::from_secs(20);
/// How often a job is ended, so that the next one is placed.
const ENDS: usize = 100;

pub async fn measure(binary: &Path, library: &Library, folder: &Path) -> anyhow::Result<()> {
    let start = || Simulator::builder().start().context("a simulator does not start");
    let simulators = (0..COMFYUIS).map(|_| start()).collect::<anyhow::Result<Vec<_>>>()?;
    let addresses: Vec<Address> =
        simulators.iter().map(|simulator| simulator.url().parse()).collect::<anyhow::Result<_>>()?;
    let (server, address) = Process::serve(binary, library, &addresses, folder).await?;
    until_connected(&address).await?;
    println!("{COMFYUIS} ComfyUIs:");
    report(&server, "without jobs").await?;

    let started = Instant::now();
    submit(&address, QUIET, 2 * COMFYUIS).await?;
    println!("  the first {} jobs were accepted in {:.2} s", 2 * COMFYUIS, started.elapsed().as_secs_f64());
    let started = Instant::now();
    submit(&address, TWO_NODES, JOBS).await?;
    println!("  {JOBS} more: {:.0} a second", JOBS as f64 / started.elapsed().as_secs_f64());
    report(&server, &format!("with {JOBS} waiting jobs")).await?;

    let mut took = Vec::new();
    for number in 0..ENDS {
        let at = number % simulators.len();
        took.push(time_to_next(&simulators[at], &addresses[at]).await?.as_secs_f64() * 1e3);
    }
    let worst = took.iter().copied().fold(0.0, f64::max);
    println!(
        "  from the end of a job to the next prompt for its ComfyUI: median {:.2} ms, worst {worst:.2} ms",
        median(took)
    );
    report(&server, "after that").await
}

/// Waits until the server is connected to every ComfyUI.
async fn until_connected(server: &Address) -> anyhow::Result<()> {
    let mut connection = Connection::open(server).await?;
    let started = Instant::now();
    loop {
        let state: Value = connection.json(&server.get("/api/comfyui")).await?;
        let comfyuis = state["comfyuis"].as_array().with_context(|| format!("no list: {state}"))?;
        let connected = comfyuis.iter().filter(|comfyui| comfyui["status"] == "up").count();
        if connected == COMFYUIS {
            return Ok(());
        }
        ensure!(started.elapsed() < Duration::from_secs(60), "only {connected} ComfyUIs are connected");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Prints the memory of a server, and the processor time that it uses while nothing happens.
async fn report(server: &Process, when: &str) -> anyhow::Result<()> {
    // What has just happened is over by then.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (memory, peak) = server.memory()?;
    let before = server.cpu_time()?;
    tokio::time::sleep(WINDOW).await;
    let used = (server.cpu_time()? - before).as_secs_f64() / WINDOW.as_secs_f64();
    println!("  {when}: {memory:.0} MiB (at most {peak:.0}), {:.2} % of a core", used * 100.0);
    Ok(())
}

/// Interrupts the running job of a ComfyUI, and returns the time until it gets a prompt for the one that takes its place.
async fn time_to_next(simulator: &Simulator, address: &Address) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(address).await?;
    let before = simulator.requests();
    let started = Instant::now();
    connection.exchange(&address.post_json("/interrupt", &json!({}))).await?;
    // The interruption itself is the first request.
    while simulator.requests() < before + 2 {
        ensure!(started.elapsed() < Duration::from_secs(20), "no prompt follows an interruption");
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    Ok(started.elapsed())
}
