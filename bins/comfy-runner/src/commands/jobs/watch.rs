//! `comfy-runner jobs watch`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use awc::http::Method;
use awc::ws::{Frame, Message};
use comfy_runner_api::{Event, EventKind, Health, JobMessage, Update};
use comfy_runner_client::encode;
use futures::{SinkExt as _, StreamExt as _};

use super::super::progress_bar::{Display, Report};
use crate::commands::server::Server;
use crate::terminal::{errln, one_line, outln};

/// The pause before a reconnection.
const PAUSE: Duration = Duration::from_secs(1);
/// The number of attempts to reconnect.
const ATTEMPTS: u32 = 60;

/// Follows one job to its end. Succeeds if the job completes.
pub async fn one(server: &Server, prompt_id: &str, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/api/run/events/{}", encode(prompt_id));
    let mut display = Display::new();
    let mut stream = server.open(Method::GET, &path).await?;
    loop {
        if let Some(end) = follow(&mut stream, &mut display, json).await {
            display.end();
            if !json {
                outln!("{}", one_line(end.message.trim_end()));
            }
            let completed = end.kind == EventKind::Completed;
            return Ok(if completed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        stream = again(server, &path).await?;
    }
}

/// Opens the stream again when the server is back.
async fn again(server: &Server, path: &str) -> anyhow::Result<crate::commands::server::Answer> {
    errln!("the server has gone; waiting for it");
    for _ in 0..ATTEMPTS {
        tokio::time::sleep(PAUSE).await;
        if server.call::<Health>(Method::GET, "/health").await.is_ok() {
            return server.open(Method::GET, path).await;
        }
    }
    bail!("the server has not come back within {} seconds", ATTEMPTS)
}

/// Reads events until the last of the job, which is returned, or until the stream breaks.
async fn follow(
    stream: &mut crate::commands::server::Answer,
    display: &mut Display,
    json: bool,
) -> Option<Event> {
    let mut text_so_far = Vec::new();
    while let Some(Ok(bytes)) = stream.next().await {
        text_so_far.extend_from_slice(&bytes);
        while let Some(end) = text_so_far.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text_so_far.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
            // Messages of unknown types are skipped.
            let Ok(update) = serde_json::from_str::<Update>(data) else { continue };
            if json && !matches!(update, Update::Message(JobMessage::Preview(_))) {
                outln!("{data}");
            }
            match update {
                Update::Message(JobMessage::Progress(progress)) if !json => {
                    display.show(Report::from(&progress.data));
                }
                Update::Event(event) if event.kind.is_end() => return Some(*event),
                _ => {}
            }
        }
    }
    None
}

/// Prints a line for each event of any job, until it is stopped.
pub async fn all(server: &Server, json: bool) -> anyhow::Result<ExitCode> {
    loop {
        let mut socket = server.socket("/api/run/ws").await?;
        while let Some(Ok(frame)) = socket.next().await {
            match frame {
                Frame::Text(bytes) => tell(&bytes, json),
                // If this fails, the connection ends.
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
    // Messages of unknown types are skipped.
    let Ok(update) = serde_json::from_slice::<Update>(bytes) else { return };
    if json {
        outln!("{}", String::from_utf8_lossy(bytes));
    } else if let Update::Event(event) = update {
        let [timestamp, prompt_id, message] =
            [event.timestamp.as_str(), &event.data.prompt_id, &event.message].map(one_line);
        outln!("{timestamp}  {prompt_id}  {message}");
    }
}
