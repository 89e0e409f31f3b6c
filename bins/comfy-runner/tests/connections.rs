//! Callers that stall, flood, never read or take every connection, byte for byte.

mod support;

use std::time::Duration;

use actix_web::rt::net::TcpStream;
use comfy_runner::server::{Limits, Settings};
use futures::future::join_all;
use serde_json::json;
use support::{Api, Form, eventually, fixtures, png, settings, simulator, uploaded};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Soon enough for a test. What is tested is that it happens at all; how long it takes is tested without a network.
const SOON: Duration = Duration::from_millis(200);

fn start(change: impl FnOnce(&mut Settings)) -> Api {
    let mut settings = settings("http://127.0.0.1:9");
    change(&mut settings);
    Api::start_with(&settings, &fixtures().join("workflows"))
}

async fn connect(api: &Api) -> TcpStream {
    TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.unwrap()
}

/// What comes until the connection ends, by whichever means.
async fn until_closed(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = async {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = socket.read(&mut piece).await {
            answer.extend_from_slice(&piece[..length]);
        }
    };
    timeout(PATIENCE, read).await.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends until nothing is taken any more.
async fn flood(socket: &mut (impl tokio::io::AsyncWrite + Unpin), piece: &[u8]) {
    let flood = async { while socket.write_all(piece).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("the server closes the connection");
}

/// A request with a body that does not end, and what becomes of it when the caller stalls, and when it sends on and on.
async fn early_answer(api: &Api, status: u16, head: &str) {
    let expected = format!("HTTP/1.1 {status} ");
    let mut socket = connect(api).await;
    socket.write_all(head.as_bytes()).await.unwrap();
    let answer = until_closed(&mut socket).await;
    assert!(answer.starts_with(&expected), "{head}{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{head}{answer}");
    assert!(answer.contains("{\"detail\":"), "{head}{answer}");

    let mut socket = connect(api).await;
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut piece = b"10000\r\n".to_vec();
    piece.resize(7 + 0x10000, b'x');
    piece.extend(b"\r\n");
    let (mut read, mut write) = socket.split();
    let mut answer = Vec::new();
    let _ = tokio::join!(read.read_to_end(&mut answer), flood(&mut write, &piece));
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with(&expected), "{head}{answer}");
}

#[actix_rt::test]
async fn a_head_that_cannot_be_read_is_answered_with_a_detail() {
    let api = start(|_| {});
    let long = format!("GET /health HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 18));
    for (status, head) in [
        (400, "hello\r\n\r\n"),
        (400, "GET /health HTTP/1.1\r\nno colon\r\n\r\n"),
        (400, "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\r\n\r\n"),
        (431, &long),
    ] {
        let mut socket = connect(&api).await;
        // The server may close before it has read everything.
        let _ = socket.write_all(head.as_bytes()).await;
        let answer = until_closed(&mut socket).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let error: comfy_runner_api::ErrorBody = serde_json::from_str(body).unwrap();
        assert!(error.detail.contains("request"), "{}", error.detail);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn an_early_answer_closes_the_connection_and_the_body_is_not_read_for_ever() {
    let api = start(|settings| settings.api_keys = vec!["right".into()]);
    let mut requests = Vec::new();
    for (chunked, measured, line) in [
        (401, 401, "POST /api/run/upload-image HTTP/1.1\r\n"),
        (401, 401, "GET /api/workflows HTTP/1.1\r\nX-API-Key: wrong\r\n"),
        (404, 404, "POST /nowhere HTTP/1.1\r\n"),
        (404, 404, "POST /api/nowhere HTTP/1.1\r\nX-API-Key: right\r\n"),
        (405, 405, "PUT /api/jobs HTTP/1.1\r\nX-API-Key: right\r\n"),
        (400, 415, "POST /api/run/upload-image HTTP/1.1\r\nX-API-Key: right\r\n"),
    ] {
        requests.push((chunked, format!("{line}Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")));
        requests.push((measured, format!("{line}Host: localhost\r\nContent-Length: 1099511627776\r\n\r\n")));
    }
    let form = "X-API-Key: right\r\nContent-Type: multipart/form-data; boundary=b\r\n";
    requests.push((
        413,
        format!(
            "POST /api/run/upload-image HTTP/1.1\r\n{form}Host: localhost\r\nContent-Length: 1099511627776\r\n\r\n"
        ),
    ));
    join_all(requests.iter().map(|(status, head)| early_answer(&api, *status, head))).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_connection_is_used_again_when_an_unneeded_body_is_short() {
    let api = start(|_| {});
    let mut socket = connect(&api).await;
    let request = b"POST /api/run/cancel/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    for _ in 0..3 {
        socket.write_all(request).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = timeout(PATIENCE, socket.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 404 ") || answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_caller_whose_body_stalls_is_408_and_nothing_of_the_file_remains() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.limits.body_timeout = SOON;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let form = |name: &str| Form::new().file(name, "photo.png", &png());
    for (path, form) in [
        ("/api/run/upload-image", form("file")),
        ("/api/run/image-to-image/execute", form("input_image")),
        ("/api/run/image-to-image/build", Form::new().params(json!({"prompt": "a fox"}))),
    ] {
        let content_type = form.content_type();
        let body = form.body();
        for sent in [0, 10, body.len() - 20] {
            let mut socket = connect(&api).await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            // At once: behind a pause of our own, the server may have closed the connection.
            socket.write_all(&[head.as_bytes(), &body[..sent]].concat()).await.unwrap();
            let answer = until_closed(&mut socket).await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{path} {sent}: {answer}");
            assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
            assert!(answer.contains("{\"detail\":\"the request's body did not arrive: 0.2 s"), "{answer}");
        }
    }
    eventually("nothing is left", || uploaded(&simulator).is_empty()).await;
    api.stop().await;
}

#[actix_rt::test]
async fn the_head_of_the_first_request_and_of_the_next_must_arrive_in_time() {
    // Longer than a busy machine takes for a whole head.
    let header_timeout = Duration::from_secs(3);
    let api = start(|settings| {
        settings.limits = Limits { header_timeout, keep_alive: SOON, ..Limits::default() };
    });
    let first = async {
        let mut socket = connect(&api).await;
        socket.write_all(b"GET /health HTTP/1.1\r\nHost: lo").await.unwrap();
        let answer = until_closed(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    };
    // The next head begins at once, and goes on with a byte every now and then.
    let next = async {
        let answer = loop {
            let mut socket = connect(&api).await;
            let heads = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nX-A: ";
            socket.write_all(heads).await.unwrap();
            let (mut read, mut write) = socket.split();
            let trickle = async {
                while write.write_all(b"a").await.is_ok() {
                    actix_rt::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let mut answer = Vec::new();
            let ends = async { tokio::join!(trickle, read.read_to_end(&mut answer)).1 };
            let _ = timeout(PATIENCE, ends).await.expect("the server closes the connection");
            let answer = String::from_utf8_lossy(&answer).into_owned();
            // The machine stood still between our connection and our first head.
            if !answer.starts_with("HTTP/1.1 408 ") {
                break answer;
            }
        };
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    tokio::join!(first, next);
    api.stop().await;
}

#[actix_rt::test]
async fn connections_beyond_the_limit_are_503_until_another_ends() {
    let api = start(|settings| {
        settings.limits = Limits { connections: 2, header_timeout: PATIENCE, ..Limits::default() };
    });
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut socket = connect(&api).await;
        // An answer shows that the server has it; what was begun after it keeps it open.
        socket.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'H');
        others.push(socket);
    }
    let mut socket = connect(&api).await;
    let answer = until_closed(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 5\r\n"), "{answer}");
    assert!(
        answer.ends_with(
            "{\"detail\":\"the server has all the connections that it accepts; try again later\"}"
        ),
        "{answer}"
    );
    others.pop();
    loop {
        let mut socket = connect(&api).await;
        let _ = socket.write_all(request).await;
        if until_closed(&mut socket).await.starts_with("HTTP/1.1 200 ") {
            break;
        }
    }
    api.stop().await;
}

#[actix_rt::test]
async fn wrong_keys_beyond_the_limit_are_429_and_the_right_one_is_not_held_up() {
    let api = start(|settings| {
        settings.api_keys = vec!["right".into()];
        settings.limits.failed_keys_per_minute = 3;
    });
    for _ in 0..3 {
        assert_eq!(api.get_with("/api/workflows", &[("X-API-Key", "wrong")]).await.status, 401);
    }
    for path in ["/api/workflows", "/api/nowhere"] {
        let reply = api.get_with(path, &[("X-API-Key", "wrong")]).await;
        assert_eq!(reply.status, 429);
        assert!(reply.detail().contains("too many wrong API keys"), "{}", reply.detail());
        assert!((1..=60).contains(&reply.header("retry-after").parse::<u32>().unwrap()));
        assert_eq!(api.get_with("/api/workflows", &[("X-API-Key", "right")]).await.status, 200);
    }
    // A request without a key guesses nothing.
    assert_eq!(api.get("/api/workflows").await.status, 401);
    api.stop().await;
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[actix_rt::test]
async fn a_client_that_announces_too_much_on_its_websocket_is_closed_with_1009_at_once() {
    let api = start(|_| {});
    // A frame of 2^40 bytes, the second of two fragments, and a ping, none of them with a payload.
    for header in [
        &[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0][..],
        &[0x01, 0x81, 0, 0, 0, 0, b'x', 0x80, 0xff, 0, 0, 0, 0, 0, 1, 0, 0],
        &[0x89, 0xfe, 0, 126],
    ] {
        let mut socket = connect(&api).await;
        let request = format!("GET /api/run/ws HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        socket.write_all(header).await.unwrap();
        // A ping of the server's may come before.
        let close = async {
            loop {
                let (kind, length) = (socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap());
                let mut payload = vec![0; length.into()];
                socket.read_exact(&mut payload).await.unwrap();
                if kind == 0x88 {
                    break payload;
                }
            }
        };
        let close = timeout(PATIENCE, close).await.expect("the server closes");
        assert_eq!(u16::from_be_bytes([close[0], close[1]]), 1009);
        assert!(close[2..].starts_with(b"a WebSocket "), "{}", String::from_utf8_lossy(&close[2..]));
        flood(&mut socket, &[0; 4096]).await;
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_websocket_whose_client_asks_and_never_reads_is_closed() {
    let api = start(|settings| settings.limits.write_timeout = SOON);
    let mut socket = connect(&api).await;
    let request = format!("GET /api/run/ws HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    // Each ping is answered by as many bytes.
    let mut ping = vec![0x89, 0xfd, 0, 0, 0, 0];
    ping.resize(6 + 125, 0);
    flood(&mut socket, &ping.repeat(500)).await;
    api.stop().await;
}

/// Whether the server has closed a connection that is not read.
async fn is_closed(socket: &TcpStream) -> bool {
    socket.try_write(b"\r\n").is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
}

#[actix_rt::test]
async fn a_client_that_never_reads_is_closed_also_when_nothing_more_is_made_for_it() {
    let simulator = simulator();
    // More than any socket buffers.
    std::fs::write(simulator.data_dir().join("output/video.mp4"), vec![7; 32 << 20]).unwrap();
    let mut settings = settings(&simulator.url());
    settings.limits.write_timeout = SOON;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let socket = connect(&api).await;
    let request = "GET /api/comfyui/view?filename=video.mp4&type=output HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.writable().await.unwrap();
    socket.try_write(request.as_bytes()).unwrap();
    let closed = async {
        while !is_closed(&socket).await {
            actix_rt::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, closed).await.expect("the server gives it up");
    api.stop().await;
}
