//! `comfy-runner jobs`: manages the jobs of a running server.

mod list;
mod server;
mod show;
mod table;
mod watch;

use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_api::{Cancellation, Submitted};
use comfy_runner_client::encode;

use serde::Serialize;

use self::server::Server;
use super::block_on;
use crate::cli::{Jobs, JobsCommand};
use crate::terminal::{errln, error_chain, outln};

pub fn jobs(options: Jobs) -> anyhow::Result<ExitCode> {
    block_on(async {
        let server = Server::new(&options.server)?;
        match &options.command {
            JobsCommand::List(list) => list::list(&server, list).await,
            JobsCommand::Show { prompt_id, json } => show::show(&server, prompt_id, *json).await,
            JobsCommand::Cancel { prompt_ids, json } => cancel(&server, prompt_ids, *json).await,
            JobsCommand::Retry { prompt_id, watch, json } => retry(&server, prompt_id, *watch, *json).await,
            JobsCommand::Watch { prompt_id: Some(prompt_id), json } => {
                watch::one(&server, prompt_id, *json).await
            }
            JobsCommand::Watch { prompt_id: None, json } => watch::all(&server, *json).await,
        }
    })
}

/// Cancels jobs. An error with one does not stop the others.
async fn cancel(server: &Server, prompt_ids: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for prompt_id in prompt_ids {
        let path = format!("/api/run/cancel/{}", encode(prompt_id));
        match server.call::<Cancellation>(Method::POST, &path).await {
            Ok(cancellation) if json => print_json(&cancellation)?,
            Ok(cancellation) => outln!("{prompt_id} {}", cancellation.status),
            Err(error) => {
                errln!("error: {prompt_id}: {}", error_chain(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn retry(server: &Server, prompt_id: &str, watch: bool, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/jobs/{}/retry", encode(prompt_id));
    let submitted: Submitted = server.call(Method::POST, &path).await?;
    if json {
        print_json(&submitted)?;
    } else {
        outln!("{}", submitted.prompt_id);
    }
    if watch { watch::one(server, &submitted.prompt_id, json).await } else { Ok(ExitCode::SUCCESS) }
}

/// Prints a value as one line of JSON.
fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    outln!("{}", serde_json::to_string(value)?);
    Ok(())
}
