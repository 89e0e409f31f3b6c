//! `comfy-runner build`

use std::process::ExitCode;

use super::request;
use crate::assembly::assemble_for_show;
use crate::cli::Build;

pub fn build(options: Build) -> anyhow::Result<ExitCode> {
    let (workflow, params) = request::read(&options.request)?;
    let assembled = assemble_for_show(&workflow, &params)?;
    println!("{}", assembled.graph());
    Ok(ExitCode::SUCCESS)
}
