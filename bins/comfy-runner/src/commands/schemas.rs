//! Node schemas, from a file or from a ComfyUI.

use std::path::Path;

use anyhow::{Context as _, bail};
use comfy_runner_client::{Client, Config, Endpoint};
use comfy_runner_protocol::ObjectInfo;

use super::{block_on, comfyui_error, config};
use crate::cli::{NodeSchemas, Validate};

/// Returns the schemas to check against, if the options name any.
pub fn to_check_against(options: &Validate) -> anyhow::Result<Option<ObjectInfo>> {
    if let Some(file) = &options.object_info {
        return read(file).map(Some);
    }
    let Some(url) = &options.comfyui else { return Ok(None) };
    let endpoint: Endpoint = url.parse().context("--comfyui")?;
    fetch(Config::new(endpoint)).map(Some)
}

/// Returns the schemas for a command that requires them. `why` begins the error when the options name none.
pub fn needed(options: &NodeSchemas, why: &str) -> anyhow::Result<ObjectInfo> {
    match (&options.object_info, &options.comfyui) {
        (Some(file), _) => read(file),
        (None, Some(url)) => fetch(config(url, &options.access)?),
        (None, None) => bail!(
            "{why}; give --comfyui URL, or --object-info FILE with what that ComfyUI's /object_info returns"
        ),
    }
}

/// Reads schemas from a file.
pub fn read(file: &Path) -> anyhow::Result<ObjectInfo> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not what ComfyUI's /object_info returns", file.display()))
}

/// Fetches the schemas of a ComfyUI.
pub fn fetch(config: Config) -> anyhow::Result<ObjectInfo> {
    block_on(async { Client::new(config)?.object_info().await.map_err(comfyui_error) })
}
