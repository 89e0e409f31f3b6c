//! The page of `docs/web-page.md` in a real browser, from an origin of its own.
//!
//! It needs `chromium` on the path. Without it the test says that it was skipped, unless `COMFY_RUNNER_TEST_BROWSER` is set:
//! then it fails.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use comfy_runner::server::{AllowedOrigins, Settings};
use support::{Api, fixtures, settings, simulator};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs the form, and reports what the page shows in the end.
const REPORT: &str = r#"
<script type="module">
  form.requestSubmit();
  const shown = () => image.naturalWidth > 0 && image.src.includes("/api/run/result/");
  while (!shown() && !/failed|error/i.test(message.textContent)) await new Promise((next) => setTimeout(next, 20));
  await fetch("/report", { method: "POST", body: `${message.textContent}|${progress.value}|${image.naturalWidth}` });
</script>
"#;

#[actix_rt::test]
async fn the_documented_page_runs_a_workflow_from_another_origin() {
    if Command::new("chromium").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("COMFY_RUNNER_TEST_BROWSER").is_none(), "no chromium on the path");
        return eprintln!("skipped: no chromium on the path");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let simulator = simulator();
    let settings = Settings {
        allow_origins: AllowedOrigins::new(vec![origin.parse().unwrap()]),
        api_keys: vec!["key".into()],
        ..settings(&simulator.url())
    };
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let page =
        page().replace("http://127.0.0.1:8080", &api.base).replace("KEY = \"\"", "KEY = \"key\"") + REPORT;

    let browser = Browser::open(&origin);
    let report = tokio::time::timeout(PATIENCE, serve_until_report(listener, &page)).await;
    drop(browser);
    let report = report.expect("the page reports");
    let parts: Vec<_> = report.split('|').collect();
    assert!(parts[0].starts_with("text-to-image") && parts[0].ends_with("completed"), "{report}");
    assert_eq!(parts[1], "100", "{report}");
    assert!(parts[2].parse::<u32>().unwrap() > 0, "{report}");
    api.stop().await;
}

/// The complete page of the documentation.
fn page() -> String {
    let docs = std::fs::read_to_string(fixtures().join("../docs/web-page.md")).unwrap();
    let (_, page) = docs.split_once("```html\n").unwrap();
    page.split_once("```").unwrap().0.to_owned()
}

/// Serves the page until it posts its report.
async fn serve_until_report(listener: TcpListener, page: &str) -> String {
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let (head, body) = read_request(&mut socket).await;
        let (status, answer) = match head.split(' ').nth(1) {
            Some("/") => ("200 OK", page),
            Some("/report") => ("200 OK", ""),
            _ => ("404 Not Found", ""),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
            answer.len()
        );
        // A browser may open connections that it does not use.
        let _ = socket.write_all(answer.as_bytes()).await;
        if head.starts_with("POST /report ") {
            return body;
        }
    }
}

async fn read_request(socket: &mut TcpStream) -> (String, String) {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return (head.to_owned(), body.to_owned());
            }
        }
        let mut piece = [0; 4096];
        match socket.read(&mut piece).await {
            Ok(length @ 1..) => request.extend_from_slice(&piece[..length]),
            _ => return (String::new(), String::new()),
        }
    }
}

/// A headless browser, which is closed on drop.
struct Browser {
    process: Child,
    _profile: TempDir,
}

impl Browser {
    fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let process = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, _profile: profile }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
