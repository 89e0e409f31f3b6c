//! Files that come and go as streams.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix_multipart::Multipart;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use awc::http::header::{HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, RANGE};
use awc::http::{Method, StatusCode};
use bytes::Bytes;
use comfy_runner_client::{Client, ClientError, FileQuery, Upload};
use futures::{TryStreamExt, stream};
use serde_json::json;
use support::raw::{raw, read_head};
use support::{client, config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

const FILE: FileQuery<'static> = FileQuery::new("a b&c.png", "x/final", "output");

async fn serve(routes: fn(&mut web::ServiceConfig)) -> Client {
    let server =
        HttpServer::new(move || App::new().configure(routes)).workers(1).bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_rt::spawn(server.run());
    client(&url)
}

async fn body(reply: comfy_runner_client::FileReply) -> Result<Vec<u8>, ClientError> {
    reply
        .body
        .try_fold(Vec::new(), async |mut all, more| {
            Ok({
                all.extend_from_slice(&more);
                all
            })
        })
        .await
}

#[actix_rt::test]
async fn a_file_is_asked_for_by_its_exact_name_with_the_callers_range_and_nothing_else_of_his() {
    async fn view(request: HttpRequest) -> HttpResponse {
        assert_eq!(request.query_string(), "filename=a%20b%26c.png&subfolder=x%2Ffinal&type=output");
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("range").as_deref(), Some("bytes=1-3"));
        assert_eq!(header("if-none-match").as_deref(), Some("\"tag\""));
        assert_eq!((header("cookie"), header("x-api-key")), (None, None));
        HttpResponse::PartialContent()
            .insert_header(("content-range", "bytes 1-3/5"))
            .insert_header(("set-cookie", "a=b"))
            .body("bcd")
    }
    let client = serve(|app| {
        app.route("/view", web::get().to(view));
    })
    .await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (RANGE, "bytes=1-3"),
        (IF_NONE_MATCH, "\"tag\""),
        (HeaderName::from_static("cookie"), "session=1"),
        (HeaderName::from_static("x-api-key"), "secret"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let reply = client.view(FILE, Method::GET, &headers).await.unwrap();
    assert_eq!(reply.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(reply.headers.get("content-range").unwrap(), "bytes 1-3/5");
    assert!(reply.headers.get("set-cookie").is_none());
    assert_eq!(body(reply).await.unwrap(), b"bcd");
}

#[actix_rt::test]
async fn head_and_not_modified_end_without_a_body_whatever_length_they_announce() {
    for (method, head) in [
        (Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"),
        (Method::GET, "HTTP/1.1 304 Not Modified\r\n\r\n"),
        (Method::GET, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let url = raw(async move |_, mut socket| {
            read_head(&mut socket).await;
            socket.write_all(head.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_static("\"tag\""));
        let reply = client(&url).view(FILE, method, &headers).await.unwrap();
        assert!(head.contains(reply.status.as_str()));
        assert_eq!(body(reply).await.unwrap(), b"");
    }
}

#[actix_rt::test]
async fn a_stream_that_stops_is_given_up() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nx").await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let mut config = config(&url);
    config.timeouts.idle = Duration::from_millis(300);
    let client = Client::new(config).unwrap();
    let stopping = client.view(FILE, Method::GET, &HeaderMap::new()).await.unwrap();
    assert!(matches!(body(stopping).await, Err(ClientError::TimedOut { .. })));
}

#[actix_rt::test]
async fn a_file_that_is_cut_short_ends_in_an_error() {
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nhalf").await.unwrap();
    })
    .await;
    let reply = client(&url).view(FILE, Method::GET, &HeaderMap::new()).await.unwrap();
    assert!(matches!(body(reply).await, Err(ClientError::BrokenOff { .. })));
}

/// A client of a server that answers every request with these bytes and closes the connection.
async fn answering(answer: &'static [u8]) -> Client {
    let url = raw(move |_, mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(answer).await.unwrap();
    })
    .await;
    client(&url)
}

#[actix_rt::test]
async fn a_chunked_body_that_breaks_off_ends_in_an_error() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhal",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        let shown = String::from_utf8_lossy(answer);
        let reply = answering(answer).await.view(FILE, Method::GET, &HeaderMap::new()).await.unwrap();
        let error = body(reply).await.expect_err(&shown);
        assert!(matches!(error, ClientError::BrokenOff { .. }), "{shown}: {error}");
    }
    let whole =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n4;x=y\r\nhalf\r\n0\r\n\r\n";
    let reply = answering(whole).await.view(FILE, Method::GET, &HeaderMap::new()).await.unwrap();
    assert_eq!(body(reply).await.unwrap(), b"halfhalf");
}

#[actix_rt::test]
async fn a_body_whose_end_cannot_be_seen_is_refused() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\n\r\nuntil the connection is closed"[..],
        b"HTTP/1.0 200 OK\r\n\r\nuntil the connection is closed",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\ntransfer-encoding: identity\r\n\r\nhalf",
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-3"));
        let shown = String::from_utf8_lossy(answer);
        let answered = answering(answer).await.view(FILE, Method::GET, &headers).await;
        let error = answered.err().unwrap_or_else(|| panic!("{shown}"));
        assert!(error.to_string().contains("length"), "{error}");
    }
    let empty = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let reply = answering(empty).await.view(FILE, Method::GET, &HeaderMap::new()).await.unwrap();
    assert_eq!(body(reply).await.unwrap(), b"");
}

#[actix_rt::test]
async fn interim_responses_are_passed_over() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 102 Processing\r\ncontent-length: 5\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let url = raw(move |_, mut socket| async move {
                read_head(&mut socket).await;
                socket.write_all(interim.as_bytes()).await.unwrap();
                socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await.unwrap();
                socket.write_all(b"whole").await.unwrap();
            })
            .await;
            let reply = client(&url).view(FILE, method.clone(), &HeaderMap::new()).await.unwrap();
            assert_eq!(reply.status, StatusCode::OK, "{interim}");
            let expected: &[u8] = if method == Method::HEAD { b"" } else { b"whole" };
            assert_eq!(body(reply).await.unwrap(), expected, "{method} {interim}");
        }
    }
}

#[actix_rt::test]
async fn only_statuses_of_a_file_are_files() {
    for status in ["101", "201", "204", "301", "400", "401", "403", "500", "502", "503", "599"] {
        let url = raw(move |_, mut socket| async move {
            read_head(&mut socket).await;
            let answer = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: 0\r\n\r\n");
            socket.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let error = client(&url).view(FILE, Method::GET, &HeaderMap::new()).await.err().unwrap();
        assert_eq!(error.status().map(|status| status.to_string()).as_deref(), Some(status), "{error}");
    }
    // A partial answer, or 304, that was not requested.
    for answer in [
        &b"HTTP/1.1 206 Partial Content\r\ncontent-length: 1\r\n\r\nx"[..],
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 416 Range Not Satisfiable\r\ncontent-length: 0\r\n\r\n",
    ] {
        let answered = answering(answer).await.view(FILE, Method::GET, &HeaderMap::new()).await;
        assert!(answered.is_err(), "{}", String::from_utf8_lossy(answer));
    }
}

#[actix_rt::test]
async fn a_connection_serves_one_file_after_another_and_a_closed_one_is_replaced() {
    let connections = Rc::new(RefCell::new(0));
    let url = raw({
        let connections = Rc::clone(&connections);
        move |number, mut socket| {
            *connections.borrow_mut() = number + 1;
            async move {
                for _ in 0..3 {
                    if read_head(&mut socket).await.is_empty() {
                        return;
                    }
                    let answer =
                        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfile\r\n0\r\n\r\n";
                    socket.write_all(answer).await.unwrap();
                }
                // Heard, and closed without an answer, as by a server that ends a kept connection.
                read_head(&mut socket).await;
            }
        }
    })
    .await;
    let client = client(&url);
    for _ in 0..6 {
        let reply = client.view(FILE, Method::GET, &HeaderMap::new()).await.unwrap();
        assert_eq!(body(reply).await.unwrap(), b"file");
    }
    assert_eq!(*connections.borrow(), 2);
}

#[actix_rt::test]
async fn many_files_that_nobody_reads_do_not_hold_up_the_small_calls() {
    async fn view() -> HttpResponse {
        HttpResponse::Ok().streaming(stream::pending::<Result<Bytes, std::io::Error>>())
    }
    async fn queue() -> HttpResponse {
        HttpResponse::Ok().json(json!({"queue_running": [], "queue_pending": []}))
    }
    let client = serve(|app| {
        app.route("/view", web::get().to(view)).route("/queue", web::get().to(queue));
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..150 {
        open.push(client.view(FILE, Method::GET, &HeaderMap::new()).await.unwrap());
    }
    client.queue().await.unwrap();
}

async fn keep(mut form: Multipart) -> HttpResponse {
    let mut fields = serde_json::Map::new();
    while let Some(mut field) = form.try_next().await.unwrap() {
        let name = field.name().unwrap().to_owned();
        let file = field.content_disposition().unwrap().get_filename().map(str::to_owned);
        let kind = field.content_type().map(ToString::to_string);
        let (mut length, mut start) = (0, Vec::new());
        while let Some(chunk) = field.try_next().await.unwrap() {
            length += chunk.len();
            start.extend(chunk.iter().take(20 - start.len().min(20)));
        }
        let start = String::from_utf8_lossy(&start).into_owned();
        fields.insert(name, json!({"start": start, "length": length, "file": file, "kind": kind}));
    }
    assert_eq!(fields["subfolder"]["start"], "job");
    assert_eq!(fields["overwrite"]["start"], "true");
    assert_eq!(fields["image"]["kind"], "image/png");
    let name = format!("{}-{}", fields["image"]["length"], fields["image"]["file"].as_str().unwrap());
    HttpResponse::Ok().json(json!({"name": name, "subfolder": "job", "type": fields["type"]["start"]}))
}

#[actix_rt::test]
async fn an_upload_arrives_whole_with_and_without_a_known_length() {
    let client = serve(|app| {
        app.route("/upload/image", web::post().to(keep));
    })
    .await;
    for length in [Some(3_000_000), None] {
        let upload = Upload::new("käse 1.png", "image/png").with_subfolder("job").overwriting();
        let upload = upload.with_length(length);
        let chunks = (0..30).map(|_| Ok::<_, String>(Bytes::from(vec![b'x'; 100_000])));
        let uploaded = client.upload(&upload, stream::iter(chunks)).await.unwrap();
        assert_eq!(uploaded.reference(), "job/3000000-käse 1.png");
    }
}

/// A server that hands over every byte it hears, and whether the client closed.
async fn listening() -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (heard, received) = mpsc::unbounded_channel();
    let url = raw(move |_, mut socket| {
        let heard = heard.clone();
        async move {
            let mut all = Vec::new();
            // An error is a reset: a close as well.
            let _ = socket.read_to_end(&mut all).await;
            heard.send(all).unwrap();
        }
    })
    .await;
    (url, received)
}

#[actix_rt::test]
async fn an_upload_whose_source_fails_is_cut_before_its_end() {
    for (length, chunks) in [
        (Some(1000), vec![Ok(Bytes::from("some")), Err("the caller hung up")]),
        (None, vec![Ok(Bytes::from("some")), Err("the caller hung up")]),
        (Some(1000), vec![Ok(Bytes::from("too little"))]),
        (Some(3), vec![Ok(Bytes::from("too much"))]),
    ] {
        let (url, mut received) = listening().await;
        let upload = Upload::new("a.png", "image/png").with_length(length);
        let error = client(&url).upload(&upload, stream::iter(chunks)).await.unwrap_err();
        assert!(matches!(error, ClientError::Source(_)), "{error}");
        let heard = received.recv().await.unwrap();
        let heard = String::from_utf8_lossy(&heard);
        assert!(!heard.contains("--\r\n"), "the closing boundary must not come: {heard}");
        assert!(!heard.ends_with("0\r\n\r\n"), "nor the last chunk: {heard}");
    }
}

#[actix_rt::test]
async fn an_upload_is_read_only_as_fast_as_it_is_taken() {
    // The server takes the head and then nothing: a source without end must not fill our memory.
    let url = raw(async |_, mut socket| {
        read_head(&mut socket).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut config = config(&url);
    config.timeouts.idle = Duration::from_millis(300);
    let taken = Rc::new(RefCell::new(0usize));
    let source = stream::repeat_with({
        let taken = Rc::clone(&taken);
        move || {
            *taken.borrow_mut() += 64 * 1024;
            Ok::<_, String>(Bytes::from(vec![0; 64 * 1024]))
        }
    });
    let upload = Upload::new("endless.png", "image/png");
    let error = Client::new(config).unwrap().upload(&upload, source).await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error}");
    // What the system's socket buffers hold, and no more.
    assert!(*taken.borrow() < 64 * 1024 * 1024, "{}", taken.borrow());
}

#[actix_rt::test]
async fn an_upload_that_is_too_large_for_comfyui_says_so() {
    async fn refuse(mut form: Multipart) -> HttpResponse {
        while let Some(mut field) = form.try_next().await.unwrap() {
            while field.try_next().await.unwrap().is_some() {}
        }
        HttpResponse::PayloadTooLarge().finish()
    }
    let client = serve(|app| {
        app.route("/upload/image", web::post().to(refuse));
    })
    .await;
    let source = stream::iter([Ok::<_, String>(Bytes::from("x"))]);
    let error = client.upload(&Upload::new("a.png", "image/png"), source).await.unwrap_err();
    assert_eq!(error.status(), Some(413));
    assert!(error.to_string().contains("--max-upload-size"), "{error}");
}
