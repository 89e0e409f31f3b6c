//! `comfy-runner jobs list`

use std::collections::HashMap;
use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_api::{JobList, JobStatus, JobSummary, Queue, QueuedJob, Status, Timestamp};
use comfy_runner_client::encode;
use serde::Serialize;
use time::OffsetDateTime;

use super::{print_json, table};
use crate::cli::JobsList;
use crate::commands::server::Server;
use crate::terminal::outln;

/// The number of jobs per request.
const PAGE: u32 = 200;

/// The output of `--json`: the jobs of all pages.
#[derive(Serialize)]
struct Listed<'a> {
    jobs: &'a [JobSummary],
}

pub async fn list(server: &Server, options: &JobsList) -> anyhow::Result<ExitCode> {
    let jobs = fetch(server, options).await?;
    if options.json {
        print_json(&Listed { jobs: &jobs })?;
        return Ok(ExitCode::SUCCESS);
    }
    if jobs.is_empty() {
        outln!("no jobs");
        return Ok(ExitCode::SUCCESS);
    }
    let percents = percents(server, &jobs).await?;
    let now = OffsetDateTime::now_utc();
    let rows: Vec<_> = jobs.iter().map(|job| row(job, percents.get(&job.prompt_id).copied(), now)).collect();
    table::print(&["PROMPT ID", "WORKFLOW", "STATUS", "QUEUED", "TOOK", "NOTE"], &rows);
    Ok(ExitCode::SUCCESS)
}

/// Fetches the requested jobs, page by page.
async fn fetch(server: &Server, options: &JobsList) -> anyhow::Result<Vec<JobSummary>> {
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
        let page: JobList =
            server.call(Method::GET, &format!("/api/jobs?limit={left}{filters}{cursor}")).await?;
        jobs.extend(page.jobs);
        match page.next_cursor.filter(|_| jobs.len() < limit) {
            Some(next) => cursor = format!("&cursor={}", encode(&next)),
            None => return Ok(jobs),
        }
    }
}

/// Fetches the percentages of running jobs, by prompt id.
async fn percents(server: &Server, jobs: &[JobSummary]) -> anyhow::Result<HashMap<String, u8>> {
    if !jobs.iter().any(|job| job.status == Status::Running) {
        return Ok(HashMap::new());
    }
    let queue: Queue = server.call(Method::GET, "/api/queue").await?;
    let percent = |job: QueuedJob| match job.progress {
        Some(JobStatus::Running(running)) => Some((job.summary.prompt_id, running.percent)),
        _ => None,
    };
    Ok(queue.jobs.into_iter().filter_map(percent).collect())
}

fn row(job: &JobSummary, percent: Option<u8>, now: OffsetDateTime) -> Vec<String> {
    let status = match percent.filter(|_| job.status == Status::Running) {
        Some(percent) => format!("{} {percent}%", job.status),
        None => job.status.to_string(),
    };
    let time = |time: &Option<Timestamp>| table::time(time.as_ref());
    let took =
        time(&job.started_at).map(|started| table::lasted(started, time(&job.finished_at).unwrap_or(now)));
    vec![
        job.prompt_id.clone(),
        job.workflow_id.clone(),
        status,
        time(&job.queued_at).map(|queued| table::ago(queued, now)).unwrap_or_default(),
        took.unwrap_or_default(),
        table::short(job.error.as_deref().unwrap_or_default(), 60),
    ]
}
