//! Validates the graph in a file as ComfyUI would.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_runner_workflow::Validator;
use comfy_runner_workflow::validate::{Question, Verdict};
use serde_json::Value;

use super::super::findings::print_warnings;
use super::super::saved;
use super::server::Server;
use crate::cli::{GraphFormat, Validate};
use crate::terminal::outln;

pub fn validate(options: &Validate) -> anyhow::Result<ExitCode> {
    let server = Server::open(options)?;
    let prompt = read(&options.path, &server)?;
    let validator = Validator::with_release(&server.info, server.release);
    let mut verdict = validator.validate_json(&prompt);
    if let Some(files) = server.files(&verdict)? {
        verdict = validator.with_files(files).validate_json(&prompt);
    }
    if options.json {
        outln!("{}", serde_json::to_string_pretty(&verdict)?);
    } else {
        print(&verdict, &prompt, &options.path);
    }
    Ok(ExitCode::from(u8::from(verdict.is_refused())))
}

/// Reads the prompt in a file: JSON in API format, also with malformed nodes, the body of a `POST /prompt`, or any
/// other file with a graph.
fn read(file: &Path, server: &Server) -> anyhow::Result<Value> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    if let Ok(value) = serde_json::from_slice::<Value>(&bytes)
        && !value["nodes"].is_array()
    {
        let body = value.get("prompt").filter(|prompt| prompt.get("class_type").is_none());
        return Ok(body.filter(|prompt| prompt.is_object()).cloned().unwrap_or(value));
    }
    let mut warnings = Vec::new();
    let saved = saved::read_one(file, GraphFormat::Api, &mut warnings)?;
    print_warnings(&warnings);
    let graph = saved
        .into_prompt(Some(&server.info))
        .with_context(|| format!("cannot convert {}", file.display()))?;
    Ok(serde_json::to_value(graph)?)
}

fn print(verdict: &Verdict, prompt: &Value, file: &Path) {
    let file = file.display();
    for (id, problem) in &verdict.node_errors {
        let title = prompt[id]["_meta"]["title"].as_str().unwrap_or(&problem.class_type);
        for error in &problem.errors {
            outln!("{file}: error: node {id} \"{title}\": {}: {}", error.message, error.details);
        }
    }
    for unknown in &verdict.unknown {
        let what = match &unknown.question {
            Question::File(name) => format!("whether the file \"{}\" is there", name.filename),
            Question::OwnValidation => "what the node's own validation says".to_owned(),
            _ => "whether it is valid".to_owned(),
        };
        outln!("{file}: node {} (`{}`): only ComfyUI knows {what}", unknown.node, unknown.input);
    }
    match &verdict.error {
        Some(error) if error.details.is_empty() || !verdict.node_errors.is_empty() => {
            outln!("{file}: refused: {}", error.message);
        }
        Some(error) => outln!("{file}: refused: {} ({})", error.message, error.details),
        None if verdict.node_errors.is_empty() => outln!("{file}: accepted"),
        None => outln!("{file}: accepted in part; only these outputs run: {}", verdict.outputs.join(", ")),
    }
}
