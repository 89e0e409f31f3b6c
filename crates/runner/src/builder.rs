//! Options of a runner.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use comfy_runner_client::{Config, Endpoint};
use comfy_runner_jobs::{Jobs, JobsConfig, LostJobs, PartnerKey};
use comfy_runner_store::{Sqlite, Store};
use comfy_runner_workflow::Workflows;

use crate::error::StartError;
use crate::runner::Runner;
use crate::worker::Worker;

/// The largest file that may be uploaded, unless [`RunnerBuilder::max_upload`] says otherwise: 100 MiB, as ComfyUI takes
/// by default.
const MAX_UPLOAD: u64 = 100 << 20;

/// Options of a [`Runner`]. [`Runner::builder`] creates them.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct RunnerBuilder {
    url: String,
    headers: Vec<(String, String)>,
    bearer: Option<String>,
    root_certificates: Vec<Vec<u8>>,
    workflows: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    max_upload: u64,
    jobs: JobsConfig,
}

impl RunnerBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            headers: Vec::new(),
            bearer: None,
            root_certificates: Vec::new(),
            workflows: None,
            state_dir: None,
            max_upload: MAX_UPLOAD,
            jobs: JobsConfig::default(),
        }
    }

    /// Adds a header to every request to ComfyUI, for a proxy in front of it.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends `Authorization: Bearer <token>` with every request to ComfyUI.
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.bearer = Some(token.into());
        self
    }

    /// Trusts root certificates in PEM format besides the public ones.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// Sets the folder of workflows. Each workflow is a folder in it with a `manifest.yaml`.
    pub fn workflows(mut self, folder: impl Into<PathBuf>) -> Self {
        self.workflows = Some(folder.into());
        self
    }

    /// Records jobs in a SQLite database in this folder, so that they survive a restart. The folder is created if it is
    /// missing, and locked for one process. Without it jobs are recorded in memory.
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(folder.into());
        self
    }

    /// Sets the largest size of an uploaded file in bytes. The default is 100 MiB, as ComfyUI takes by default.
    pub fn max_upload(mut self, bytes: u64) -> Self {
        self.max_upload = bytes;
        self
    }

    /// Sets what happens to a job that ComfyUI accepted and no longer knows. The default is that it fails.
    pub fn lost_jobs(mut self, lost_jobs: LostJobs) -> Self {
        self.jobs = self.jobs.with_lost_jobs(lost_jobs);
        self
    }

    /// Deletes records of jobs that ended longer ago than `keep_for`, and all but the newest `keep_jobs`. The default is
    /// that all records are kept.
    pub fn retention(mut self, keep_for: Option<Duration>, keep_jobs: Option<u32>) -> Self {
        self.jobs = self.jobs.with_retention(keep_for, keep_jobs);
        self
    }

    /// Sets the key for partner nodes, which is sent to ComfyUI with every job and recorded nowhere.
    pub fn partner_key(mut self, key: PartnerKey) -> Self {
        self.jobs = self.jobs.with_partner_key(Some(key));
        self
    }

    /// Starts the runner. It opens the store, loads the jobs that were open, and does not wait for ComfyUI. The call blocks
    /// for some milliseconds, and for up to two seconds while another process still holds the state folder.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(self) -> Result<Runner, StartError> {
        let config = self.client_config()?;
        let workflows = match self.workflows {
            Some(folder) => Some(Arc::new(Workflows::open(folder).map_err(StartError::Workflows)?)),
            None => None,
        };
        let store: Arc<dyn Store> = match &self.state_dir {
            Some(folder) => Arc::new(Sqlite::open(folder)?),
            None => Arc::new(Sqlite::in_memory()?),
        };
        let jobs = Jobs::new(self.jobs, Arc::clone(&store));
        let worker = Worker::start(config, jobs, store)?;
        Ok(Runner::new(worker, workflows, self.max_upload))
    }

    fn client_config(&self) -> Result<Config, StartError> {
        let mut config = Config::new(self.url.parse::<Endpoint>()?);
        if let Some(token) = &self.bearer {
            config = config.with_bearer(token)?;
        }
        for (name, value) in &self.headers {
            config = config.with_header(name, value)?;
        }
        for pem in &self.root_certificates {
            config = config.with_root_certificates(pem)?;
        }
        Ok(config)
    }
}
