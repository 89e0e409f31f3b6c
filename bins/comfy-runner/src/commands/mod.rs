//! One module per command.

mod build;
mod config;
mod config_changes;
mod convert;
#[cfg(feature = "simulator")]
mod demo;
mod files;
mod findings;
mod init;
mod jobs;
#[cfg(not(feature = "simulator"))]
mod not_in_this_build;
mod partial_file;
mod progress_bar;
mod request;
mod result_file;
mod run;
mod samples;
mod saved;
mod schemas;
mod serve;
mod server;
#[cfg(feature = "simulator")]
mod simulate;
mod test;
mod ui_format;
mod validate;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_runner_client::{ClientError, Config, Endpoint};

use crate::cli::{Access, Cli, ComfyUi, Command};
use crate::config_file::{OptionsError, parse_args};
use crate::logging;
use crate::terminal::{errln, error_chain};

/// Runs the command of a command line. An error is printed to stderr, and the exit code is 1, or 2 if the command line or
/// the configuration file is wrong.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse_args(args) {
        Ok(cli) => run_command(cli),
        // Prints to stdout if it is `--help` or `--version`.
        Err(OptionsError::CommandLine(error)) => error.exit(),
        Err(error) => {
            errln!("error: {}", error_chain(&error.into()));
            ExitCode::from(2)
        }
    }
}

/// Runs a command. An error is printed to stderr, and the exit code is 1.
fn run_command(cli: Cli) -> ExitCode {
    let default = if matches!(cli.command, Command::Serve(_)) { logging::SERVER } else { logging::COMMAND };
    let filter = cli.log.as_deref().unwrap_or(default);
    let result = logging::start(filter, cli.log_format).and_then(|()| match cli.command {
        Command::Serve(serve) => self::serve::serve(&serve),
        #[cfg(feature = "simulator")]
        Command::Demo(demo) => self::demo::demo(demo),
        Command::Run(run) => self::run::run(run),
        Command::Build(build) => self::build::build(build),
        Command::Init(init) => self::init::init(init),
        Command::Convert(convert) => self::convert::convert(convert),
        Command::Validate(validate) => self::validate::validate(validate),
        Command::Test(test) => self::test::test(test),
        Command::Samples(samples) => self::samples::samples(&samples),
        Command::Jobs(jobs) => self::jobs::jobs(jobs),
        Command::Files(files) => self::files::files(&files),
        Command::Config(config) => self::config::config(config),
        #[cfg(feature = "simulator")]
        Command::Simulate(simulate) => self::simulate::simulate(simulate),
        #[cfg(not(feature = "simulator"))]
        Command::Demo(_) | Command::Simulate(_) => not_in_this_build::refuse(),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            errln!("error: {}", error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Runs a future on this thread, in an actix system, which awc requires.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(future)
}

/// Returns the error of a call to ComfyUI. If nothing answers, it names the option for the URL.
fn comfyui_error(error: ClientError) -> anyhow::Error {
    match error.is_unreachable() {
        true => anyhow::anyhow!("{error}; give another URL with --comfyui"),
        false => error.into(),
    }
}

/// Returns the client configuration of the options.
fn client_config(comfyui: &ComfyUi) -> anyhow::Result<Config> {
    config(&comfyui.url, &comfyui.access)
}

/// Returns the client configuration for a URL.
fn config(url: &str, access: &Access) -> anyhow::Result<Config> {
    let endpoint: Endpoint = url.parse().context("--comfyui (COMFYUI_URL)")?;
    let mut config = Config::new(endpoint);
    for header in access.headers.iter().filter(|header| !header.trim().is_empty()) {
        let (name, value) = header
            .split_once(':')
            .context("--comfyui-header (COMFYUI_HEADERS) must be a name, a colon and a value")?;
        config = config.with_header(name, value).context("--comfyui-header (COMFYUI_HEADERS)")?;
    }
    if let Some(file) = &access.ca {
        let pem =
            std::fs::read(file).with_context(|| format!("cannot read --comfyui-ca {}", file.display()))?;
        config = config
            .with_root_certificates(&pem)
            .with_context(|| format!("--comfyui-ca {} cannot be used", file.display()))?;
    }
    Ok(config)
}
