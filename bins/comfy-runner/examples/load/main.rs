//! Measures what the server adds to ComfyUI, on loopback and in one run: `just bench`. The figures, and how they were
//! taken, stand in `docs/benchmarks.md`.
//!
//! The server (`comfy-runner serve`) and the simulator (`comfy-runner simulate`) are processes of their own. This one
//! makes requests on a single thread, so that it takes no more than it must of the cores that it shares with them.
//!
//!     cargo build --release -p comfy-runner && cargo run --release -p comfy-runner --example load [PATH_OF_COMFY_RUNNER]
//!
//! With `COMFYUI_URL` set, `/execute` and `/status` are also measured before that ComfyUI, which must have the test nodes
//! of `fixtures/comfyui_test_nodes`, and which nobody else should use meanwhile.

mod download;
mod execute;
mod http;
mod job;
mod library;
mod poll;
mod process;
mod table;

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use http::Address;
use job::Job;
use library::Library;
use process::Process;
use table::{Row, Table};

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> anyhow::Result<()> {
    let binary = binary()?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let library = Library::write(&folder.path().join("workflows"))?;
    let mut table = Table::new();

    let data = folder.path().join("comfyui");
    let (_simulator, simulated) =
        Process::simulate(&binary, &data, &folder.path().join("simulate.log")).await?;
    let (server, address) =
        Process::serve(&binary, &library, &simulated, &folder.path().join("serve.log")).await?;
    measure_calls("simulator", &address, &simulated, &mut table).await?;
    measure_downloads(&server, &address, &simulated, &data, &mut table).await?;

    if let Ok(url) = std::env::var("COMFYUI_URL") {
        let comfyui: Address = url.parse().context("COMFYUI_URL")?;
        let (_server, address) =
            Process::serve(&binary, &library, &comfyui, &folder.path().join("serve-comfyui.log")).await?;
        measure_calls("ComfyUI", &address, &comfyui, &mut table).await?;
    }
    Ok(())
}

/// The binary that is measured: an argument names it, or it lies where cargo puts it beside this example.
fn binary() -> anyhow::Result<PathBuf> {
    let path = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => {
            let example = std::env::current_exe().context("cannot tell where this program is")?;
            let profile = example.parent().and_then(|examples| examples.parent());
            profile.context("this program lies in no folder of cargo's")?.join("comfy-runner")
        }
    };
    ensure!(
        path.is_file(),
        "there is no {}: build it with `cargo build --release -p comfy-runner`, or give its path as the argument",
        path.display()
    );
    Ok(path)
}

async fn measure_calls(
    before: &str,
    server: &Address,
    comfyui: &Address,
    table: &mut Table,
) -> anyhow::Result<()> {
    let ended = Job::start(server, library::TWO_NODES).await?;
    ended.until(server, "completed").await?;
    let measures = job::while_one_runs(server, comfyui, async |running| {
        let two = execute::compare(server, comfyui, library::TWO_NODES).await?;
        let thirty = execute::compare(server, comfyui, library::THIRTY_NODES).await?;
        let polls = poll::compare(server, comfyui, running, &ended).await?;
        Ok(([(library::TWO_NODES, two), (library::THIRTY_NODES, thirty)], polls))
    });
    let (latencies, (ours, history)) = measures.await?;
    for (workflow, (ours, raw)) in latencies {
        let name = format!("/execute, {workflow}, {before}");
        table.print(Row::at_most(format!("{name}, median"), ours.median, raw.median, "ms", 1.5));
        table.print(Row::plain(format!("{name}, p95"), ours.p95, raw.p95, "ms"));
    }
    // Ten times what a real ComfyUI answers about its history; the simulator is no measure for that.
    let row = match before {
        "ComfyUI" => Row::at_least(format!("/status, {before}"), ours, history, "/s", 10.0),
        _ => Row::above(format!("/status, {before}"), ours, history, "/s", 45_000.0),
    };
    table.print(row);
    Ok(())
}

async fn measure_downloads(
    server: &Process,
    address: &Address,
    comfyui: &Address,
    data: &std::path::Path,
    table: &mut Table,
) -> anyhow::Result<()> {
    let large = download::Large::make(address, data).await?;
    let (ours, raw) = large.compare(address, comfyui).await?;
    table.print(Row::at_least("/result of 256 MiB".into(), ours, raw, "MiB/s", 0.8));
    let memory = large.memory_of(server, address).await?;
    table.print(Row::below("memory, eight downloads, peak".into(), memory.peak, memory.before, "MiB", 64.0));
    table.note(format!("{:.1} MiB half-way, {:.1} MiB after", memory.half_way, memory.after));
    Ok(())
}
