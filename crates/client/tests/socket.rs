//! The WebSocket, against a server that does to it what networks and ComfyUIs do.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_http::ws::Item;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_ws::{AggregatedMessage, Session};
use bytes::Bytes;
use comfy_runner_client::{Client, Events, SocketEvent};
use comfy_runner_protocol::{ImageFormat, Message, Preview, PreviewMetadata};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use support::raw::{raw, read_head};
use support::{client, config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

/// What the server does with each connection, after the client has said its first message.
type Script = fn(usize, Session, Incoming) -> LocalBoxFuture<'static, ()>;
type Incoming = actix_ws::AggregatedMessageStream;

/// A ComfyUI of which there is nothing but `/ws`. It checks the client id and the feature flags.
async fn comfyui(script: Script) -> String {
    let connections = Arc::new(AtomicUsize::new(0));
    let server = HttpServer::new(move || {
        let connections = Arc::clone(&connections);
        let ws = move |request: HttpRequest, stream: web::Payload| {
            let number = connections.fetch_add(1, Ordering::SeqCst);
            async move {
                assert_eq!(request.query_string(), "clientId=our%20id");
                let (response, session, incoming) = actix_ws::handle(&request, stream)?;
                let mut incoming = incoming.aggregate_continuations();
                actix_web::rt::spawn(async move {
                    let first = incoming.next().await.unwrap().unwrap();
                    let AggregatedMessage::Text(flags) = first else { panic!("no feature flags") };
                    assert!(flags.contains(r#""supports_preview_metadata": true"#), "{flags}");
                    script(number, session, incoming).await;
                });
                Ok::<HttpResponse, actix_web::Error>(response)
            }
        };
        App::new().route("/ws", web::get().to(ws))
    });
    let server = server.workers(1).bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    actix_rt::spawn(server.run());
    url
}

async fn next(events: &mut Events) -> SocketEvent {
    tokio::time::timeout(Duration::from_secs(20), events.next())
        .await
        .expect("an event in time")
        .expect("an event")
}

async fn lost(events: &mut Events) -> String {
    match next(events).await {
        SocketEvent::Disconnected { reason } => reason,
        other => panic!("it should be lost, but: {other:?}"),
    }
}

fn executing(prompt: &str, node: &str) -> String {
    format!(r#"{{"type": "executing", "data": {{"node": "{node}", "prompt_id": "{prompt}"}}}}"#)
}

fn is_executing(event: &SocketEvent, prompt: &str, node: &str) -> bool {
    matches!(event, SocketEvent::Message(Message::Executing { prompt_id: Some(p), node: Some(n), .. }) if p == prompt && n == node)
}

#[actix_rt::test]
async fn messages_of_all_prompts_and_both_kinds_of_preview_come_in_order() {
    let url = comfyui(|_, mut session, mut incoming| {
        async move {
            session.text(executing("a", "1")).await.unwrap();
            session.text(executing("b", "2")).await.unwrap();
            let metadata = PreviewMetadata {
                node_id: "2".into(),
                prompt_id: "b".into(),
                display_node_id: None,
                parent_node_id: None,
                real_node_id: None,
                image_type: "image/png".into(),
            };
            for metadata in [None, Some(metadata)] {
                let preview = Preview { format: ImageFormat::Png, image: b"image", metadata };
                session.binary(preview.to_frame().unwrap()).await.unwrap();
            }
            incoming.next().await;
        }
        .boxed_local()
    })
    .await;
    let mut events = client(&url).events("our id");
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
    assert!(is_executing(&next(&mut events).await, "a", "1"));
    assert!(is_executing(&next(&mut events).await, "b", "2"));
    for prompt in [None, Some("b")] {
        let SocketEvent::Preview { format, image, metadata } = next(&mut events).await else {
            panic!("a preview")
        };
        assert_eq!((format, &image[..]), (ImageFormat::Png, &b"image"[..]));
        assert_eq!(metadata.as_ref().map(|metadata| metadata.prompt_id.as_str()), prompt);
    }
}

#[actix_rt::test]
async fn junk_fragments_and_frames_of_megabytes_do_no_harm() {
    let url = comfyui(|_, mut session, mut incoming| {
        async move {
            session.text("").await.unwrap();
            session.text("{\"type\": 3}").await.unwrap();
            session.text("{\"type\": \"crystools.monitor\", \"data\": {}}").await.unwrap();
            session.binary(vec![0, 0, 0, 4, 255, 255, 255, 255]).await.unwrap();
            session.binary(vec![0, 0, 0, 77]).await.unwrap();
            session.ping(b"are you there").await.unwrap();
            let pong = incoming.next().await;
            assert!(
                matches!(pong, Some(Ok(AggregatedMessage::Pong(_) | AggregatedMessage::Ping(_)))),
                "{pong:?}"
            );
            let (one, two) = (executing("a", "1"), executing("a", "2"));
            let (start, end) = one.split_at(20);
            session.continuation(Item::FirstText(Bytes::from(start.to_owned()))).await.unwrap();
            session.ping(b"").await.unwrap();
            session.continuation(Item::Last(Bytes::from(end.to_owned()))).await.unwrap();
            let jpeg = vec![7; 20 * 1024 * 1024];
            let preview = Preview { format: ImageFormat::Jpeg, image: &jpeg, metadata: None };
            session.binary(preview.to_frame().unwrap()).await.unwrap();
            session.text(two).await.unwrap();
            while incoming.next().await.is_some() {}
        }
        .boxed_local()
    })
    .await;
    let mut events = client(&url).events("our id");
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
    assert!(is_executing(&next(&mut events).await, "a", "1"));
    let SocketEvent::Preview { image, .. } = next(&mut events).await else { panic!("a preview") };
    assert_eq!(image.len(), 20 * 1024 * 1024);
    assert!(is_executing(&next(&mut events).await, "a", "2"));
}

#[actix_rt::test]
async fn a_socket_that_is_cut_comes_back_and_says_so_each_time() {
    let url = comfyui(|number, mut session, _| {
        async move {
            session.text(executing("a", &number.to_string())).await.unwrap();
            if number < 3 {
                session.close(None).await.unwrap();
            } else {
                std::future::pending::<()>().await;
            }
        }
        .boxed_local()
    })
    .await;
    let mut events = client(&url).events("our id");
    for number in 0..4 {
        assert_eq!(next(&mut events).await, SocketEvent::Connected);
        assert!(is_executing(&next(&mut events).await, "a", &number.to_string()));
        if number < 3 {
            assert!(lost(&mut events).await.contains("closed"));
        }
    }
}

#[actix_rt::test]
async fn a_comfyui_that_is_not_there_is_told_once_and_waited_for() {
    // A port is refused while its socket does not listen, and no other socket can have it.
    let refusing = TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = refusing.local_addr().unwrap();
    let mut events = client(&format!("http://{address}")).events("our id");
    let reason = lost(&mut events).await;
    assert!(reason.contains("connection refused") && reason.contains(&address.to_string()), "{reason}");
    // Attempts go on, at pauses of at most 50 ms, and none of them is an event.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let listener = refusing.listen(8).unwrap();
    let attempt = tokio::time::timeout(Duration::from_secs(20), listener.accept()).await;
    attempt.expect("a further attempt").unwrap();
    assert!(events.next().now_or_never().is_none());
}

/// Accepts a WebSocket, byte for byte.
async fn shake_hands(socket: &mut TcpStream) {
    let head = read_head(socket).await;
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap().to_owned();
    let accept = actix_http::ws::hash_key(key.as_bytes());
    let accept = std::str::from_utf8(&accept).unwrap();
    let reply = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    socket.write_all(reply.as_bytes()).await.unwrap();
}

#[actix_rt::test]
async fn a_message_that_is_too_large_ends_the_connection_at_its_header_and_it_is_made_again() {
    // A frame of 2^40 bytes, the second of two fragments, and a ping, none of them with a payload.
    let announced: [&[u8]; 3] = [
        &[0x82, 0x7f, 0, 0, 1, 0, 0, 0, 0, 0],
        &[0x01, 1, b'x', 0x80, 0x7f, 0, 0, 0, 0, 4, 0, 0, 0],
        &[0x89, 0x7e, 0, 126],
    ];
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let url = raw(move |number, mut socket| {
        let closed = closed.clone();
        async move {
            shake_hands(&mut socket).await;
            let Some(header) = announced.get(number) else {
                let text = executing("a", "1");
                socket.write_all(&[0x81, text.len().try_into().unwrap()]).await.unwrap();
                socket.write_all(text.as_bytes()).await.unwrap();
                return while socket.read_u8().await.is_ok() {};
            };
            socket.write_all(header).await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let mut events = client(&url).events("our id");
    for words in [
        "of 1099511627776 bytes was announced",
        "of 67108865 bytes was announced",
        "control frame of 126 bytes",
    ] {
        assert_eq!(next(&mut events).await, SocketEvent::Connected);
        let reason = lost(&mut events).await;
        assert!(reason.contains(words), "{reason}");
        is_closed.recv().await.unwrap();
    }
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
    assert!(is_executing(&next(&mut events).await, "a", "1"));
}

#[actix_rt::test]
async fn a_connection_without_a_sign_of_life_is_given_up() {
    // It takes the handshake and is never heard of again, as a machine whose cable was pulled.
    let url = raw(async |_, mut socket| {
        shake_hands(&mut socket).await;
        while socket.read_u8().await.is_ok() {}
    })
    .await;
    let mut config = config(&url);
    config.socket.ping_every = Duration::from_millis(20);
    config.socket.silence_max = Duration::from_millis(100);
    let mut events = Client::new(config).unwrap().events("our id");
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
    assert!(lost(&mut events).await.contains("silent for 0.1 s"));
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
}

#[actix_rt::test]
async fn a_connection_that_answers_pings_is_kept_however_quiet() {
    let url = comfyui(|_, mut session, mut incoming| {
        async move {
            let mut pings = 0;
            while let Some(Ok(message)) = incoming.next().await {
                if let AggregatedMessage::Ping(payload) = message {
                    session.pong(&payload).await.unwrap();
                    pings += 1;
                    if pings == 40 {
                        session.text(executing("a", "still here")).await.unwrap();
                    }
                }
            }
        }
        .boxed_local()
    })
    .await;
    let mut config = config(&url);
    config.socket.ping_every = Duration::from_millis(100);
    // Forty pings take twice as long, and a busy machine may stop for a second.
    config.socket.silence_max = Duration::from_secs(2);
    let mut events = Client::new(config).unwrap().events("our id");
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
    assert!(is_executing(&next(&mut events).await, "a", "still here"));
}

#[actix_rt::test]
async fn a_connection_is_kept_when_this_process_stood_still_for_longer_than_a_silence_may_last() {
    let url = comfyui(|_, mut session, mut incoming| {
        async move {
            let mut pings = 0;
            while let Some(Ok(message)) = incoming.next().await {
                if let AggregatedMessage::Ping(payload) = message {
                    session.pong(&payload).await.unwrap();
                    pings += 1;
                    session.text(executing("a", &pings.to_string())).await.unwrap();
                }
            }
        }
        .boxed_local()
    })
    .await;
    let mut config = config(&url);
    config.socket.ping_every = Duration::from_millis(500);
    config.socket.silence_max = Duration::from_secs(60);
    let mut events = Client::new(config).unwrap().events("our id");
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
    for ping in 1..4 {
        assert!(is_executing(&next(&mut events).await, "a", &ping.to_string()));
        // As a virtual machine that is moved: no time passes here, and the clock goes on.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::time::resume();
    }
    assert!(is_executing(&next(&mut events).await, "a", "4"));
}

#[actix_rt::test]
async fn a_slow_receiver_misses_previews_but_never_a_message() {
    static PILED_UP: Notify = Notify::const_new();
    let url = comfyui(|_, mut session, mut incoming| {
        async move {
            let preview = Preview { format: ImageFormat::Png, image: &[1; 1000], metadata: None };
            let frame = preview.to_frame().unwrap();
            for node in 0..500 {
                session.text(executing("a", &node.to_string())).await.unwrap();
                session.binary(frame.clone()).await.unwrap();
                if node == 2 {
                    // With two previews and three messages in it, a buffer for eight takes no third preview. The answer to
                    // a ping shows that the client has come so far.
                    session.ping(b"").await.unwrap();
                    while !matches!(incoming.next().await.unwrap().unwrap(), AggregatedMessage::Pong(_)) {}
                    PILED_UP.notify_one();
                }
            }
            while incoming.next().await.is_some() {}
        }
        .boxed_local()
    })
    .await;
    let mut config = config(&url);
    config.socket.buffered_events = 8;
    let mut events = Client::new(config).unwrap().events("our id");
    assert_eq!(next(&mut events).await, SocketEvent::Connected);
    PILED_UP.notified().await;
    let (mut node, mut previews) = (0, 0);
    while node < 500 {
        match next(&mut events).await {
            SocketEvent::Preview { .. } => previews += 1,
            event => {
                assert!(is_executing(&event, "a", &node.to_string()), "{node}: {event:?}");
                node += 1;
            }
        }
    }
    assert!(previews < 500);
}

#[actix_rt::test]
async fn a_refused_handshake_is_told_with_its_status() {
    let mut server = mockito::Server::new_async().await;
    server.mock("GET", "/ws?clientId=our%20id").with_status(403).create_async().await;
    let mut events = client(&server.url()).events("our id");
    let reason = lost(&mut events).await;
    assert!(reason.contains("answered GET /ws with 403: a header that it asks for is missing"), "{reason}");
}

#[actix_rt::test]
async fn the_socket_closes_when_nobody_listens_any_more() {
    let (asked, mut is_asked) = tokio::sync::mpsc::unbounded_channel();
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let url = raw(move |_, mut socket| {
        let (asked, closed) = (asked.clone(), closed.clone());
        async move {
            read_head(&mut socket).await;
            asked.send(()).unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
            closed.send(()).unwrap();
        }
    })
    .await;
    let client = Rc::new(client(&url));
    let events = client.events("our id");
    is_asked.recv().await.unwrap();
    drop(events);
    tokio::time::timeout(Duration::from_secs(20), is_closed.recv()).await.expect("it closes").unwrap();
}
