//! Abbreviated job ids.

use anyhow::bail;
use awc::http::Method;
use comfy_runner_api::JobList;
use comfy_runner_client::encode;

use super::server::Server;

/// The length of a prompt id that is written in full.
const FULL: usize = 36;
/// As many ids are named when an abbreviation is ambiguous.
const NAMED: usize = 5;

/// Completes an abbreviated id. An id that no record begins with stays as it is: ComfyUI may
/// know a job that the server has no record of.
pub async fn complete(server: &Server, given: &str) -> anyhow::Result<String> {
    if given.len() >= FULL || given.is_empty() {
        return Ok(given.to_owned());
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: JobList = server.call(Method::GET, &format!("/api/jobs?limit=200{cursor}")).await?;
        found.extend(page.jobs.into_iter().map(|job| job.prompt_id).filter(|id| id.starts_with(given)));
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={}", encode(&next)),
            None => break,
        }
    }
    match found.as_slice() {
        [] => Ok(given.to_owned()),
        [one] => Ok(one.clone()),
        several => {
            let named = several.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
            let more = if several.len() > NAMED { ", ..." } else { "" };
            bail!("{} jobs begin with \"{given}\": {named}{more}", several.len())
        }
    }
}
