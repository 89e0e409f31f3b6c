//! `comfy-runner jobs list`

use std::collections::HashMap;
use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_client::encode;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::server::Server;
use super::{table, text};
use crate::cli::JobsList;
use crate::terminal::outln;

/// As many jobs come with one answer.
const PAGE: u32 = 200;

pub async fn list(server: &Server, options: &JobsList) -> anyhow::Result<ExitCode> {
    let jobs = fetch(server, options).await?;
    if options.json {
        outln!("{}", json!({"jobs": jobs}));
        return Ok(ExitCode::SUCCESS);
    }
    if jobs.is_empty() {
        outln!("no jobs");
        return Ok(ExitCode::SUCCESS);
    }
    let percents = percents(server, &jobs).await?;
    let now = OffsetDateTime::now_utc();
    let rows: Vec<_> =
        jobs.iter().map(|job| row(job, percents.get(text(job, "prompt_id")).copied(), now)).collect();
    table::print(&["PROMPT ID", "WORKFLOW", "STATUS", "QUEUED", "TOOK", "NOTE"], &rows);
    Ok(ExitCode::SUCCESS)
}

/// The jobs that are asked for, page by page.
async fn fetch(server: &Server, options: &JobsList) -> anyhow::Result<Vec<Value>> {
    let mut filters = String::new();
    let named = [
        ("status", &options.status),
        ("workflow_id", &options.workflow),
        ("since", &options.since),
        ("until", &options.until),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            filters += &format!("&{name}={}", encode(value));
        }
    }
    let limit = if options.all { usize::MAX } else { options.limit as usize };
    let (mut jobs, mut cursor) = (Vec::new(), String::new());
    loop {
        let left = u32::try_from(limit - jobs.len()).unwrap_or(PAGE).min(PAGE);
        let mut page = server.call(Method::GET, &format!("/api/jobs?limit={left}{filters}{cursor}")).await?;
        if let Value::Array(found) = page["jobs"].take() {
            jobs.extend(found);
        }
        match page["next_cursor"].as_str().filter(|_| jobs.len() < limit) {
            Some(next) => cursor = format!("&cursor={}", encode(next)),
            None => return Ok(jobs),
        }
    }
}

/// How far the active ones among these jobs are.
async fn percents(server: &Server, jobs: &[Value]) -> anyhow::Result<HashMap<String, u64>> {
    if !jobs.iter().any(|job| text(job, "status") == "running") {
        return Ok(HashMap::new());
    }
    let queue = server.call(Method::GET, "/api/queue").await?;
    let active = queue["jobs"].as_array().into_iter().flatten();
    Ok(active
        .filter_map(|job| Some((text(job, "prompt_id").to_owned(), job["progress"]["percent"].as_u64()?)))
        .collect())
}

fn row(job: &Value, percent: Option<u64>, now: OffsetDateTime) -> Vec<String> {
    let status = text(job, "status");
    let time = |key: &str| table::time(job[key].as_str());
    let took = time("started_at").map(|started| table::lasted(started, time("finished_at").unwrap_or(now)));
    vec![
        text(job, "prompt_id").to_owned(),
        text(job, "workflow_id").to_owned(),
        percent
            .filter(|_| status == "running")
            .map_or(status.to_owned(), |percent| format!("{status} {percent}%")),
        time("queued_at").map(|queued| table::ago(queued, now)).unwrap_or_default(),
        took.unwrap_or_default(),
        table::short(text(job, "error"), 60),
    ]
}
