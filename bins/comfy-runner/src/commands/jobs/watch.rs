//! `comfy-runner jobs watch`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use awc::http::Method;
use awc::ws::{Frame, Message};
use comfy_runner_client::encode;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;

use super::super::progress_bar::{Display, Report};
use super::server::Server;
use super::text;
use crate::terminal::{errln, one_line, outln};

/// How long is waited before the server is asked again, after the stream broke off.
const PAUSE: Duration = Duration::from_secs(1);
/// So often is a server asked again that does not answer.
const ATTEMPTS: u32 = 60;

/// Follows one job to its end. It is a success if the job is.
pub async fn one(server: &Server, prompt_id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/run/events/{}", encode(prompt_id));
    let mut display = Display::new();
    let mut stream = server.open(Method::GET, &path).await?;
    loop {
        if let Some(end) = follow(&mut stream, &mut display, json).await {
            display.end();
            if !json {
                outln!("{}", one_line(text(&end, "message").trim_end()));
            }
            let completed = text(&end, "type") == "job.completed";
            return Ok(if completed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        stream = again(server, &path).await?;
    }
}

/// Opens the stream again that broke off, once the server is back.
async fn again(server: &Server, path: &str) -> anyhow::Result<super::server::Answer> {
    errln!("the server has gone; waiting for it");
    for _ in 0..ATTEMPTS {
        tokio::time::sleep(PAUSE).await;
        if server.call(Method::GET, "/health").await.is_ok() {
            return server.open(Method::GET, path).await;
        }
    }
    bail!("the server has not come back within {} seconds", ATTEMPTS)
}

/// Reads events until the job's last, which it returns, or until the stream breaks off.
async fn follow(stream: &mut super::server::Answer, display: &mut Display, json: bool) -> Option<Value> {
    let (mut text_so_far, mut kind) = (Vec::new(), String::new());
    while let Some(Ok(bytes)) = stream.next().await {
        text_so_far.extend_from_slice(&bytes);
        while let Some(end) = text_so_far.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text_so_far.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(name) = line.strip_prefix("event:") {
                kind = name.trim().to_owned();
            }
            let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
            let Ok(message) = serde_json::from_str::<Value>(data) else { continue };
            if json && kind != "preview" {
                outln!("{message}");
            }
            match kind.as_str() {
                "progress" if !json => display.show(report(&message["data"])),
                "end" => return Some(message),
                _ => {}
            }
        }
    }
    None
}

fn report(state: &Value) -> Report {
    let steps = (state["step"].as_u64().unwrap_or(0), state["total_steps"].as_u64().unwrap_or(0));
    let doing = Some(text(state, "node_title")).filter(|title| !title.is_empty());
    Report {
        percent: state["percent"].as_f64().unwrap_or(0.0) as u64,
        doing: doing.unwrap_or(text(state, "status")).to_owned(),
        steps: (steps.1 > 0).then_some(steps),
        eta_seconds: state["eta_seconds"].as_f64().map(|seconds| seconds as u64),
    }
}

/// Tells of all jobs, a line for each event, until it is stopped.
pub async fn all(server: &Server, json: bool) -> anyhow::Result<ExitCode> {
    loop {
        let mut socket = server.socket("/api/run/ws").await?;
        while let Some(Ok(frame)) = socket.next().await {
            match frame {
                Frame::Text(bytes) => tell(&bytes, json),
                // A connection on which this fails gives no further frame either.
                Frame::Ping(bytes) => drop(socket.send(Message::Pong(bytes)).await),
                Frame::Close(_) => break,
                _ => {}
            }
        }
        errln!("the server has gone; waiting for it");
        tokio::time::sleep(PAUSE).await;
    }
}

fn tell(bytes: &[u8], json: bool) {
    let Ok(message) = serde_json::from_slice::<Value>(bytes) else { return };
    if json {
        outln!("{message}");
    } else if text(&message, "type").starts_with("job.") {
        outln!(
            "{}  {}  {}",
            one_line(text(&message, "timestamp")),
            one_line(text(&message["data"], "prompt_id")),
            one_line(text(&message, "message"))
        );
    }
}
