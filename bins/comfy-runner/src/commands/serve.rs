//! `comfy-runner serve`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use comfy_runner_client::Client;
use comfy_runner_files::{Fault, FileError, FileStore as _, Location, ObjectFiles};
use comfy_runner_jobs::{ComfyUi, DEFAULT_DEPTH, DEFAULT_MODELS, FilesConfig, JobsConfig, LostJobs};
use comfy_runner_store::{Sqlite, Store};
use comfy_runner_workflow::Workflows;
use etcetera::BaseStrategy as _;

use super::config_changes::follow_config;
use super::{block_on, config, request};
use crate::cli::{self, Access, ComfyUis, FileStorage, Serve};
use crate::file_limit;
use crate::server::{AllowedOrigins, ComfyUiFolders, KeySettings, Limits, PublicUrl, Server, Settings};
use crate::terminal::error_chain;

pub fn serve(options: &Serve) -> anyhow::Result<ExitCode> {
    let (store, files) = open_stores(options)?;
    let settings = settings(options, store, files.clone())?;
    let workflows = Arc::new(request::open(&options.workflows.dir)?);
    block_on(async {
        check_files(&files).await?;
        let server = Server::bind(&settings, Arc::clone(&workflows))?;
        // On its own thread: a file system that does not respond must not delay the server.
        std::thread::spawn(move || log_workflows(&workflows));
        for comfyui in &settings.comfyuis {
            tracing::info!(name = &*comfyui.name, url = %comfyui.client.endpoint, "ComfyUI");
        }
        let address = server.address();
        tracing::info!(%address, page = format!("http://{address}/"), "listening");
        let handle = server.handle();
        let config = actix_rt::spawn(follow_config(options.config.clone(), server.jobs().clone()));
        let mut serving = std::pin::pin!(server.run());
        let result = tokio::select! {
            result = &mut serving => result.map_err(anyhow::Error::from),
            wrong = wrong_urls(&settings.comfyuis) => {
                let (_, result) = futures::join!(handle.stop(true), serving);
                result.map_err(anyhow::Error::from).and(Err(wrong))
            }
        };
        config.abort();
        settings.store.close().await?;
        result?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Returns the error if something other than a ComfyUI answers at a URL. Otherwise it does not return: a ComfyUI that is
/// down will be followed when it is up.
async fn wrong_urls(comfyuis: &[ComfyUi]) -> anyhow::Error {
    let wrong = comfyuis.iter().map(|comfyui| Box::pin(wrong_url(comfyui)));
    futures::future::select_all(wrong).await.0
}

async fn wrong_url(comfyui: &ComfyUi) -> anyhow::Error {
    let name = &*comfyui.name;
    let identified = match Client::new(comfyui.client.clone()) {
        Ok(client) => client.identify().await,
        Err(error) => return error.into(),
    };
    match identified {
        Ok(stats) => tracing::info!(name, version = stats.comfyui_version(), "ComfyUI answers"),
        Err(error) if error.is_not_comfyui() => return error.into(),
        Err(error) => tracing::debug!(name, %error, "ComfyUI does not answer yet"),
    }
    std::future::pending().await
}

/// Returns the ComfyUIs of the command line and the environment; those of the file if these name none.
pub fn comfyuis(options: &Serve) -> anyhow::Result<Vec<ComfyUi>> {
    let ComfyUis { urls, access, depth, models, of_file } = &options.comfyuis;
    let mut comfyuis: Vec<ComfyUi> = Vec::new();
    for table in of_file {
        let named = || format!("the ComfyUI \"{}\"", table.name);
        let access = Access { headers: table.headers.clone(), ca: table.ca.clone() };
        let client = config(&table.url, &access).with_context(named)?;
        let comfyui = ComfyUi::new(&table.name, client)?.with_tags(table.tags.clone());
        let comfyui = comfyui.with_depth(table.depth.map_or(DEFAULT_DEPTH, usize::from));
        comfyuis.push(comfyui.with_models(table.models.map_or(DEFAULT_MODELS, usize::from)));
    }
    for url in urls.iter().filter(|_| of_file.is_empty()) {
        let comfyui = match named_url(url) {
            Some((name, url)) => ComfyUi::new(name, config(url, access)?)?,
            None if urls.len() == 1 => ComfyUi::only(config(url, access)?),
            None => anyhow::bail!(
                "--comfyui (COMFYUI_URL): of several ComfyUIs each needs a name: NAME={url} instead of {url}"
            ),
        };
        comfyuis.push(comfyui.with_depth(usize::from(*depth)).with_models(usize::from(*models)));
    }
    for (number, comfyui) in comfyuis.iter().enumerate() {
        let has_name = |other: &ComfyUi| other.name == comfyui.name;
        anyhow::ensure!(
            !comfyuis[..number].iter().any(has_name),
            "two ComfyUIs are called \"{}\"; give each a name of its own",
            comfyui.name
        );
    }
    Ok(comfyuis)
}

/// Splits `NAME=URL`. A URL may contain `=` after its scheme.
fn named_url(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, _)| !name.contains([':', '/']))
}

/// Checks the options without starting a server.
pub fn check(options: &Serve) -> anyhow::Result<()> {
    // A folder is created by `serve` only.
    let location = options.files.files.clone().filter(|location| matches!(location, Location::Cloud(_)));
    let files = open_files(&location.unwrap_or(Location::Temporary))?;
    settings(options, Arc::new(Sqlite::in_memory()?), files)?.check()?;
    request::open(&options.workflows.dir)?;
    Ok(())
}

fn settings(options: &Serve, store: Arc<dyn Store>, files: ObjectFiles) -> anyhow::Result<Settings> {
    let FileStorage { redirect_downloads, keep_outputs, files: location } = &options.files;
    anyhow::ensure!(
        !redirect_downloads || files.has_download_urls(),
        "--redirect-downloads needs --files s3://BUCKET/PREFIX or gs://BUCKET/PREFIX: no other storage has signed URLs"
    );
    let files =
        FilesConfig::new(Arc::new(files)).with_uploads(location.is_some()).with_outputs(*keep_outputs);
    Ok(Settings {
        listen: options.listen,
        api_keys: api_keys(options),
        allow_origins: AllowedOrigins::new(options.allow_origins.clone()),
        public_url: PublicUrl {
            url: options.public_url.clone(),
            trusted_proxies: options.trusted_proxies.clone(),
        },
        max_upload: options.max_upload,
        allow_input_hosts: options.allow_input_hosts.clone(),
        limits: limits(&options.limits),
        max_priority: options.queue.max_priority,
        workers: options.workers.map(usize::from),
        comfyuis: comfyuis(options)?,
        folders: ComfyUiFolders {
            input: options.comfyui_input_dir.clone(),
            output: options.comfyui_output_dir.clone(),
        },
        jobs: jobs_config(options).with_partner_key(options.comfy_api_key.clone()),
        store,
        files,
        redirect_downloads: *redirect_downloads,
        allow_edit: options.allow_edit,
    })
}

/// Returns the keys of the command line, the environment and the file.
fn api_keys(options: &Serve) -> Vec<KeySettings> {
    let tables = options.keys_of_file.iter().cloned();
    let of_file = tables.map(|cli::ApiKeyTable { key, max_priority }| KeySettings { key, max_priority });
    options.api_keys.iter().map(|key| key.as_str().into()).chain(of_file).collect()
}

fn limits(options: &cli::Limits) -> Limits {
    let seconds = |seconds: u16| Duration::from_secs(u64::from(seconds));
    let or_any = |count: u32| if count == 0 { usize::MAX } else { count as usize };
    Limits {
        connections: file_limit::connections(or_any(options.max_connections)),
        connections_per_address: or_any(options.max_connections_per_address),
        header_timeout: seconds(options.header_timeout),
        body_timeout: seconds(options.body_timeout),
        write_timeout: seconds(options.write_timeout),
        failed_keys_per_minute: options.max_failed_keys,
        ..Limits::default()
    }
}

/// The name of the state folder in the platform's data folder.
const STATE_FOLDER: &str = "comfy-runner";

/// The folder of the file store in the state folder.
const FILES_FOLDER: &str = "files";

/// Opens the store of records, and the file store.
fn open_stores(options: &Serve) -> anyhow::Result<(Arc<dyn Store>, ObjectFiles)> {
    let folder = match &options.records.state_dir {
        Some(memory) if memory.as_os_str() == ":memory:" => None,
        Some(folder) => Some(folder.clone()),
        None => {
            let platform = etcetera::base_strategy::choose_native_strategy()
                .context("there is no home folder for the records of jobs; give a folder with --state-dir")?;
            Some(platform.data_dir().join(STATE_FOLDER))
        }
    };
    let store = match &folder {
        None => Sqlite::in_memory()?,
        Some(folder) => {
            let store = Sqlite::open(folder)
                .with_context(|| format!("cannot remember jobs in {} (--state-dir)", folder.display()))?;
            tracing::info!(folder = %folder.display(), "the records of jobs are in this folder");
            store
        }
    };
    let default = || folder.map_or(Location::Temporary, |folder| Location::Folder(folder.join(FILES_FOLDER)));
    let files = open_files(&options.files.files.clone().unwrap_or_else(default))?;
    Ok((Arc::new(store), files))
}

fn open_files(location: &Location) -> anyhow::Result<ObjectFiles> {
    ObjectFiles::open(location).with_context(|| format!("cannot store files in {location} (--files)"))
}

/// Checks that the storage of files can be used. One that does not answer is used when it does.
async fn check_files(files: &ObjectFiles) -> anyhow::Result<()> {
    match files.check().await {
        Ok(()) => Ok(()),
        Err(error @ FileError::Storage { fault: Fault::Unavailable, .. }) => {
            let error = error_chain(&error.into());
            tracing::warn!(error, "the file store does not answer");
            Ok(())
        }
        Err(error) => Err(anyhow::Error::from(error).context("the file store (--files) cannot be used")),
    }
}

fn jobs_config(options: &Serve) -> JobsConfig {
    let (records, queue) = (&options.records, &options.queue);
    let lost_jobs = match records.lost_jobs {
        Some(cli::LostJobs::Retry) => LostJobs::Retry,
        Some(cli::LostJobs::Fail) => LostJobs::Fail,
        None => LostJobs::RetryElsewhere,
    };
    let keep_for = records.keep_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60));
    let per_key = queue.max_queue_per_key.unwrap_or(queue.max_queue);
    JobsConfig::default()
        .with_lost_jobs(lost_jobs)
        .with_retention(keep_for, records.keep_jobs)
        .with_max_waiting(queue.max_queue as usize, per_key as usize)
        .with_queue_while_down(queue.queue_while_down)
        .with_failover_after(Duration::from_secs(u64::from(queue.failover_after)))
}

/// Logs the diagnostics of all workflows.
fn log_workflows(workflows: &Workflows) {
    let listing = match workflows.list() {
        Ok(listing) => listing,
        Err(error) => return tracing::error!("{error}"),
    };
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
}
