//! `comfy-runner jobs`: manages the jobs of a running server.

mod download;
mod id;
mod list;
mod show;
mod table;
mod watch;

use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_api::{Cancellation, Submitted};
use comfy_runner_client::encode;

use serde::Serialize;

use super::block_on;
use super::server::Server;
use crate::cli::{Jobs, JobsCommand};
use crate::terminal::{errln, error_chain, outln};

pub fn jobs(options: Jobs) -> anyhow::Result<ExitCode> {
    block_on(async {
        let server = Server::new(&options.server)?;
        match &options.command {
            JobsCommand::List(list) => list::list(&server, list).await,
            JobsCommand::Show { prompt_id, json } => {
                show::show(&server, &id::complete(&server, prompt_id).await?, *json).await
            }
            JobsCommand::Download { prompt_id, output } => {
                download::download(&server, &id::complete(&server, prompt_id).await?, output).await
            }
            JobsCommand::Delete { prompt_ids, files } => delete(&server, prompt_ids, *files).await,
            JobsCommand::Cancel { prompt_ids, json } => cancel(&server, prompt_ids, *json).await,
            JobsCommand::Retry { prompt_id, watch, json } => {
                retry(&server, &id::complete(&server, prompt_id).await?, *watch, *json).await
            }
            JobsCommand::Watch { prompt_id: Some(prompt_id), json } => {
                watch::one(&server, &id::complete(&server, prompt_id).await?, *json).await
            }
            JobsCommand::Watch { prompt_id: None, json } => watch::all(&server, *json).await,
        }
    })
}

/// Cancels jobs. An error with one does not stop the others.
async fn cancel(server: &Server, prompt_ids: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for prompt_id in prompt_ids {
        match cancel_one(server, prompt_id).await {
            Ok(cancellation) if json => print_json(&cancellation)?,
            Ok(cancellation) => outln!("{} {}", cancellation.prompt_id, cancellation.status),
            Err(error) => {
                errln!("error: {prompt_id}: {}", error_chain(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn cancel_one(server: &Server, prompt_id: &str) -> anyhow::Result<Cancellation> {
    let prompt_id = id::complete(server, prompt_id).await?;
    server.call(Method::POST, &format!("/api/run/cancel/{}", encode(&prompt_id))).await
}

/// Deletes the records of jobs. An error with one does not stop the others.
async fn delete(server: &Server, prompt_ids: &[String], files: bool) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for prompt_id in prompt_ids {
        match delete_one(server, prompt_id, files).await {
            Ok(prompt_id) => outln!("{prompt_id} deleted"),
            Err(error) => {
                errln!("error: {prompt_id}: {}", error_chain(&error));
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

async fn delete_one(server: &Server, prompt_id: &str, files: bool) -> anyhow::Result<String> {
    let prompt_id = id::complete(server, prompt_id).await?;
    let query = if files { "?files=true" } else { "" };
    server.open(Method::DELETE, &format!("/api/jobs/{}{query}", encode(&prompt_id))).await?;
    Ok(prompt_id)
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
