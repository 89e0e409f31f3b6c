//! Asks ComfyUI's real editor, in a headless browser, what it makes of a graph.
//!
//! The editor's files come from the package index, the node schemas from a file; no ComfyUI runs. `docs/ui-format.md`
//! says what this proves.

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
    /// Write the prompt that the editor makes of each graph in a folder
    Editor(Batch),
    /// Hold our conversions against the editor, for every template that the schemas know
    Compare(Compare),
    /// Hold what `comfy-runner init` makes of every template against the template's own graph; needs no editor
    Init(InitCheck),
    /// Take a picture of a graph as the editor shows it
    Screenshot(Screenshot),
}

/// Which editor.
#[derive(Debug, Clone, Args)]
struct Source {
    /// The folder of the editor's static files, with index.html in it; or of the package that holds them
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
    /// Where `NAME.api.json` goes, and `NAME.warnings.txt` if the editor had any
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
    /// The folder of templates; subfolders are looked through too
    #[arg(long, value_name = "DIR")]
    templates: PathBuf,
    /// What must pass: how many templates there are, and which fail for a reason we know
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Where the graphs of failing templates go, for a closer look
    #[arg(long, value_name = "DIR")]
    failures: Option<PathBuf>,
    /// The folder to which the editor's prompt for each template is written, as `NAME.api.json`
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
    /// The folder of templates; subfolders are looked through too
    #[arg(long, value_name = "DIR")]
    templates: PathBuf,
    /// Where the manifests go, as `NAME.yaml`
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
    /// The graph, in UI or API format; one in API format is drawn by us first
    #[arg(value_name = "FILE")]
    graph: PathBuf,
    /// The picture, a PNG
    #[arg(long, value_name = "PICTURE")]
    out: PathBuf,
    /// The size of the editor's window
    #[arg(long, value_name = "PIXELS", default_value_t = 1920)]
    width: u32,
    /// The size of the editor's window
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
        // Whoever stops us stops the browser too.
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
