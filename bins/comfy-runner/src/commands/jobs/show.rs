//! `comfy-runner jobs show`

use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_client::encode;
use serde_json::Value;

use super::server::Server;
use super::text;
use crate::terminal::{one_line, outln};

pub async fn show(server: &Server, prompt_id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/jobs/{}", encode(prompt_id));
    let job = server.call(Method::GET, &path).await?;
    if json {
        outln!("{job}");
        return Ok(ExitCode::SUCCESS);
    }
    let files = server.call(Method::GET, &format!("{path}/files")).await?;
    for (name, key) in [
        ("Job", "prompt_id"),
        ("Workflow", "workflow_id"),
        ("Status", "status"),
        ("Error", "error"),
        ("Repeats", "retry_of"),
        ("Queued", "queued_at"),
        ("Started", "started_at"),
        ("Finished", "finished_at"),
        ("Folder", "output_folder"),
    ] {
        if let Some(value) = job[key].as_str() {
            outln!("{name:<10} {}", one_line(value));
        }
    }
    section("Parameters", &job["params"]);
    section("Seeds", &job["seeds"]);
    for (title, list) in [("Warnings", &job["warnings"]), ("Input files", &job["input_files"])] {
        let items: Vec<String> =
            list.as_array().into_iter().flatten().filter_map(Value::as_str).map(one_line).collect();
        if !items.is_empty() {
            outln!("\n{title}\n  {}", items.join("\n  "));
        }
    }
    let files = files["files"].as_array().filter(|files| !files.is_empty());
    if let Some(files) = files {
        outln!("\nFiles");
        for file in files {
            let [filename, title, url] =
                ["filename", "node_title", "url"].map(|key| one_line(text(file, key)));
            outln!("  {filename} ({title})  {url}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn section(title: &str, values: &Value) {
    let Some(values) = values.as_object().filter(|values| !values.is_empty()) else { return };
    outln!("\n{title}");
    for (name, value) in values {
        outln!("  {}: {}", one_line(name), value.as_str().map_or_else(|| value.to_string(), one_line));
    }
}
