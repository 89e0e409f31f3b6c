//! Downloads from a ComfyUI that breaks off, refuses, hangs or lies: nothing that is not whole looks whole.

#[path = "../../../crates/client/tests/support/raw.rs"]
mod raw;
mod support;

use std::cell::RefCell;
use std::io::{Cursor, Read as _};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use comfy_runner::server::Settings;
use comfy_runner_api::Status;
use comfy_runner_protocol::Graph;
use comfy_runner_store::{Outcome, Record, Sqlite, Store as _, Summary};
use serde_json::{Value, json};
use support::{Api, Reply, fixtures, settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A ComfyUI that answers each request with the bytes that `answer` returns for its target, closes the connection, and
/// remembers the targets. Without any bytes it does not answer at all.
struct Upstream {
    url: String,
    asked: Rc<RefCell<Vec<String>>>,
}

impl Upstream {
    async fn start(answer: impl Fn(&str) -> Vec<u8> + 'static) -> Self {
        let asked = Rc::new(RefCell::new(Vec::new()));
        let (remembered, answer) = (Rc::clone(&asked), Rc::new(answer));
        let url = raw::raw(move |_, mut socket| {
            let (remembered, answer) = (Rc::clone(&remembered), Rc::clone(&answer));
            async move {
                let head = raw::read_head(&mut socket).await;
                let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if !target.starts_with("/view") {
                    return;
                }
                let answer = answer(&target);
                remembered.borrow_mut().push(target);
                if answer.is_empty() {
                    std::future::pending::<()>().await;
                }
                // The other side may be gone already.
                let _ = socket.write_all(&answer).await;
            }
        });
        Self { url: url.await, asked }
    }

    async fn answering(answer: &'static [u8]) -> Self {
        Self::start(move |_| answer.to_vec()).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

/// A server whose store knows one completed job, `done`, with these files.
async fn server(comfyui: &str, inputs: &[&str], outputs: Value) -> Api {
    start(known_to(comfyui, inputs, outputs).await)
}

/// The settings of such a server.
async fn known_to(comfyui: &str, inputs: &[&str], outputs: Value) -> Settings {
    let store = Sqlite::in_memory().unwrap();
    let graph = json!({"1": {"class_type": "SaveImage", "inputs": {}}});
    let mut summary = Summary::new("done", "done", "no-model", 1);
    summary.output_folder = "job".into();
    summary.outcome = Outcome::new(Status::Completed, true);
    summary.outcome.finished_at = Some(1_774_362_652_123);
    summary.outcome.outputs = serde_json::from_value(json!({"1": outputs})).unwrap();
    let mut record = Record::new(summary, Arc::new(Graph::from_value(graph).unwrap()));
    record.input_files = inputs.iter().map(|name| (*name).to_owned()).collect();
    store.create(record).await.unwrap();
    let mut settings = settings(comfyui);
    settings.store = Arc::new(store);
    settings
}

fn start(settings: Settings) -> Api {
    Api::start_with(&settings, &fixtures().join("workflows"))
}

const VIEW: &str = "/api/comfyui/view?filename=a.png";
const RESULT: &str = "/api/run/result/done";
const PACKAGE: &str = "/api/jobs/done/package";

fn one_file() -> Value {
    json!([{"filename": "a.png", "subfolder": "job/final", "type": "output"}])
}

/// Every byte of the answer until the connection ends.
async fn raw(api: &Api, path: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset ends it as well.
    let _ = socket.read_to_end(&mut answer).await;
    answer
}

/// Whether an HTTP client sees that the answer is not whole.
fn is_broken(answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return true };
    let header = |name: &str| {
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned))
    };
    match (header("transfer-encoding: chunked"), header("content-length: ")) {
        (Some(_), None) => !body.ends_with("0\r\n\r\n"),
        (None, Some(length)) => body.len() < length.parse::<usize>().unwrap(),
        framing => panic!("{framing:?}: {head}"),
    }
}

fn unpacked(package: &Reply) -> Vec<(String, Vec<u8>)> {
    assert_eq!(package.status, 200, "{}", package.text());
    let mut archive = zip::ZipArchive::new(Cursor::new(&package.body)).unwrap();
    let count = archive.len();
    let read = |at| {
        let mut file = archive.by_index(at).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        (file.name().unwrap().into_owned(), bytes)
    };
    (0..count).map(read).collect()
}

#[actix_rt::test]
async fn a_body_that_breaks_off_is_broken_off_for_the_caller() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let shown = String::from_utf8_lossy(answer).into_owned();
        let upstream = Upstream::start(move |_| answer.to_vec()).await;
        let api = server(&upstream.url, &[], one_file()).await;
        for path in [VIEW, RESULT, PACKAGE] {
            let answered = raw(&api, path).await;
            let text = String::from_utf8_lossy(&answered);
            assert!(is_broken(&answered), "{path} {shown}: {text}");
            assert!(!text.contains("missing.json"), "{path} {shown}: {text}");
        }
        api.stop().await;
    }
}

#[actix_rt::test]
async fn a_whole_chunked_body_arrives_whole() {
    let upstream = Upstream::answering(
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n\
          HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n4\r\nhalf\r\n0\r\n\r\n",
    )
    .await;
    let api = server(&upstream.url, &[], one_file()).await;
    for path in [VIEW, RESULT] {
        assert_eq!(api.get(path).await.body, b"halfhalf");
    }
    let files = unpacked(&api.get(PACKAGE).await);
    assert_eq!(files[1], ("output/final/a.png".to_owned(), b"halfhalf".to_vec()));
    assert_eq!(files.len(), 2);
    api.stop().await;
}

#[actix_rt::test]
async fn what_is_no_file_is_502_and_says_what_it_is() {
    for (answer, said) in [
        (&b"HTTP/1.1 200 OK\r\n\r\nuntil the connection is closed"[..], "length"),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the connection is closed", "length"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "401"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "403"),
        (b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", "500"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "502"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n", "302"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx", "206"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP"),
    ] {
        let upstream = Upstream::answering(answer).await;
        let api = server(&upstream.url, &[], one_file()).await;
        for path in [VIEW, RESULT, PACKAGE] {
            let reply = api.get(path).await;
            assert_eq!(reply.status, 502, "{path} {said}: {}", reply.text());
            assert!(reply.detail().contains(said), "{path}: {}", reply.detail());
        }
        api.stop().await;
    }
}

#[actix_rt::test]
async fn a_comfyui_that_does_not_answer_is_504_and_one_that_is_not_there_502_but_for_a_view() {
    let upstream = Upstream::answering(b"").await;
    let mut settings = known_to(&upstream.url, &[], one_file()).await;
    settings.comfyuis[0].client.timeouts.reply = Duration::from_millis(300);
    let api = start(settings);
    for path in [VIEW, RESULT, PACKAGE] {
        let reply = api.get(path).await;
        assert_eq!(reply.status, 504, "{path}: {}", reply.text());
        assert!(reply.detail().contains("did not answer"), "{}", reply.detail());
    }
    api.stop().await;
    let api = server("http://127.0.0.1:9", &[], one_file()).await;
    for (path, status) in [(VIEW, 404), (RESULT, 502), (PACKAGE, 502)] {
        let reply = api.get(path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert!(reply.detail().contains("cannot be reached"), "{}", reply.detail());
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_package_names_what_comfyui_does_not_have_and_nothing_that_it_has() {
    let outputs = json!([
        {"filename": "gone.png", "subfolder": "job", "type": "output"},
        {"filename": "a.png", "subfolder": "job", "type": "output"},
        {"filename": "A.PNG", "subfolder": "job", "type": "output"},
        {"filename": "nul.png", "subfolder": "job\\con", "type": "temp"},
    ]);
    let upstream = Upstream::start(|target| match target.contains("gone.png") {
        true => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        false => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile".to_vec(),
    })
    .await;
    let api = server(&upstream.url, &["in.png"], outputs).await;
    let files = unpacked(&api.get(PACKAGE).await);
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["job.json", "input/in.png", "output/a.png", "output/2/A.PNG", "temp/_con/_nul.png", "missing.json"];
    assert_eq!(names, expected);
    assert_eq!(serde_json::from_slice::<Value>(&files[5].1).unwrap(), json!(["output/gone.png"]));
    api.stop().await;
}

#[actix_rt::test]
async fn a_place_outside_comfyuis_folders_is_never_asked_for() {
    for (filename, subfolder, kind) in [
        ("secret.png", "../..", "output"),
        ("../secret.png", "", "output"),
        ("secret.png", "..\\..", "output"),
        ("secret.png", "/etc", "output"),
        ("secret.png", "C:/", "output"),
        ("secret.png", "", "models"),
    ] {
        let upstream = Upstream::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfile").await;
        let file = json!([{"filename": filename, "subfolder": subfolder, "type": kind}]);
        let api = server(&upstream.url, &["../secret.png"], file).await;
        let result = api.get(RESULT).await;
        assert_eq!(result.status, 502, "{}", result.text());
        assert!(result.detail().contains("refused"), "{}", result.detail());
        let files = unpacked(&api.get(PACKAGE).await);
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["job.json", "missing.json"]);
        assert_eq!(upstream.asked(), [""; 0]);
        api.stop().await;
    }
}

#[actix_rt::test]
async fn a_part_is_passed_on_and_one_that_breaks_off_is_broken_off() {
    let upstream = Upstream::answering(
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\npart",
    )
    .await;
    let api = server(&upstream.url, &[], one_file()).await;
    let part = api.get_with(VIEW, &[("range", "bytes=0-3")]).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"part"[..]));
    assert_eq!(part.header("content-range"), "bytes 0-3/9");
    api.stop().await;
    // A server may answer a range with the whole file.
    let upstream = Upstream::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole").await;
    let api = server(&upstream.url, &[], one_file()).await;
    let whole = api.get_with(VIEW, &[("range", "bytes=0-3")]).await;
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (200, &b"whole"[..]));
    api.stop().await;
}
