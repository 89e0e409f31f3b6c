//! Measures what the server adds to ComfyUI, on loopback and in one run: `just bench`. The figures, and how they were
//! taken, stand in `docs/benchmarks.md`.
//!
//! The server (`comfy-runner serve`) and the simulator (`comfy-runner simulate`) are processes of their own. This one
//! makes requests on a single thread, so that it takes no more than it must of the cores that it shares with them.
//!
//!     cargo build --release -p comfy-runner && cargo run --release -p comfy-runner --example load [PATH_OF_COMFY_RUNNER]
//!
//! With `calls`, `downloads`, `watchers` or `many` as an argument, only that is measured. `watchers`, jobs by the thousand and
//! those who watch them, needs some five thousand open files (`ulimit -n`). `many` starts three hundred simulators in this
//! process, and is left out without an argument.
//!
//! With `COMFYUI_URL` set, `/execute` and `/status` are also measured before that ComfyUI, which must have the test nodes
//! of `fixtures/comfyui_test_nodes`, and which nothing else may use meanwhile. Files whose names end in `.json` are graphs in API
//! format: with them, only `/execute` is measured, with each of them. Their jobs wait and are withdrawn, so the models that they
//! name may be empty files.

mod download;
mod execute;
mod http;
mod job;
mod library;
mod many;
mod poll;
mod process;
mod table;
mod watchers;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use execute::Place;
use http::Address;
use job::Job;
use library::Library;
use process::Process;
use table::{Row, Table};

/// The arguments that choose what is measured.
const PARTS: [&str; 4] = ["calls", "downloads", "watchers", "many"];

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, measure())
}

async fn measure() -> anyhow::Result<()> {
    let binary = binary()?;
    let graphs: Vec<_> = std::env::args().skip(1).filter(|argument| is_graph(argument)).collect();
    if !graphs.is_empty() {
        return measure_graphs(&graphs, &binary).await;
    }
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let library = Library::write(&folder.path().join("workflows"))?;
    let mut table = Table::new();

    let chosen: Vec<_> = std::env::args().filter(|argument| PARTS.contains(&argument.as_str())).collect();
    let is_chosen = |part: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == part);

    if chosen.iter().any(|part| part == "many") {
        many::measure(&binary, &library, &folder.path().join("serve-many")).await?;
    }
    if ["calls", "downloads", "watchers"].into_iter().any(is_chosen) {
        let data = folder.path().join("comfyui");
        let (_simulator, simulated) =
            Process::simulate(&binary, &data, &folder.path().join("simulate.log")).await?;
        let simulators = std::slice::from_ref(&simulated);
        let (server, address) =
            Process::serve(&binary, &library, simulators, &folder.path().join("serve")).await?;
        if is_chosen("calls") {
            measure_calls("simulator", &address, &simulated, &mut table).await?;
        }
        if is_chosen("downloads") {
            measure_downloads(&server, &address, &simulated, &data, &mut table).await?;
        }
        if is_chosen("watchers") {
            measure_watchers(&server, &address, &simulated).await?;
        }
    }
    if let Ok(url) = std::env::var("COMFYUI_URL")
        && is_chosen("calls")
    {
        let comfyui: Address = url.parse().context("COMFYUI_URL")?;
        let comfyuis = std::slice::from_ref(&comfyui);
        let (_server, address) =
            Process::serve(&binary, &library, comfyuis, &folder.path().join("serve-comfyui")).await?;
        measure_calls("ComfyUI", &address, &comfyui, &mut table).await?;
    }
    Ok(())
}

/// Measures `/execute` with these graphs, before the ComfyUI of `COMFYUI_URL`.
async fn measure_graphs(graphs: &[String], binary: &Path) -> anyhow::Result<()> {
    let url = std::env::var("COMFYUI_URL").context("graphs need COMFYUI_URL")?;
    let comfyui: Address = url.parse().context("COMFYUI_URL")?;
    let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
    let library = Library::write(&folder.path().join("workflows"))?;
    let workflows: Vec<_> =
        graphs.iter().map(|file| library.add_file(Path::new(file))).collect::<anyhow::Result<_>>()?;
    let comfyuis = std::slice::from_ref(&comfyui);
    let (_server, server) = Process::serve(binary, &library, comfyuis, &folder.path().join("serve")).await?;
    let mut table = Table::new();
    job::while_one_runs(&server, &comfyui, async |_| {
        for workflow in &workflows {
            measure_execute("ComfyUI", &server, &comfyui, workflow, &mut table).await?;
        }
        Ok(())
    })
    .await
}

/// Measures `/execute` with a workflow, while a job runs.
async fn measure_execute(
    before: &str,
    server: &Address,
    comfyui: &Address,
    workflow: &str,
    table: &mut Table,
) -> anyhow::Result<()> {
    for (place, waits, most) in [(Place::ComfyUi, "", 1.3), (Place::Queue, ", waits", 1.0)] {
        let (ours, raw) = execute::compare(server, comfyui, workflow, place).await?;
        let name = format!("/execute, {workflow}, {before}{waits}");
        table.print(Row::at_most(format!("{name}, median"), ours.median, raw.median, "ms", most));
        table.print(Row::plain(format!("{name}, p95"), ours.p95, raw.p95, "ms"));
    }
    Ok(())
}

/// Returns whether an argument is the file of a graph.
fn is_graph(argument: &str) -> bool {
    argument.ends_with(".json")
}

/// The binary that is measured: an argument names it, or it lies where cargo puts it beside this example.
fn binary() -> anyhow::Result<PathBuf> {
    let is_path = |argument: &String| !PARTS.contains(&argument.as_str()) && !is_graph(argument);
    let path = match std::env::args().skip(1).find(is_path) {
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
        for workflow in [library::TWO_NODES, library::THIRTY_NODES] {
            measure_execute(before, server, comfyui, workflow, table).await?;
        }
        poll::compare(server, comfyui, running, &ended).await
    });
    let (ours, history) = measures.await?;
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

async fn measure_watchers(server: &Process, address: &Address, comfyui: &Address) -> anyhow::Result<()> {
    let figures = watchers::measure(server, address, comfyui).await?;
    let latency = |latency: &watchers::Latency| {
        format!("median {:.1} ms, p99 {:.1} ms, worst {:.1} ms", latency.median, latency.p99, latency.worst)
    };
    let (unwatched, watched) = figures.requests_in_window;
    println!(
        "10,000 jobs wait and 2,000 watch the one that runs, half by WebSocket, half by server-sent events:"
    );
    println!(
        "  jobs taken: {:.0} a second, {} requests to ComfyUI",
        figures.submitted, figures.requests_submitting
    );
    println!(
        "  memory: {:.1} MiB before, {:.1} MiB with the jobs, {:.1} MiB with the watchers",
        figures.memory_idle, figures.memory_queued, figures.memory_watched
    );
    println!("  a step, from the first who sees it to the others: {}", latency(&figures.step));
    println!("  states that were sent: {}", figures.states);
    println!("  the end, from the call that cancels to the first: {:.0} ms", figures.cancel);
    println!("  the end, from the first to the others: {}", latency(&figures.end));
    println!("  requests to ComfyUI in 20 s: {unwatched} without watchers, {watched} with them");
    println!("  WebSockets to ComfyUI: {}", figures.sockets);
    Ok(())
}
