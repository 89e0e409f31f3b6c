//! `comfy-runner jobs show`

use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_api::{JobFiles, JobRecord, Timestamp};
use comfy_runner_client::encode;
use serde_json::Value;

use super::print_json;
use crate::commands::server::Server;
use crate::terminal::{one_line, outln};

pub async fn show(server: &Server, prompt_id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/jobs/{}", encode(prompt_id));
    let record: JobRecord = server.call(Method::GET, &path).await?;
    if json {
        print_json(&record)?;
        return Ok(ExitCode::SUCCESS);
    }
    let files: JobFiles = server.call(Method::GET, &format!("{path}/files")).await?;
    print_record(&record);
    print_files(&files);
    Ok(ExitCode::SUCCESS)
}

fn print_record(record: &JobRecord) {
    let job = &record.summary;
    let time = |time: &'_ Option<Timestamp>| time.as_ref().map(ToString::to_string);
    for (name, value) in [
        ("Job", Some(job.prompt_id.clone())),
        ("Workflow", Some(job.workflow_id.clone())),
        ("Status", Some(job.status.to_string())),
        ("Error", job.error.clone()),
        ("Repeats", job.retry_of.clone()),
        ("Queued", time(&job.queued_at)),
        ("Started", time(&job.started_at)),
        ("Finished", time(&job.finished_at)),
        ("Folder", Some(job.output_folder.clone())),
    ] {
        if let Some(value) = value {
            outln!("{name:<10} {}", one_line(&value));
        }
    }
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), one_line);
    print_section(
        "Parameters",
        record.params.iter().map(|(id, value)| format!("{}: {}", one_line(id), plain(value))),
    );
    print_section("Seeds", record.seeds.iter().map(|(id, seed)| format!("{}: {seed}", one_line(id))));
    print_section("Warnings", job.warnings.iter().map(|warning| one_line(warning)));
    print_section("Input files", record.input_files.iter().map(|file| one_line(file)));
}

fn print_files(files: &JobFiles) {
    print_section(
        "Files",
        files.files.iter().map(|file| {
            let [filename, title, url] =
                [&file.file.filename, &file.node_title, &file.url].map(|part| one_line(part));
            format!("{filename} ({title})  {url}")
        }),
    );
}

/// Prints a title and indented lines; nothing when there are no lines.
fn print_section(title: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() == 0 {
        return;
    }
    outln!("\n{title}");
    for line in lines {
        outln!("  {line}");
    }
}
