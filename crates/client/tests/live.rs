//! Against a real ComfyUI, when `COMFYUI_URL` names one: `COMFYUI_URL=http://127.0.0.1:8188 cargo test -p
//! comfy-runner-client --test live -- --nocapture`.

mod support;

use std::time::Duration;

use awc::http::header::{HeaderMap, HeaderValue, RANGE};
use awc::http::{Method, StatusCode};
use bytes::Bytes;
use comfy_runner_client::{Client, Config, Events, FileQuery, PromptError, SocketEvent, Upload};
use comfy_runner_protocol::{Graph, Message, PromptRequest};
use futures::{TryStreamExt, stream};
use serde_json::json;

/// A client for the real ComfyUI, or `None`, and a word about it, when there is none.
fn real_comfyui(test: &str) -> Option<Client> {
    let Ok(url) = std::env::var("COMFYUI_URL") else {
        eprintln!("{test}: skipped, as COMFYUI_URL names no ComfyUI");
        return None;
    };
    let endpoint = url.parse().unwrap_or_else(|error| panic!("COMFYUI_URL: {error}"));
    Some(Client::new(Config::new(endpoint)).unwrap())
}

fn unique(prefix: &str) -> String {
    format!("{prefix}-{:032x}", rand::random::<u128>())
}

/// A prompt id as ComfyUI 0.33.0 wants it: a UUID in canonical form.
fn prompt_id() -> String {
    let digits = format!("{:032x}", rand::random::<u128>());
    let [a, b, c, d, e] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// Images without a model. `seed` prevents ComfyUI from having them in its cache.
fn images(count: u32, seed: u32) -> Graph {
    Graph::from_value(json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": count, "color": seed}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "client-test/image"}},
    }))
    .unwrap()
}

async fn submit(client: &Client, graph: &Graph, client_id: &str, prompt_id: &str) {
    let request = PromptRequest::new(graph, client_id, prompt_id);
    assert_eq!(client.prompt(&request).await.unwrap().prompt_id, prompt_id);
}

/// Whether a message closes a prompt: ComfyUI is done with it, and has written its history.
fn closes(message: &Message, prompt_id: &str) -> bool {
    matches!(message, Message::Executing { node: None, prompt_id: Some(id), .. } if id == prompt_id)
}

async fn until(events: &mut Events, wanted: impl Fn(&Message) -> bool) -> Vec<Message> {
    let mut messages = Vec::new();
    loop {
        let event =
            tokio::time::timeout(Duration::from_secs(60), events.next()).await.expect("an event in time");
        if let SocketEvent::Message(message) = event.expect("an event") {
            let found = wanted(&message);
            messages.push(message);
            if found {
                return messages;
            }
        }
    }
}

#[actix_rt::test]
async fn a_prompt_runs_its_events_come_and_its_file_is_there() {
    let Some(client) = real_comfyui("a_prompt_runs") else { return };
    let (client_id, prompt_id) = (unique("client"), prompt_id());
    let mut events = client.events(&client_id);
    assert_eq!(events.next().await, Some(SocketEvent::Connected));
    submit(&client, &images(1, rand::random::<u32>() & 0xff_ffff), &client_id, &prompt_id).await;
    // `execution_success` comes a moment before the history has its entry, this one after.
    let messages = until(&mut events, |message| closes(message, &prompt_id)).await;
    assert!(messages.iter().any(|message| matches!(message, Message::ExecutionSuccess(_))));
    assert!(messages.iter().any(|message| matches!(message, Message::Executed { node, .. } if node == "2")));

    let history = client.history(&prompt_id).await.unwrap().expect("an entry");
    assert!(history.succeeded());
    let file = history.outputs["2"].files().next().unwrap();
    let query = FileQuery::from(&file);
    let whole = client.view(query, Method::GET, &HeaderMap::new()).await.unwrap();
    let whole: Vec<Bytes> = whole.body.try_collect().await.unwrap();
    let whole = whole.concat();
    assert!(whole.starts_with(b"\x89PNG"));
    let mut range = HeaderMap::new();
    range.insert(RANGE, HeaderValue::from_static("bytes=1-3"));
    let part = client.view(query, Method::GET, &range).await.unwrap();
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.body.try_collect::<Vec<Bytes>>().await.unwrap().concat(), b"PNG");
    let head = client.view(query, Method::HEAD, &HeaderMap::new()).await.unwrap();
    assert_eq!(head.headers.get("content-length").unwrap().to_str().unwrap(), whole.len().to_string());
    let gone = FileQuery::new("no such file.png", query.subfolder, query.kind);
    assert_eq!(
        client.view(gone, Method::GET, &HeaderMap::new()).await.unwrap().status,
        StatusCode::NOT_FOUND
    );
}

#[actix_rt::test]
async fn a_prompt_that_makes_no_sense_is_refused_with_its_node_errors() {
    let Some(client) = real_comfyui("a_refused_prompt") else { return };
    let graph = Graph::from_value(json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 0, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }))
    .unwrap();
    let prompt_id = prompt_id();
    let request = PromptRequest::new(&graph, "c", &prompt_id);
    let Err(PromptError::Refused(refused)) = client.prompt(&request).await else { panic!("a refusal") };
    assert_eq!(refused.node_errors["1"].errors[0].kind, "value_smaller_than_min");
}

#[actix_rt::test]
async fn waiting_prompts_are_deleted_and_running_ones_interrupted() {
    let Some(client) = real_comfyui("delete_and_interrupt") else { return };
    let client_id = unique("client");
    let mut events = client.events(&client_id);
    assert_eq!(events.next().await, Some(SocketEvent::Connected));
    let (long, waiting) = (prompt_id(), prompt_id());
    submit(&client, &images(4096, rand::random::<u32>() & 0xff_ffff), &client_id, &long).await;
    submit(&client, &images(1, rand::random::<u32>() & 0xff_ffff), &client_id, &waiting).await;
    let started =
        |message: &Message| matches!(message, Message::ExecutionStart(start) if start.prompt_id == long);
    until(&mut events, started).await;
    let queue = client.queue().await.unwrap();
    assert!(queue.is_running(&long) && queue.is_pending(&waiting));
    client.delete_pending(&waiting).await.unwrap();
    client.interrupt(&long).await.unwrap();
    // `SaveImage` does not look for interruptions while it saves, so that either may be its end.
    until(&mut events, |message| closes(message, &long)).await;
    assert!(!client.queue().await.unwrap().is_pending(&waiting));
    assert_eq!(client.history(&waiting).await.unwrap(), None);
    assert!(client.history(&long).await.unwrap().is_some());
}

#[actix_rt::test]
async fn an_upload_is_there_afterwards_and_half_an_upload_is_not() {
    let Some(client) = real_comfyui("an_upload") else { return };
    let name = format!("{}.png", unique("upload"));
    let half: Vec<Result<Bytes, &str>> = vec![Ok(Bytes::from(vec![1; 100_000])), Err("gone")];
    for length in [None, Some(200_000)] {
        let upload = Upload::new(&name, "image/png").with_length(length);
        client.upload(&upload, stream::iter(half.clone())).await.unwrap_err();
    }
    let query = FileQuery::new(&name, "", "input");
    let missing = client.view(query, Method::GET, &HeaderMap::new()).await.unwrap();
    assert_eq!(missing.status, StatusCode::NOT_FOUND);

    let whole = stream::iter(vec![Ok::<_, String>(Bytes::from(vec![1; 100_000])); 3]);
    let upload = Upload::new(&name, "image/png").with_length(Some(300_000));
    assert_eq!(client.upload(&upload, whole).await.unwrap().reference(), name);
    let back = client.view(query, Method::GET, &HeaderMap::new()).await.unwrap();
    let back: Vec<Bytes> = back.body.try_collect().await.unwrap();
    assert_eq!(back.concat(), vec![1; 300_000]);
}

#[actix_rt::test]
async fn it_tells_what_it_is_and_what_nodes_it_has() {
    let Some(client) = real_comfyui("what_it_is") else { return };
    let stats = client.system_stats().await.unwrap();
    eprintln!("ComfyUI {:?}", stats.comfyui_version());
    assert!(!stats.devices.is_empty());
    assert!(client.object_info().await.unwrap().contains_key("SaveImage"));
}
