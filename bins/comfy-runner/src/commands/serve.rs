//! `comfy-runner serve`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use comfy_runner_client::{Client, ClientError};
use comfy_runner_files::{Fault, FileError, FileStore as _, Location, ObjectFiles};
use comfy_runner_jobs::{FilesConfig, JobsConfig, LostJobs};
use comfy_runner_store::{Sqlite, Store};
use comfy_runner_workflow::Workflows;
use etcetera::BaseStrategy as _;

use super::{block_on, client_config, request};
use crate::cli::{self, FileStorage, Records, Serve};
use crate::file_limit;
use crate::server::{AllowedOrigins, ComfyUiFolders, Limits, PublicUrl, Server, Settings};
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
        tracing::info!(address = %server.address(), comfyui = %settings.comfyui.endpoint, "listening");
        let client = Client::new(settings.comfyui.clone())?;
        let handle = server.handle();
        let mut serving = std::pin::pin!(server.run());
        let result = tokio::select! {
            result = &mut serving => result.map_err(anyhow::Error::from),
            wrong = wrong_url(client) => {
                let (_, result) = futures::join!(handle.stop(true), serving);
                result.map_err(anyhow::Error::from).and(Err(wrong.into()))
            }
        };
        settings.store.close().await?;
        result?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    })
}

/// Returns the error if something other than a ComfyUI answers at the URL. Otherwise it does not return: a ComfyUI that is
/// down will be followed when it is up.
async fn wrong_url(client: Client) -> ClientError {
    match client.identify().await {
        Ok(stats) => tracing::info!(version = stats.comfyui_version(), "ComfyUI answers"),
        Err(error) if error.is_not_comfyui() => return error,
        Err(error) => tracing::debug!(%error, "ComfyUI does not answer yet"),
    }
    std::future::pending().await
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
        api_keys: options.api_keys.clone(),
        allow_origins: AllowedOrigins::new(options.allow_origins.clone()),
        public_url: PublicUrl {
            url: options.public_url.clone(),
            trusted_proxies: options.trusted_proxies.clone(),
        },
        max_upload: options.max_upload,
        allow_input_hosts: options.allow_input_hosts.clone(),
        limits: limits(&options.limits),
        workers: options.workers.map(usize::from),
        comfyui: client_config(&options.comfyui)?,
        folders: ComfyUiFolders {
            input: options.comfyui_input_dir.clone(),
            output: options.comfyui_output_dir.clone(),
        },
        jobs: jobs_config(&options.records).with_partner_key(options.comfy_api_key.clone()),
        store,
        files,
        redirect_downloads: *redirect_downloads,
    })
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

fn jobs_config(records: &Records) -> JobsConfig {
    let lost_jobs = match records.lost_jobs {
        cli::LostJobs::Retry => LostJobs::Retry,
        cli::LostJobs::Fail => LostJobs::Fail,
    };
    let keep_for = records.keep_days.map(|days| Duration::from_secs(u64::from(days) * 24 * 60 * 60));
    JobsConfig::default().with_lost_jobs(lost_jobs).with_retention(keep_for, records.keep_jobs)
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
