//! Node schemas, and the files of a running ComfyUI, against which a graph is validated.

use anyhow::{Context as _, bail};
use awc::http::header::HeaderMap;
use awc::http::{Method, StatusCode};
use comfy_runner_client::{Client, Config, Endpoint, FileQuery};
use comfy_runner_protocol::ObjectInfo;
use comfy_runner_workflow::validate::{FileName, KnownFiles, Question, Release, Verdict};

use super::super::{block_on, schemas};
use crate::cli::Validate;

/// Node schemas and their release.
pub struct Server {
    pub info: ObjectInfo,
    pub release: Release,
    config: Option<Config>,
}

impl Server {
    /// Opens the ComfyUI, or the file with schemas, of the options.
    pub fn open(options: &Validate) -> anyhow::Result<Self> {
        let Some(info) = schemas::to_check_against(options)? else {
            bail!(
                "a graph is validated against node schemas; give --comfyui URL, or --object-info FILE with what that \
                 ComfyUI's /object_info returns"
            );
        };
        let detected = Release::detect(&info);
        let Some(url) = options.comfyui.as_ref().filter(|_| options.object_info.is_none()) else {
            return Ok(Self { info, release: detected, config: None });
        };
        let config = Config::new(url.parse::<Endpoint>().context("--comfyui")?);
        let stats = block_on(async { anyhow::Ok(Client::new(config.clone())?.system_stats().await?) })?;
        let release = stats.comfyui_version().and_then(Release::parse);
        Ok(Self { info, release: release.unwrap_or(detected), config: Some(config) })
    }

    /// Asks ComfyUI with `HEAD /view` which of the files that a verdict depends on exist. Returns `None` without a
    /// ComfyUI, or when there is nothing to ask.
    pub fn files(&self, verdict: &Verdict) -> anyhow::Result<Option<KnownFiles>> {
        let Some(config) = &self.config else { return Ok(None) };
        let files = verdict.unknown.iter().filter_map(|unknown| match &unknown.question {
            Question::File(file) => Some(file.clone()),
            _ => None,
        });
        let files: Vec<FileName> = files.collect();
        if files.is_empty() {
            return Ok(None);
        }
        let known = block_on(async {
            let client = Client::new(config.clone())?;
            let mut known = KnownFiles::new();
            for file in files {
                let query = FileQuery::new(&file.filename, &file.subfolder, file.root);
                let status = client.view(query, Method::HEAD, &HeaderMap::new()).await?.status;
                match status {
                    StatusCode::NOT_FOUND => known.insert(file, false),
                    status if status.is_success() => known.insert(file, true),
                    // Any other status says nothing about the file.
                    _ => None,
                };
            }
            anyhow::Ok(known)
        })?;
        Ok(Some(known))
    }
}
