//! Watching jobs: the WebSocket, server-sent events, and the latest preview.

mod support;

use std::time::Duration;

use actix_web::rt::net::TcpStream;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::streams::{Heard, Sent, Socket, Sse};
use support::{Api, PATIENCE, eventually, fixtures, settings, simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Starts a job that makes a step every 20 ms, with a preview each.
async fn start(api: &Api, steps: u32, seed: u64) -> (String, String) {
    let job = api.execute("test-progress", json!({"steps": steps, "delay_ms": 20, "seed": seed})).await;
    let part = |name: &str| job[name].as_str().unwrap().to_owned();
    (part("prompt_id"), part("client_id"))
}

async fn cancel(api: &Api, prompt_id: &str) {
    let reply = api.post(&format!("/api/run/cancel/{prompt_id}"), support::Form::new()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn names(events: &[Sent]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[actix_rt::test]
async fn events_tell_of_a_job_until_it_ends_and_then_the_stream_ends() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    // It runs until the stream has told of a step and a preview.
    let job = api.execute("test-progress", json!({"steps": 100, "delay_ms": 200, "seed": 1})).await;
    let [prompt_id, client_id] = ["prompt_id", "client_id"].map(|name| job[name].as_str().unwrap());
    let mut stream = Sse::open(&api, prompt_id).await;
    let mut events = Vec::new();
    while !["progress", "preview"].iter().all(|name| names(&events).contains(name)) {
        events.push(stream.next().await.unwrap());
    }
    simulator.skip_pauses();
    events.extend(stream.all().await);

    assert_eq!(events[0].name, "progress", "the present state comes first");
    let names = names(&events);
    for name in ["progress", "preview", "output"] {
        assert!(names.contains(&name), "{names:?}");
    }
    for event in &events {
        let of = if event.name == "end" { &event.data["data"] } else { &event.data };
        let of = if event.name.starts_with("job.") { &event.data["data"] } else { of };
        assert_eq!((&of["prompt_id"], &of["client_id"]), (&json!(prompt_id), &json!(client_id)), "{event:?}");
    }
    let percents: Vec<_> = events.iter().filter_map(|event| event.data["data"]["percent"].as_u64()).collect();
    assert!(percents.is_sorted(), "{percents:?}");

    let output = &events.iter().find(|event| event.name == "output").unwrap().data["data"];
    assert_eq!((&output["node_id"], &output["node_title"]), (&json!("3"), &json!("Save")));
    assert_eq!(output["items"][0]["media"], "image");

    let end = events.last().unwrap();
    assert_eq!(end.name, "end");
    assert_eq!(end.data["type"], "job.completed");
    assert_eq!(end.data["severity"], "success");
    assert_eq!(end.data["data"]["workflow_id"], "test-progress");
    assert_eq!(end.id.as_deref(), Some(&*end.data["id"].to_string()));
    let status = api.get(&format!("/api/run/status/{prompt_id}")).await.json();
    assert_eq!(end.data["data"]["outputs"], status["outputs"]);
    let last_state = events.iter().rev().find(|event| event.name == "progress").unwrap();
    assert_eq!(last_state.data["data"], status);
    api.stop().await;
}

#[actix_rt::test]
async fn a_late_comer_gets_the_present_state_first() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (prompt_id, client_id) = start(&api, 10_000, 1).await;
    api.wait_until(&prompt_id, |status| status["step"].as_u64() > Some(5)).await;

    let mut events = Sse::open(&api, &prompt_id).await;
    let first = events.next().await.unwrap();
    assert_eq!(first.name, "progress");
    assert!(first.data["data"]["step"].as_u64() > Some(5), "{first:?}");
    assert_eq!(first.data["data"]["node_title"], "Progress");
    for query in [format!("?prompt_id={prompt_id}"), format!("?client_id={client_id}"), String::new()] {
        let mut socket = Socket::open(&api, &query).await;
        let first = socket.text().await;
        assert_eq!((&first["type"], &first["prompt_id"]), (&json!("progress"), &json!(prompt_id)), "{query}");
        assert!(first["data"]["step"].as_u64() > Some(5), "{first}");
    }
    cancel(&api, &prompt_id).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_is_over_gives_its_state_and_its_end_at_once() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (prompt_id, client_id) = start(&api, 2, 1).await;
    let status = api.wait(&prompt_id).await;

    let events = Sse::open(&api, &prompt_id).await.all().await;
    assert_eq!(names(&events), ["progress", "output", "end"]);
    assert_eq!(events[0].data["data"], status);
    assert_eq!(events[2].data["type"], "job.completed");

    let heard = Socket::open(&api, &format!("?client_id={client_id}")).await.all().await;
    assert_eq!(heard, [Heard::Text(events[0].data.clone()), Heard::Text(events[2].data.clone())]);
    api.stop().await;

    // After a restart ComfyUI's history knows it.
    let api = Api::start(&simulator.url());
    let events = Sse::open(&api, &prompt_id).await.all().await;
    assert_eq!(names(&events), ["progress", "output", "end"]);
    assert_eq!(events[0].data["data"], status);
    api.stop().await;
}

#[actix_rt::test]
async fn a_browser_that_has_seen_the_end_is_told_not_to_come_back() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (prompt_id, _) = start(&api, 2, 1).await;
    api.wait(&prompt_id).await;
    let end = Sse::open(&api, &prompt_id).await.all().await.pop().unwrap().id.unwrap();
    let path = format!("/api/run/events/{prompt_id}");
    assert_eq!(api.get_with(&path, &[("Last-Event-ID", &end)]).await.status, 204);
    assert_eq!(api.get_with(&path, &[("Last-Event-ID", "1")]).await.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_nobody_knows_is_404_and_a_query_that_makes_no_sense_400() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for path in [
        "/api/run/events/nowhere",
        "/api/run/preview/nowhere",
        "/api/run/ws?prompt_id=nowhere",
        "/api/run/ws?client_id=fedcba9876543210fedcba9876543210",
    ] {
        let reply = api.get(path).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.detail().contains("there is no job"), "{}", reply.detail());
    }
    let both = api.get("/api/run/ws?prompt_id=a&client_id=a").await;
    assert_eq!((both.status.as_u16(), both.detail().contains("not both")), (400, true));
    let no_upgrade = api.get("/api/run/ws").await;
    assert_eq!(no_upgrade.status, 400);
    assert!(no_upgrade.detail().contains("WebSocket"), "{}", no_upgrade.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn the_websocket_of_all_jobs_tells_what_happens_to_each_and_in_what_order() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (before, _) = start(&api, 10_000, 1).await;
    let mut socket = Socket::open(&api, "").await;
    assert_eq!(socket.text().await["prompt_id"], json!(before));
    let (second, _) = start(&api, 3, 2).await;
    let event = |wanted: String| move |text: &Value| text["data"]["prompt_id"] == wanted.as_str();
    let queued = socket.text_where(event(second.clone())).await;
    assert_eq!(queued["type"], "job.queued");
    cancel(&api, &before).await;

    let cancelled = socket.text_where(event(before.clone())).await;
    assert!(matches!(cancelled["type"].as_str(), Some("job.started" | "job.cancelled")), "{cancelled}");
    let mut ids = vec![queued["id"].as_u64().unwrap()];
    for kind in ["job.started", "job.completed"] {
        let reported = socket.text_where(event(second.clone())).await;
        assert_eq!(reported["type"], kind);
        assert_eq!(
            reported["message"],
            format!("test-progress {}", if kind == "job.started" { "runs" } else { "completed" })
        );
        ids.push(reported["id"].as_u64().unwrap());
    }
    assert!(ids.is_sorted(), "{ids:?}");
    api.stop().await;
}

#[actix_rt::test]
async fn previews_are_the_bytes_that_comfyui_sent_on_every_road() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (prompt_id, _) = start(&api, 10_000, 1).await;
    // The image is the same at each step.
    let mut socket = Socket::open(&api, &format!("?prompt_id={prompt_id}")).await;
    let image = loop {
        if let Some(Heard::Preview(image)) = socket.next().await {
            break image;
        }
    };
    let decoded = image::load_from_memory_with_format(&image, image::ImageFormat::Jpeg).unwrap();
    assert_eq!((decoded.width(), decoded.height()), (512, 512));

    let latest = api.get(&format!("/api/run/preview/{prompt_id}")).await;
    assert_eq!((latest.status.as_u16(), latest.header("content-type")), (200, "image/jpeg"));
    assert_eq!(latest.header("cache-control"), "no-store");
    assert_eq!(latest.body, image);

    let mut events = Sse::open(&api, &prompt_id).await;
    let preview = loop {
        let event = events.next().await.unwrap();
        if event.name == "preview" {
            break event.data["data"].clone();
        }
    };
    assert_eq!((&preview["media_type"], &preview["node_id"]), (&json!("image/jpeg"), &json!("2")));
    assert_eq!(BASE64_STANDARD.decode(preview["image"].as_str().unwrap()).unwrap(), image);
    cancel(&api, &prompt_id).await;
    let over = api.get(&format!("/api/run/preview/{prompt_id}")).await;
    assert_eq!(over.status, 404);
    assert!(over.detail().contains("over (cancelled)"), "{}", over.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_without_previews_has_none_and_says_so() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let params = json!({"steps": 10_000, "delay_ms": 20, "seed": 1, "preview": false});
    let job = api.execute("test-progress", params).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    api.wait_until(prompt_id, |status| status["step"].as_u64() > Some(1)).await;
    let reply = api.get(&format!("/api/run/preview/{prompt_id}")).await;
    assert_eq!(reply.status, 404);
    assert!(reply.detail().contains("running and has no preview yet"), "{}", reply.detail());
    cancel(&api, prompt_id).await;
    api.stop().await;
}

#[actix_rt::test]
async fn pages_of_other_sites_are_refused_with_a_key_and_without() {
    let mut with_key = settings("http://127.0.0.1:9");
    with_key.api_keys = vec!["right".into()];
    for settings in [settings("http://127.0.0.1:9"), with_key] {
        let api = Api::start_with(&settings, &fixtures().join("workflows"));
        for path in ["/api/run/ws", "/api/run/events/x", "/api/run/preview/x"] {
            for foreign in
                [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")]
            {
                let reply = api.get_with(path, &[("X-API-Key", "right"), foreign]).await;
                assert_eq!(reply.status, 403, "{path} {foreign:?}: {}", reply.text());
                assert!(reply.detail().contains("site"), "{}", reply.detail());
            }
            let own = [("X-API-Key", "right"), ("Origin", api.base.as_str())];
            assert_ne!(api.get_with(path, &own).await.status, 403, "{path}");
        }
        api.stop().await;
    }
}

#[actix_rt::test]
async fn watchers_that_never_read_slow_nobody() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (prompt_id, _) = start(&api, 40, 1).await;
    let address = api.base.strip_prefix("http://").unwrap();
    let mut deaf = Vec::new();
    for path in [
        format!("/api/run/events/{prompt_id}"),
        format!("/api/run/ws?prompt_id={prompt_id}"),
        "/api/run/ws".into(),
    ] {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        for _ in 0..10 {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            deaf.push(socket);
        }
    }
    let events = Sse::open(&api, &prompt_id).await.all().await;
    assert_eq!(events.last().unwrap().data["type"], "job.completed");
    assert_eq!(api.wait(&prompt_id).await["status"], "completed");
    drop(deaf);
    api.stop().await;
}

/// Cuts the WebSocket to ComfyUI again and again, until the job is over.
async fn cut_until_over(api: &Api, simulator: &Simulator, prompt_id: &str) -> Value {
    loop {
        if simulator.open_sockets() > 0 {
            simulator.drop_sockets();
        }
        actix_rt::time::sleep(Duration::from_millis(30)).await;
        let status = api.get(&format!("/api/run/status/{prompt_id}")).await.json();
        if !matches!(status["status"].as_str(), Some("pending" | "running")) {
            return status;
        }
    }
}

#[actix_rt::test]
async fn with_the_connection_to_comfyui_cut_often_watchers_still_hear_the_true_end() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.comfyuis[0].client.socket.backoff_min = Duration::from_millis(10);
    settings.comfyuis[0].client.socket.backoff_max = Duration::from_millis(20);
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let (prompt_id, _) = start(&api, 40, 1).await;
    let events = Sse::open(&api, &prompt_id).await;
    let socket = Socket::open(&api, &format!("?prompt_id={prompt_id}")).await;
    let (status, events, heard) =
        tokio::join!(cut_until_over(&api, &simulator, &prompt_id), events.all(), socket.all());
    assert_eq!(status["status"], "completed");
    assert_eq!(events.last().unwrap().data["type"], "job.completed");
    assert_eq!(heard.last(), Some(&Heard::Text(events.last().unwrap().data.clone())));
    api.stop().await;
}

#[actix_rt::test]
async fn however_many_watch_there_is_one_socket_to_comfyui() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (prompt_id, _) = start(&api, 10_000, 1).await;
    let mut watchers = Vec::new();
    for _ in 0..50 {
        let mut socket = Socket::open(&api, &format!("?prompt_id={prompt_id}")).await;
        socket.text().await;
        watchers.push(socket);
    }
    eventually("the server is connected", || simulator.open_sockets() > 0).await;
    assert_eq!(simulator.open_sockets(), 1);
    cancel(&api, &prompt_id).await;
    let mut last = Vec::new();
    for watcher in watchers {
        last.push(watcher.all().await.pop().unwrap());
    }
    // All were sent the same text.
    last.dedup();
    let [Heard::Text(end)] = &last[..] else { panic!("{last:?}") };
    assert_eq!(end["type"], "job.cancelled");
    eventually("the simulator has nothing to do", || simulator.executed_prompts() == 1).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_stop_sends_those_who_watch_home_and_does_not_wait_for_the_job() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (prompt_id, _) = start(&api, 10_000, 1).await;
    let mut events = TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET /api/run/events/{prompt_id} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    events.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !received.windows(6).any(|window| window == b"event:") {
        received.push(events.read_u8().await.unwrap());
    }
    let mut socket = Socket::open(&api, "").await;
    assert!(socket.next().await.is_some());
    let stop = async {
        // Far less than the job takes.
        let stopped = tokio::time::timeout(PATIENCE, api.stop_gracefully()).await;
        stopped.expect("nothing delays the stop");
    };
    let watch_on = async {
        while socket.next().await.is_some() {}
        events.read_to_end(&mut received).await.unwrap();
    };
    tokio::join!(stop, watch_on);
    // The server ended the stream: one that was open when the time for requests at work is over has no last chunk.
    assert!(received.ends_with(b"\r\n0\r\n\r\n"), "{}", String::from_utf8_lossy(&received));
}

#[actix_rt::test]
async fn flat_frames_are_statuses_with_the_ids_of_the_job_and_nothing_else() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut all = Socket::open(&api, "?format=flat").await;
    let (prompt_id, client_id) = start(&api, 10, 1).await;
    let heard = Socket::open(&api, &format!("?client_id={client_id}&format=flat")).await.all().await;
    let frames = heard.iter().filter_map(|heard| match heard {
        Heard::Text(frame) => Some(frame.clone()),
        _ => None,
    });
    let frames: Vec<Value> = frames.collect();
    for frame in &frames {
        assert_eq!(
            (&frame["prompt_id"], &frame["client_id"]),
            (&json!(prompt_id), &json!(client_id)),
            "{frame}"
        );
        assert!(frame.get("type").is_none() && frame.get("data").is_none(), "{frame}");
        assert!(frame["status"].is_string() && frame["percent"].is_u64(), "{frame}");
        serde_json::from_value::<comfy_runner_api::FlatStatus>(frame.clone()).unwrap();
    }
    let mut last = frames.last().unwrap().clone();
    last.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_id"));
    assert_eq!(last, api.get(&format!("/api/run/status/{prompt_id}")).await.json());
    assert_eq!(last["status"], "completed");
    // A watcher of all jobs gets the end of this one, and goes on to the next.
    all.text_where(|frame| frame["prompt_id"] == json!(prompt_id) && frame["status"] == "completed").await;
    let (second, _) = start(&api, 2, 2).await;
    all.text_where(|frame| frame["prompt_id"] == json!(second) && frame["status"] == "completed").await;

    let reply = api.get("/api/run/ws?format=plain").await;
    assert_eq!((reply.status.as_u16(), reply.detail().contains("`messages` or `flat`")), (400, true));
    api.stop().await;
}
