//! Compares conversions with ComfyUI's real editor in a headless browser.
//!
//! The editor's files come from the package index, the node schemas from a file. ComfyUI does not run. See
//! `docs/ui-format.md`.

mod batch;
mod browser;
mod browser_values;
mod compare;
mod conversion;
mod devtools;
mod difference;
mod editor;
mod expectation;
mod init;
mod screenshot;
mod server;
mod templates;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(about, long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the prompt that the editor sends for each graph in a folder
    Editor(Batch),
    /// Compare our conversions with the editor's, for every template whose node types have schemas
    Compare(Compare),
    /// Compare the graph that `comfy-runner init` builds from each template with the template's graph; needs no editor
    Init(InitCheck),
    /// Take a screenshot of a graph in the editor
    Screenshot(Screenshot),
}

/// The editor, its schemas, and the browser.
#[derive(Debug, Clone, Args)]
struct Source {
    /// The folder with the editor's index.html, or the folder of the package that contains it
    #[arg(long, value_name = "DIR")]
    frontend: PathBuf,
    /// The node schemas: what `GET /object_info` returns
    #[arg(long, value_name = "FILE")]
    object_info: PathBuf,
    /// The browser
    #[arg(long, value_name = "PROGRAM", default_value = "chromium")]
    chromium: PathBuf,
}

#[derive(Debug, Args)]
struct Batch {
    #[command(flatten)]
    source: Source,
    /// The folder of graphs, in UI or API format: every `NAME.json`
    #[arg(long = "in", value_name = "DIR")]
    graphs: PathBuf,
    /// The folder for `NAME.api.json`, and for `NAME.warnings.txt` if there are warnings
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Also write `NAME.saved.json`: the graph as the editor would save it
    #[arg(long)]
    saved: bool,
}

#[derive(Debug, Args)]
struct Compare {
    #[command(flatten)]
    source: Source,
    /// The folder of templates, searched recursively
    #[arg(long, value_name = "DIR")]
    templates: PathBuf,
    /// The file with the expected number of templates and the known failures
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// The folder for the graphs of failing templates
    #[arg(long, value_name = "DIR")]
    failures: Option<PathBuf>,
    /// The folder for the editor's prompt for each template, as `NAME.api.json`
    #[arg(long, value_name = "DIR")]
    prompts: Option<PathBuf>,
    /// Only these templates, by name
    #[arg(value_name = "NAME")]
    only: Vec<String>,
}

#[derive(Debug, Args)]
struct InitCheck {
    /// The node schemas: what `GET /object_info` returns
    #[arg(long, value_name = "FILE")]
    object_info: PathBuf,
    /// The folder of templates, searched recursively
    #[arg(long, value_name = "DIR")]
    templates: PathBuf,
    /// The folder for the manifests, as `NAME.yaml`
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Only these templates, by name
    #[arg(value_name = "NAME")]
    only: Vec<String>,
}

#[derive(Debug, Args)]
struct Screenshot {
    #[command(flatten)]
    source: Source,
    /// The graph, in UI or API format; API format is converted first
    #[arg(value_name = "FILE")]
    graph: PathBuf,
    /// The image to write, a PNG
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The width of the editor's window
    #[arg(long, value_name = "PIXELS", default_value_t = 1920)]
    width: u32,
    /// The height of the editor's window
    #[arg(long, value_name = "PIXELS", default_value_t = 1080)]
    height: u32,
}

fn main() -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    actix_rt::System::new().block_on(async {
        let work = async {
            match cli.command {
                Command::Editor(options) => batch::run(options).await,
                Command::Compare(options) => compare::run(options).await,
                Command::Init(options) => init::run(&options),
                Command::Screenshot(options) => screenshot::run(options).await,
            }
        };
        // A signal ends this process only after the browser has been stopped.
        tokio::select! {
            outcome = work => outcome,
            () = stopped() => bail!("stopped by a signal"),
        }
    })
}

async fn stopped() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
