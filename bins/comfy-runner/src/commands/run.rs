//! `comfy-runner run`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::http::header::HeaderMap;
use anyhow::{Context as _, bail};
use comfy_runner_api::{JobStatus, Status};
use comfy_runner_client::Client;
use comfy_runner_jobs::{Clients, ComfyUi, Jobs, JobsConfig, follow, upload, upload_image};
use comfy_runner_manifest::Manifest;
use comfy_runner_progress::Progress;
use comfy_runner_protocol::OutputFile;
use comfy_runner_store::Sqlite;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::progress_bar::{Display, Report};
use super::{block_on, client_config, comfyui_error, partial_file, request, result_file, schemas};
use crate::assembly::{check_before_files, submission};
use crate::cli::Run;
use crate::terminal::{errln, outln};

const POLL: Duration = Duration::from_millis(100);

pub fn run(options: Run) -> anyhow::Result<ExitCode> {
    let config = client_config(&options.comfyui)?;
    let (workflow, mut params) = request::read(&options.request, || schemas::fetch(config.clone()))?;
    let mut images = files_for_inputs(workflow.manifest(), &options.images)?;
    images.extend(take_local_files(workflow.manifest(), &mut params));
    require_files(workflow.manifest(), &params, &images)?;
    check_before_files(workflow.manifest(), &params)?;
    std::fs::create_dir_all(&options.output)
        .with_context(|| format!("cannot create the folder {}", options.output.display()))?;
    block_on(async {
        let client = Client::new(config)?;
        client.identify().await.map_err(comfyui_error)?;
        let mut uploads = IndexMap::new();
        for (id, file) in images {
            let is_image = workflow.manifest().file_input(&id).is_some_and(|input| input.kind.is_image());
            let stored = upload_file(&client, &file, is_image).await;
            let stored = stored.with_context(|| format!("the file for the input \"{id}\""))?;
            uploads.insert(id, stored);
        }
        let assembled = workflow.request(&params).uploads(uploads).assemble()?;
        let jobs = Jobs::new(JobsConfig::default(), Arc::new(Sqlite::in_memory()?));
        jobs.set_comfyuis(vec![ComfyUi::only(client.config().clone())])?;
        let clients = Clients::new(&jobs);
        let following = actix_rt::spawn(follow(jobs.clone(), clients.clone()));
        let mut submission = submission(assembled, workflow.manifest(), params);
        submission.partner_key = options.comfy_api_key;
        let submitted = jobs.submit(&clients, submission).await?;
        for warning in &submitted.warnings {
            errln!("warning: {warning}");
        }
        for (input, seed) in &submitted.seeds {
            errln!("{input}: {seed}");
        }
        let made = wait(&jobs, &clients, &submitted.prompt_id).await;
        following.abort();
        let Made { files, texts } = made?;
        for (node_id, file) in &files {
            let node_id = node_id.as_deref().filter(|_| files.len() > 1);
            let name =
                result_file::name(&workflow.manifest().id, &submitted.prompt_id, node_id, &file.filename);
            outln!("{}", save(&client, file, &options.output, &name).await?.display());
        }
        for text in &texts {
            outln!("{text}");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Assigns files to inputs.
fn files_for_inputs(manifest: &Manifest, images: &[String]) -> anyhow::Result<Vec<(String, PathBuf)>> {
    images
        .iter()
        .map(|image| {
            // A file name may contain `=`; the part before it counts only if it is the id of an input.
            let named = image.split_once('=').and_then(|(id, file)| Some((manifest.file_input(id)?, file)));
            let first = || manifest.file_input("input_image").map(|input| (input, image.as_str()));
            let (input, file) =
                named.or_else(first).context("this workflow takes no files, so --image cannot be used")?;
            let file = PathBuf::from(file);
            if !file.is_file() {
                bail!("--image: there is no file {}", file.display());
            }
            Ok((input.id.clone(), file))
        })
        .collect()
}

/// Takes the params out that name a file of this machine for an input that takes one: `-p image=photo.png` is
/// `--image image=photo.png`.
fn take_local_files(manifest: &Manifest, params: &mut Map<String, Value>) -> Vec<(String, PathBuf)> {
    let inputs = manifest.inputs.iter().filter(|input| input.kind.is_file());
    let files = inputs.filter_map(|input| {
        let file = PathBuf::from(params.get(&input.id)?.as_str()?);
        file.is_file().then(|| (input.id.clone(), file))
    });
    let files: Vec<_> = files.collect();
    for (id, _) in &files {
        params.shift_remove(id);
    }
    files
}

/// Checks that every input that needs a file has one.
fn require_files(
    manifest: &Manifest,
    params: &Map<String, Value>,
    images: &[(String, PathBuf)],
) -> anyhow::Result<()> {
    let files: Vec<_> = manifest.inputs.iter().filter(|input| input.kind.is_file()).collect();
    for input in files.iter().filter(|input| input.required && input.default.is_none()) {
        let id = &input.id;
        let is_given = images.iter().any(|(given, _)| given == id)
            || params.contains_key(id)
            || params
                .keys()
                .filter_map(|key| key.strip_prefix("_existing_"))
                .any(|name| manifest.file_input(name).is_some_and(|named| named.id == *id));
        if !is_given {
            let option =
                if files.len() == 1 { "--image FILE".to_owned() } else { format!("--image {id}=FILE") };
            bail!("the input \"{id}\" needs a file: give {option}");
        }
    }
    Ok(())
}

async fn upload_file(client: &Client, file: &Path, is_image: bool) -> anyhow::Result<String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let opened =
        tokio::fs::File::open(file).await.with_context(|| format!("cannot read {}", file.display()))?;
    let bytes = tokio_util::io::ReaderStream::new(opened);
    Ok(match is_image {
        true => upload_image(client, &name, bytes, u64::MAX).await?,
        false => upload(client, &name, bytes, u64::MAX).await?,
    })
}

/// Waits for the end of the job, shows its progress, and returns what it made. Ctrl-C cancels the job.
async fn wait(jobs: &Jobs, clients: &Clients, prompt_id: &str) -> anyhow::Result<Made> {
    let mut display = Display::new();
    let mut cancelled = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            _ = tokio::time::sleep(POLL) => {}
            _ = &mut cancelled => {
                display.end();
                jobs.cancel(clients, prompt_id).await.context("cannot cancel the job on ComfyUI; it may still run")?;
                bail!("cancelled");
            }
        }
        let seen = jobs.with_progress(prompt_id, |progress, now| match progress.status() {
            Status::Completed => Seen::Ended(Ok(Made::by(progress))),
            Status::Error => Seen::Ended(Err(progress.error().unwrap_or("the job failed").to_owned())),
            Status::Cancelled => Seen::Ended(Err("the job was cancelled on ComfyUI".to_owned())),
            Status::Pending | Status::Running => Seen::Open(report(progress, now)),
        });
        match seen.context("the job is no longer known")? {
            Seen::Open(report) => display.show(report),
            Seen::Ended(result) => {
                display.end();
                return result.map_err(anyhow::Error::msg);
            }
        }
    }
}

/// What a job made.
struct Made {
    /// Its final files, each with the id of the node that made it.
    files: Vec<(Option<String>, OutputFile)>,
    /// The texts that its nodes reported.
    texts: Vec<String>,
}

impl Made {
    fn by(progress: &Progress) -> Self {
        let outputs = progress.node_outputs();
        let node_of = |file: &OutputFile| {
            let made = outputs.iter().find(|(_, made)| made.items.iter().any(|item| item.file == *file));
            made.map(|(id, _)| id.to_string())
        };
        let files = progress.final_files().into_iter().map(|file| (node_of(file), file.clone()));
        Self { files: files.collect(), texts: progress.texts().into_values().flatten().collect() }
    }
}

enum Seen {
    Open(Report),
    Ended(Result<Made, String>),
}

fn report(progress: &Progress, now: Duration) -> Report {
    match progress.snapshot(now) {
        JobStatus::Running(running) => Report {
            percent: running.percent.into(),
            doing: running.node_title.unwrap_or_else(|| "starting".to_owned()),
            steps: (running.total_steps > 1).then_some((running.step, running.total_steps)),
            eta_seconds: running.eta_seconds,
        },
        _ => Report { doing: "waiting in ComfyUI's queue".to_owned(), ..Report::default() },
    }
}

/// Downloads a file into a folder, under a name that no other file has.
async fn save(client: &Client, file: &OutputFile, folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let reply = client.view(file.into(), Method::GET, &HeaderMap::new()).await?;
    anyhow::ensure!(reply.status.is_success(), "ComfyUI has no file \"{}\" any more", file.filename);
    partial_file::save(reply.body, folder, name).await
}
