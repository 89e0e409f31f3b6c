//! Events of jobs in the Comfy API v2: progress, outputs before the end, and many watchers.
//!
//! The number before what a test shows is a point of the table in `support/api_v2.rs`.

mod support;

use serde_json::json;
use support::api_v2::{events, graph, id, many_outputs, statuses, submit, until};
use support::streams::{Sent, Sse};
use support::{Api, PATIENCE, fixtures, settings, simulator};

/// 7: the value never falls, and is the same in a poll and on every stream.
#[actix_rt::test]
async fn progress_grows_from_zero_to_one_and_counts_the_nodes_that_run() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    // It runs until the stream has told of some steps and a preview.
    let submitted = submit(&api, graph(100, 300, 1)).await;
    let mut stream = events(&api, id(&submitted)).await;
    let polled =
        until(&api, id(&submitted), "it makes steps", |job| job["progress"]["step"].as_u64() >= Some(2));
    let polled = polled.await;
    assert!(polled["progress"]["value"].as_f64().unwrap() > 0.0, "{polled}");
    assert_eq!((&polled["progress"]["nodes_total"], &polled["progress"]["steps"]), (&json!(3), &json!(100)));
    assert_eq!(polled["progress"]["current_node_class"], "RunnerTestProgress");
    let late = events(&api, id(&submitted)).await.next().await.unwrap();
    assert_eq!(late.data["status"], "running", "a stream begins with the present state");
    let mut events = Vec::new();
    let count = |events: &[Sent], name: &str| events.iter().filter(|event| event.name == name).count();
    while count(&events, "progress") < 4 || count(&events, "preview") == 0 {
        events.push(stream.next().await.unwrap());
    }
    simulator.skip_pauses();
    events.extend(stream.all().await);
    let values: Vec<f64> = events
        .iter()
        .filter(|event| event.name == "progress")
        .map(|event| {
            assert_eq!(event.data["nodes_total"], 3, "{event:?}");
            event.data["value"].as_f64().unwrap()
        })
        .collect();
    assert!(values.len() > 3 && values.is_sorted() && *values.last().unwrap() == 1.0, "{values:?}");
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
    let preview = events.iter().find(|event| event.name == "preview").expect("a preview");
    assert_eq!(
        (&preview.data["node_id"], &preview.data["content_type"]),
        (&json!("3"), &json!("image/jpeg"))
    );
    assert!(preview.data["data_base64"].as_str().unwrap().starts_with("/9j/"));
    api.stop().await;
}

/// 7: with many nodes, too, the value is 1 at the end only, and all nodes are counted from the beginning.
#[actix_rt::test]
async fn progress_of_eleven_nodes_is_one_at_the_end_only() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut eleven = many_outputs(30);
    eleven["10"] = json!({"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}});
    eleven["11"] = json!({"class_type": "PreviewImage", "inputs": {"images": ["10", 0]}});
    let submitted = submit(&api, eleven).await;
    let events = events(&api, id(&submitted)).await.all().await;
    let progress: Vec<_> = events.iter().filter(|event| event.name == "progress").collect();
    let (last, before) = progress.split_last().unwrap();
    assert_eq!((&last.data["value"], &last.data["nodes_done"]), (&json!(1.0), &json!(11)));
    for event in before {
        assert!(event.data["value"].as_f64().unwrap() < 1.0, "{event:?}");
        assert_eq!(event.data["nodes_total"], 11, "{event:?}");
    }
    api.stop().await;
}

/// 9: however short a job is.
#[actix_rt::test]
async fn each_of_200_streams_brings_the_outputs_before_the_end() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for seed in 0..200 {
        let submitted = submit(&api, graph(1, 0, seed)).await;
        let events = events(&api, id(&submitted)).await.all().await;
        let (last, before) = events.split_last().unwrap();
        assert_eq!(last.data["status"], "succeeded", "{events:?}");
        assert_eq!(before.iter().filter(|event| event.name == "output").count(), 1, "{events:?}");
    }
    api.stop().await;
}

/// 11, 12: each of many watchers hears everything, and no number of streams is too many.
#[actix_rt::test]
async fn every_watcher_hears_everything() {
    const WATCHERS: usize = 300;
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.limits.connections_per_address = 2 * WATCHERS;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let connector = awc::Connector::new().limit(WATCHERS);
    let http = awc::Client::builder().timeout(PATIENCE).connector(connector).finish();
    let submitted = submit(&api, graph(100, 50, 1)).await;
    let mut streams = Vec::new();
    for _ in 0..WATCHERS {
        streams.push(Sse::from_request(http.get(submitted["urls"]["events"].as_str().unwrap())).await);
    }
    // One of them leaves.
    drop(streams.pop());
    for events in futures::future::join_all(streams.into_iter().map(Sse::all)).await {
        assert_eq!(statuses(&events).last().unwrap(), "succeeded");
        assert!(events.iter().any(|event| event.name == "output"));
    }
    assert_eq!(simulator.open_sockets(), 1, "all of them cost ComfyUI one WebSocket");
    api.stop().await;
}

/// 15: a stream does not hold up a stop.
#[actix_rt::test]
async fn a_stop_closes_streams_at_once() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, graph(10, 60_000, 1)).await;
    let stream = events(&api, id(&submitted)).await;
    let (_, events) = futures::join!(api.stop_gracefully(), stream.all());
    assert!(events.iter().all(|event| event.data["status"] != "succeeded"));
}
