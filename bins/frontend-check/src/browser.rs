//! The browser process.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

const START: Duration = Duration::from_secs(60);

/// A headless browser that reaches nothing but 127.0.0.1. It ends when dropped.
pub struct Browser {
    process: Child,
    profile: TempDir,
}

impl Browser {
    /// Starts this program with a new profile.
    pub fn start(program: &Path) -> anyhow::Result<Self> {
        let profile = tempfile::Builder::new().prefix("frontend-check-").tempdir()?;
        let process = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            // 3D views need WebGL. Recent versions of Chromium render it in software only when they are told to.
            .arg("--enable-unsafe-swiftshader")
            .args([
                "--no-first-run",
                "--disable-extensions",
                "--disable-background-networking",
                "--mute-audio",
            ])
            // The browser must not throttle a page that is not visible.
            .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
            .args(["--remote-debugging-port=0", "--window-size=800,600"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}: install Debian's chromium", program.display()))?;
        Ok(Self { process, profile })
    }

    /// Returns the address for remote control of the open page.
    pub async fn page(&mut self) -> anyhow::Result<String> {
        let deadline = Instant::now() + START;
        let port_file = self.profile.path().join("DevToolsActivePort");
        let port = loop {
            if let Some(status) = self.process.try_wait()? {
                bail!("the browser ended at once: {status}");
            }
            let port = std::fs::read_to_string(&port_file).ok();
            if let Some(port) = port.as_deref().and_then(|text| text.lines().next()) {
                break port.to_owned();
            }
            if Instant::now() > deadline {
                bail!("the browser did not start within {} s", START.as_secs());
            }
            sleep(Duration::from_millis(50)).await;
        };
        let url = format!("http://127.0.0.1:{port}/json/list");
        let mut reply =
            awc::Client::new().get(&url).send().await.map_err(|error| anyhow!("{url}: {error}"))?;
        let targets: Vec<Value> = serde_json::from_slice(&reply.body().await?)?;
        targets
            .iter()
            .find(|target| target["type"] == "page")
            .and_then(|target| target["webSocketDebuggerUrl"].as_str())
            .map(str::to_owned)
            .context("the browser has no page open")
    }
}

impl Drop for Browser {
    /// Ends the browser and removes its profile. Child processes of the browser may write to it for a short time.
    fn drop(&mut self) {
        if let Err(error) = self.process.start_kill() {
            tracing::debug!(%error, "the browser had already ended");
        }
        for _ in 0..100 {
            let is_over = !matches!(self.process.try_wait(), Ok(None));
            if is_over && std::fs::remove_dir_all(self.profile.path()).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        tracing::warn!(profile = %self.profile.path().display(), "cannot remove the browser's profile");
    }
}
