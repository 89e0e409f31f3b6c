//! Logging to stderr, so that stdout has only the result of a command.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::terminal::LogWriter;

/// The default filter of a server, without the threads of actix.
pub const SERVER: &str = "info,actix_server=warn";

/// The default filter of other commands, which report their own progress.
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
