//! `comfy-runner jobs show`

use std::process::ExitCode;

use awc::http::Method;
use comfy_runner_client::encode;
use serde_json::Value;

use super::server::Server;
use super::text;

pub async fn show(server: &Server, prompt_id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/jobs/{}", encode(prompt_id));
    let job = server.call(Method::GET, &path).await?;
    if json {
        println!("{job}");
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
            println!("{name:<10} {value}");
        }
    }
    section("Parameters", &job["params"]);
    section("Seeds", &job["seeds"]);
    for (title, list) in [("Warnings", &job["warnings"]), ("Input files", &job["input_files"])] {
        let items: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if !items.is_empty() {
            println!("\n{title}\n  {}", items.join("\n  "));
        }
    }
    let files = files["files"].as_array().filter(|files| !files.is_empty());
    if let Some(files) = files {
        println!("\nFiles");
        for file in files {
            println!("  {} ({})  {}", text(file, "filename"), text(file, "node_title"), text(file, "url"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn section(title: &str, values: &Value) {
    let Some(values) = values.as_object().filter(|values| !values.is_empty()) else { return };
    println!("\n{title}");
    for (name, value) in values {
        println!("  {name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
}
