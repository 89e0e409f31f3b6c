//! `comfy-runner serve`

use std::process::ExitCode;
use std::sync::Arc;

use comfy_runner_workflow::Workflows;

use super::{block_on, client_config, request};
use crate::cli::Serve;
use crate::server::{Server, Settings};

pub fn serve(options: Serve) -> anyhow::Result<ExitCode> {
    let settings = Settings {
        listen: options.listen,
        api_keys: options.api_keys,
        max_upload: options.max_upload,
        workers: options.workers.map(usize::from),
        comfyui: client_config(&options.comfyui)?,
    };
    let workflows = Arc::new(request::open(&options.workflows.dir)?);
    block_on(async {
        let server = Server::bind(&settings, Arc::clone(&workflows))?;
        log_workflows(&workflows)?;
        tracing::info!(address = %server.address(), comfyui = %settings.comfyui.endpoint, "listening");
        server.run().await?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Names what is wrong with workflows, and with which.
fn log_workflows(workflows: &Workflows) -> anyhow::Result<()> {
    let listing = workflows.list()?;
    let mut working = 0;
    for listed in &listing.workflows {
        let problems = match &listed.workflow {
            Ok(_) => &listed.warnings,
            Err(problems) => problems,
        };
        working += usize::from(listed.workflow.is_ok());
        for problem in problems.iter() {
            match problem.is_error() {
                true => tracing::error!(workflow = listed.id, "{problem}"),
                false => tracing::warn!(workflow = listed.id, "{problem}"),
            }
        }
    }
    for note in &listing.notes {
        tracing::warn!("{note}");
    }
    tracing::info!(working, broken = listing.workflows.len() - working, "workflows");
    Ok(())
}
