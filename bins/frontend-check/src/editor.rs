//! The editor, open in a browser.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::Source;
use crate::browser::Browser;
use crate::devtools::Devtools;
use crate::server::Server;

/// The time limit for the start of the editor.
const START: Duration = Duration::from_secs(120);
/// The time limit for a graph.
const LOAD: Duration = Duration::from_secs(90);

/// The time limit for a response of an idle page.
const ALIVE: Duration = Duration::from_secs(10);

/// The function in the page that opens a graph.
const PAGE: &str = include_str!("page.js");

/// The editor, open in a browser. Graphs are opened one after the other in the same page.
pub struct Editor {
    devtools: Devtools,
    browser: Browser,
    server: Server,
    chromium: PathBuf,
}

/// The result of opening a graph.
#[derive(Debug, Deserialize)]
pub struct Opened {
    /// The prompt that it would send.
    pub prompt: Value,
    /// The graph as it would save it.
    pub saved: Value,
    /// Pairs of nodes that overlap.
    pub overlaps: Vec<String>,
    /// The editor's warnings: dialogs, messages, errors and warnings on the console.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Editor {
    /// Serves the editor and opens it.
    pub async fn open(source: &Source) -> anyhow::Result<Self> {
        let server = Server::start(&source.frontend, &source.object_info)?;
        let (browser, devtools) = start(&server, &source.chromium).await?;
        Ok(Self { devtools, browser, server, chromium: source.chromium.clone() })
    }

    /// Opens a graph as if its file had been dropped on the page. If this takes too long, or the browser ends, a new browser
    /// is started for the next graph.
    ///
    /// The inner error is why the editor did not open this graph. The outer error is why the editor could not be restarted.
    pub async fn load(&mut self, name: &str, graph: &str) -> anyhow::Result<Result<Opened, String>> {
        self.devtools.take_complaints();
        let call = format!("frontendCheck.open({}, {})", json!(name), json!(graph));
        let failure = match timeout(LOAD, self.devtools.evaluate(&call)).await {
            Ok(Ok(reply)) => {
                let text = reply.as_str().context("the page did not return a string")?;
                let mut opened: Opened =
                    serde_json::from_str(text).context("the page returned invalid JSON")?;
                opened.warnings.extend(self.devtools.take_complaints());
                return Ok(Ok(opened));
            }
            Ok(Err(error)) => format!("the editor failed: {error:#}"),
            Err(_) => format!("no answer within {} s", LOAD.as_secs()),
        };
        let complaints = self.devtools.take_complaints();
        if !matches!(timeout(ALIVE, self.devtools.evaluate("true")).await, Ok(Ok(_))) {
            (self.browser, self.devtools) = start(&self.server, &self.chromium).await?;
        }
        Ok(Err(std::iter::once(failure).chain(complaints).collect::<Vec<_>>().join("\n")))
    }

    /// Resizes the window, in pixels.
    pub async fn resize(&mut self, width: u32, height: u32) -> anyhow::Result<()> {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools.call("Emulation.setDeviceMetricsOverride", size).await?;
        Ok(())
    }

    /// Returns a PNG of the window, with the whole graph in view.
    pub async fn screenshot(&mut self) -> anyhow::Result<Vec<u8>> {
        self.devtools.evaluate("frontendCheck.fitView()").await?;
        let reply = self.devtools.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        let image = reply["data"].as_str().context("the browser sent no image")?;
        base64::engine::general_purpose::STANDARD.decode(image).context("the browser sent no image")
    }
}

async fn start(server: &Server, chromium: &Path) -> anyhow::Result<(Browser, Devtools)> {
    let mut browser = Browser::start(chromium)?;
    let page = browser.page().await?;
    let mut devtools = timeout(START, Devtools::connect(&page)).await??;
    devtools.call("Page.navigate", json!({"url": format!("http://{}/", server.address)})).await?;
    let deadline = Instant::now() + START;
    while devtools.evaluate(READY).await.ok() != Some(Value::Bool(true)) {
        if Instant::now() > deadline {
            let complaints = devtools.take_complaints().join("\n");
            bail!("the editor did not start within {} s\n{complaints}", START.as_secs());
        }
        sleep(Duration::from_millis(100)).await;
    }
    devtools.evaluate(PAGE).await?;
    Ok((browser, devtools))
}

/// `window.app` is set when nodes are registered; the spinner disappears before that.
const READY: &str =
    "Boolean(window.app?.graph && window.app.extensionManager && !window.app.extensionManager.spinner)";
