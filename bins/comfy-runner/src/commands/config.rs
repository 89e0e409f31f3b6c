//! `comfy-runner config`

use std::process::ExitCode;

use anyhow::Context as _;

use super::serve;
use crate::cli::{Command, Config, ConfigCommand};
use crate::config_file::parse_args;
use crate::terminal::outln;

pub fn config(options: Config) -> anyhow::Result<ExitCode> {
    let ConfigCommand::Check { file } = options.command;
    let args = ["comfy-runner".into(), "serve".into(), "--config".into(), file.clone().into_os_string()];
    let Command::Serve(options) = parse_args(args)?.command else {
        anyhow::bail!("{} cannot be checked", file.display());
    };
    serve::check(&options).with_context(|| format!("{}", file.display()))?;
    outln!("{}: no mistakes", file.display());
    Ok(ExitCode::SUCCESS)
}
