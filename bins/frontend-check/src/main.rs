//! Asks ComfyUI's real editor, in a headless browser, what it makes of a graph.
//!
//! The editor's files come from the package index, the node schemas from a file; no ComfyUI runs. `docs/ui-format.md`
//! says what this proves.

mod batch;
mod browser;
mod devtools;
mod editor;
mod server;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    actix_rt::System::new().block_on(async {
        match cli.command {
            Command::Editor(options) => batch::run(options).await,
        }
    })
}
