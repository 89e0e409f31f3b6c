//! Where log lines go and what they look like: stderr, so that stdout is a command's result and nothing else.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::terminal::LogWriter;

/// What a server logs unless told otherwise: actix's own threads are no news.
pub const SERVER: &str = "info,actix_server=warn";

/// What a command that a person waits for logs: it says itself how it goes.
pub const COMMAND: &str = "warn";

/// Starts logging, for the rest of the process.
pub fn start(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("--log \"{filter}\" is neither a level (error, warn, info, debug, trace) nor directives")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| LogWriter);
    let started = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}
