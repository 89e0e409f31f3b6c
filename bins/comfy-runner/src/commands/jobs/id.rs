//! Abbreviated job ids.

use anyhow::bail;
use awc::http::Method;
use comfy_runner_api::JobList;
use comfy_runner_client::encode;

use crate::commands::server::Server;

/// The length of a prompt id that is written in full.
const FULL: usize = 36;
/// The number of ids that are named when an abbreviation is ambiguous.
const NAMED: usize = 5;

/// Completes an abbreviated id. An id that no record begins with is returned unchanged: ComfyUI may know a job that the server
/// has no record of.
pub async fn complete(server: &Server, abbreviation: &str) -> anyhow::Result<String> {
    if abbreviation.len() >= FULL || abbreviation.is_empty() {
        return Ok(abbreviation.to_owned());
    }
    let path = format!("/api/jobs?limit={}&prompt_id_prefix={}", NAMED + 1, encode(abbreviation));
    let found: JobList = server.call(Method::GET, &path).await?;
    let ids = found.jobs.into_iter().map(|job| job.prompt_id);
    let ids: Vec<String> = ids.filter(|id| id.starts_with(abbreviation)).collect();
    match ids.as_slice() {
        [] => Ok(abbreviation.to_owned()),
        [one] => Ok(one.clone()),
        several => {
            let named = several[..several.len().min(NAMED)].join(", ");
            let more = if several.len() > NAMED { ", ..." } else { "" };
            bail!("several jobs begin with \"{abbreviation}\": {named}{more}; write more of the id")
        }
    }
}
