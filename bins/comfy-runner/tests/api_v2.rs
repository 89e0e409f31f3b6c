//! The Comfy API v2 as its official clients use it.
//!
//! What the official front gets wrong, by the numbers of its list of weak points, and the tests that show it right here. Those
//! without a file are of this one.
//!
//! | point | test |
//! | --- | --- |
//! | 1: finished jobs are `expired` | `a_job_that_ends_while_it_is_asked_for_is_never_expired` |
//! | 2: cancel does nothing before older ComfyUIs | `a_running_job_is_canceling_and_then_canceled_before_every_comfyui` |
//! | 3: a cancelled waiting job is `expired` | `waiting_jobs_have_places_that_are_told_as_they_change` |
//! | 4: `canceling` is forgotten | `a_running_job_is_canceling_and_then_canceled_before_every_comfyui` |
//! | 5: who waits hears nothing | `waiting_jobs_have_places_that_are_told_as_they_change` |
//! | 6: places are not the order of turns | `waiting_jobs_have_places_that_are_told_as_they_change` |
//! | 7: progress jumps and falls | `progress_grows_from_zero_to_one_and_counts_the_nodes_that_run`, `progress_of_eleven_nodes_is_one_at_the_end_only` |
//! | 8: outputs come at the end only | `outputs_appear_while_the_job_runs` |
//! | 9: outputs come after the last status | `outputs_come_before_the_last_status_with_types_sizes_and_hashes`, `each_of_200_streams_brings_the_outputs_before_the_end` |
//! | 10: wrong types, no sizes, hashes and times | `outputs_of_every_kind_have_their_own_type`, `outputs_come_before_the_last_status_with_types_sizes_and_hashes`, `a_job_is_submitted_followed_by_its_links_and_fetched` |
//! | 11: watchers take events from each other | `every_watcher_hears_everything` |
//! | 12: eight streams | `every_watcher_hears_everything`; 2,000 in `docs/benchmarks.md` |
//! | 13: a restart forgets | `jobs_outputs_and_keys_survive_a_restart_and_a_comfyui_that_forgets`, `hundreds_of_jobs_are_listed_after_a_restart_without_comfyui`, `api_v2_assets`: `assets_survive_a_restart` |
//! | 14: a crash loses jobs | `api_v2_process`: `a_job_that_comfyui_is_getting_when_the_server_is_killed_is_known_afterwards` |
//! | 15: a stream holds up a stop | `a_stop_closes_streams_at_once`, `api_v2_recordings`: `restarts_and_kills` |
//! | 16: a ComfyUI that forgets | `a_finished_job_that_comfyui_forgets_stays_succeeded_with_its_outputs` |
//! | 17: graphs stay in memory | `api_v2_process`: `graphs_of_finished_jobs_do_not_stay_in_memory` |
//! | 18: uploads fill the memory | `api_v2_process`: `large_uploads_do_not_grow_the_memory` |
//! | 19: a poll reads the whole queue | `a_poll_asks_comfyui_for_nothing` |
//! | 20: a list is many requests | `hundreds_of_jobs_are_listed_after_a_restart_without_comfyui`, `lists_have_pages_statuses_and_labels` |
//! | 21: HEAD sends a body | `contents_have_ranges_conditions_and_heads_without_a_body` |
//! | 22: ranges and conditions | `contents_have_ranges_conditions_and_heads_without_a_body`, `api_v2_assets`: `an_upload_has_ranges_and_its_declared_type_and_is_no_page` |
//! | 23: outputs as inputs fail | `api_v2_assets`: `an_asset_is_an_input_wherever_a_graph_names_it` |
//! | 24: dropped outputs are not told | `a_refusal_names_nodes_without_tracebacks_and_dropped_outputs_are_told` |
//! | 25: tracebacks are passed on | `no_traceback_of_a_refusal_reaches_the_caller` |
//! | 26: errors without the envelope | `every_error_below_the_api_has_the_envelope` |
//! | 27: bytes that ComfyUI lost | `api_v2_assets`: `an_asset_is_an_input_wherever_a_graph_names_it`, `an_upload_is_stored_once_by_its_content_and_each_asset_has_its_own_name` |
//! | 28: the address of ComfyUI is told | `health_asks_comfyui_and_names_no_address`, `a_comfyui_that_cannot_be_reached_is_told_without_its_address` |
//! | 29: a refused connection keeps the key | `a_comfyui_that_cannot_be_reached_is_told_without_its_address` |

mod support;

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_simulator::{Simulator, Version};
use comfy_runner_store::Sqlite;
use mockito::Matcher;
use serde_json::{Value, json};
use support::streams::{Sent, Sse};
use support::{Api, PATIENCE, Reply, fixtures, settings, simulator};

const UNKNOWN: &str = "11111111-1111-4111-8111-111111111111";

/// EmptyImage, RunnerTestProgress and SaveImage. Graphs with another seed have nothing in common in ComfyUI's cache.
fn graph(steps: u64, delay_ms: u64, seed: u64) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": seed}},
        "3": {"class_type": "RunnerTestProgress", "inputs": {
            "image": ["1", 0], "steps": steps, "delay_ms": delay_ms, "seed": seed, "preview": true}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "apiv2/final"}},
    })
}

async fn post(api: &Api, path: &str, body: &Value) -> Reply {
    api.post_body(path, "application/json".to_owned(), body.to_string()).await
}

/// Submits a graph and returns the job.
async fn submit(api: &Api, workflow: Value) -> Value {
    let reply = post(api, "/api/v2/jobs", &json!({"workflow": workflow})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

fn id(job: &Value) -> &str {
    job["id"].as_str().unwrap()
}

async fn job(api: &Api, id: &str) -> Value {
    let reply = api.get(&format!("/api/v2/jobs/{id}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Polls a job until it is so.
async fn until(api: &Api, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..6000 {
        let job = job(api, id).await;
        if is_so(&job) {
            return job;
        }
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

async fn finished(api: &Api, id: &str) -> Value {
    let over = |job: &Value| {
        matches!(job["status"].as_str().unwrap(), "succeeded" | "failed" | "canceled" | "expired")
    };
    until(api, id, "the job is over", over).await
}

async fn events(api: &Api, id: &str) -> Sse {
    Sse::open_at(api, &format!("/api/v2/jobs/{id}/events")).await
}

/// The statuses and places of a stream.
fn statuses(events: &[Sent]) -> Vec<String> {
    let status = |event: &Sent| match event.data["queue_position"].as_u64() {
        Some(place) => format!("{} {place}", event.data["status"].as_str().unwrap()),
        None => event.data["status"].as_str().unwrap().to_owned(),
    };
    events.iter().filter(|event| event.name == "status").map(status).collect()
}

fn code(reply: &Reply) -> String {
    let body = reply.json();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("no envelope: {body}"));
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert!(error["details"].is_null() || error["details"].is_object(), "{body}");
    error["code"].as_str().unwrap().to_owned()
}

/// The path of a link, which must be absolute and of this server.
fn path<'a>(api: &Api, link: &'a Value) -> &'a str {
    let link = link.as_str().unwrap();
    link.strip_prefix(api.base.as_str()).unwrap_or_else(|| panic!("{link} is not of {}", api.base))
}

#[actix_rt::test]
async fn a_job_is_submitted_followed_by_its_links_and_fetched() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, graph(3, 10, 1)).await;
    assert!(matches!(submitted["status"].as_str().unwrap(), "queued" | "running" | "succeeded"));
    let own = path(&api, &submitted["urls"]["self"]);
    let events = Sse::open_at(&api, path(&api, &submitted["urls"]["events"])).await.all().await;
    assert_eq!(statuses(&events).last().unwrap(), "succeeded");
    let job = api.get(own).await.json();
    assert_eq!((&job["status"], &job["error"]), (&json!("succeeded"), &Value::Null));
    assert_eq!(job["progress"]["value"], 1.0);
    for time in ["created_at", "started_at", "completed_at", "expires_at"] {
        assert!(job[time].as_str().unwrap().ends_with('Z'), "{time}: {job}");
    }
    let [output] = &job["outputs"].as_array().unwrap()[..] else { panic!("{job}") };
    assert_eq!((&output["node_id"], &output["type"]), (&json!("4"), &json!("image")));
    assert_eq!(output["content_type"], "image/png");
    assert_eq!(output["job_id"], job["id"]);
    let workflow = api.get(&format!("{own}/workflow")).await.json();
    assert_eq!(workflow, json!({"workflow": graph(3, 10, 1), "format": "api"}));
    // It is a job of our own API as well, and the other way round.
    let record = api.get(&format!("/api/jobs/{}", id(&job))).await.json();
    assert_eq!((&record["status"], &record["workflow_name"]), (&json!("completed"), &json!("Comfy API v2")));
    let ours = api.execute("text-to-image", json!({"prompt": "a fox"})).await;
    let theirs = finished(&api, ours["prompt_id"].as_str().unwrap()).await;
    assert_eq!(theirs["status"], "succeeded");
    assert_eq!(theirs["outputs"].as_array().unwrap().len(), 1);
    api.stop().await;
}

/// 1: as many jobs as the front was asked for, each by three without pause.
#[actix_rt::test]
async fn a_job_that_ends_while_it_is_asked_for_is_never_expired() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for seed in 0..150 {
        let submitted = submit(&api, graph(1, 0, seed)).await;
        let poll = async || {
            loop {
                let job = job(&api, id(&submitted)).await;
                match job["status"].as_str().unwrap() {
                    "queued" | "running" => {}
                    status => {
                        assert_eq!(status, "succeeded");
                        let outputs = job["outputs"].as_array().unwrap();
                        assert_eq!(outputs.len(), 1, "with the first terminal status");
                        break;
                    }
                }
            }
        };
        futures::join!(poll(), poll(), poll());
    }
    api.stop().await;
}

/// 2, 4: before every version of ComfyUI, and `canceling` until it is over.
#[actix_rt::test]
async fn a_running_job_is_canceling_and_then_canceled_before_every_comfyui() {
    for version in [Version::V0_3_64, Version::V0_33_0] {
        let simulator = Simulator::builder().step_delay(Duration::ZERO).speak_as(version).start().unwrap();
        let api = Api::start(&simulator.url());
        let submitted = submit(&api, graph(5, 1000, 1)).await;
        let id = id(&submitted);
        until(&api, id, "it runs", |job| job["progress"]["step"].as_u64() >= Some(1)).await;
        let stream = events(&api, id).await;
        let cancel = path(&api, &submitted["urls"]["cancel"]);
        let asked = api.post_body(cancel, "application/json".to_owned(), "").await;
        assert_eq!(asked.status, 200);
        assert!(matches!(asked.json()["status"].as_str().unwrap(), "canceling" | "canceled"));
        let polled = job(&api, id).await;
        assert!(matches!(polled["status"].as_str().unwrap(), "canceling" | "canceled"), "{polled}");
        let over = finished(&api, id).await;
        assert_eq!((&over["status"], &over["error"]), (&json!("canceled"), &Value::Null));
        // A job that stops at once may be over before `canceling` is sent.
        let told = statuses(&stream.all().await);
        assert!(told == ["running", "canceling", "canceled"] || told == ["running", "canceled"], "{told:?}");
        let again = api.post_body(cancel, "application/json".to_owned(), "").await;
        assert_eq!((again.status.as_u16(), again.json()["status"].clone()), (200, json!("canceled")));
        api.stop().await;
    }
}

/// 3, 5, 6: places in the order of the turns, told as they change, and the end of a cancelled one at once.
#[actix_rt::test]
async fn waiting_jobs_have_places_that_are_told_as_they_change() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let running = submit(&api, graph(60, 1000, 1)).await;
    until(&api, id(&running), "it runs", |job| job["status"] == "running").await;
    let mut waiting = Vec::new();
    for seed in 2..13 {
        let (steps, delay_ms) = if seed == 3 { (60, 1000) } else { (1, 0) };
        waiting.push(submit(&api, graph(steps, delay_ms, seed)).await);
        actix_rt::time::sleep(Duration::from_millis(2)).await;
    }
    for (index, submitted) in waiting.iter().enumerate() {
        assert_eq!(job(&api, id(submitted)).await["queue_position"], index + 1);
    }
    let mut third = events(&api, id(&waiting[2])).await;
    let first = third.next().await.unwrap();
    assert_eq!(first.data, json!({"status": "queued", "queue_position": 3}));
    let cancel = async |submitted: &Value| {
        let path = format!("/api/v2/jobs/{}/cancel", id(submitted));
        api.post_body(&path, String::new(), "").await.json()
    };
    assert_eq!(cancel(&waiting[0]).await["status"], "canceled", "not expired");
    assert_eq!(third.next().await.unwrap().data, json!({"status": "queued", "queue_position": 2}));
    // Once one was taken, the others are in the order of their turns.
    cancel(&running).await;
    until(&api, id(&waiting[1]), "it runs", |job| job["status"] == "running").await;
    for (index, submitted) in waiting[2..].iter().enumerate() {
        assert_eq!(job(&api, id(submitted)).await["queue_position"], index + 1);
    }
    // The one that runs ends, and all others follow.
    cancel(&waiting[1]).await;
    let rest = third.all().await;
    assert!(statuses(&rest).ends_with(&["running".to_owned(), "succeeded".to_owned()]), "{rest:?}");
    let last = job(&api, id(&waiting[0])).await;
    assert_eq!((&last["status"], &last["started_at"]), (&json!("canceled"), &Value::Null));
    api.stop().await;
}

/// 7: the value never falls, and is the same in a poll and on every stream.
#[actix_rt::test]
async fn progress_grows_from_zero_to_one_and_counts_the_nodes_that_run() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, graph(12, 60, 1)).await;
    let stream = events(&api, id(&submitted)).await;
    let polled =
        until(&api, id(&submitted), "it makes steps", |job| job["progress"]["step"].as_u64() >= Some(2));
    let polled = polled.await;
    assert!(polled["progress"]["value"].as_f64().unwrap() > 0.0, "{polled}");
    assert_eq!((&polled["progress"]["nodes_total"], &polled["progress"]["steps"]), (&json!(3), &json!(12)));
    assert_eq!(polled["progress"]["current_node_class"], "RunnerTestProgress");
    let late = events(&api, id(&submitted)).await.next().await.unwrap();
    assert_eq!(late.data["status"], "running", "a stream begins with the present state");
    let events = stream.all().await;
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

/// A graph whose nodes show and save things, with a slow node at the end.
fn many_outputs(delay_ms: u64) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 32, "batch_size": 2, "color": 7}},
        "20": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "v2/first"}},
        "3": {"class_type": "RunnerTestText", "inputs": {"image": ["1", 0], "text": "line\u{2028}sep\u{85}ü"}},
        "4": {"class_type": "SaveAnimatedWEBP", "inputs": {"images": ["1", 0], "filename_prefix": "v2/anim",
              "fps": 6, "lossless": false, "quality": 80, "method": "default"}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        "6": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 6}},
        "7": {"class_type": "SaveVideo", "inputs": {"video": ["6", 0], "filename_prefix": "v2/video",
              "format": "auto", "codec": "auto"}},
        "8": {"class_type": "RunnerTestProgress", "inputs": {"image": ["1", 0], "steps": 1,
              "delay_ms": delay_ms, "seed": 5, "preview": false}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "v2/last"}},
    })
}

/// 9, 10: outputs of every kind, in the graph's order, before the last status, with true sizes and hashes.
#[actix_rt::test]
async fn outputs_come_before_the_last_status_with_types_sizes_and_hashes() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, many_outputs(0)).await;
    let events = events(&api, id(&submitted)).await.all().await;
    assert_eq!(events.last().unwrap().data["status"], "succeeded");
    let told: Vec<_> =
        events.iter().filter(|event| event.name == "output").map(|event| &event.data).collect();
    let job = job(&api, id(&submitted)).await;
    let outputs = job["outputs"].as_array().unwrap();
    assert_eq!(told.len(), outputs.len());
    assert!(outputs.iter().all(|output| told.contains(&output)), "{told:?}");
    let kinds: Vec<_> = outputs
        .iter()
        .map(|output| (output["node_id"].as_str().unwrap(), output["type"].as_str().unwrap()))
        .collect();
    let expected = [
        ("20", "image"),
        ("20", "image"),
        ("3", "text"),
        ("4", "image"),
        ("5", "image"),
        ("5", "image"),
        ("7", "video"),
        ("9", "image"),
        ("9", "image"),
    ];
    assert_eq!(kinds, expected);
    for output in outputs {
        let content = api.get(path(&api, &output["url"])).await;
        assert_eq!(content.status, 200);
        assert_eq!(output["size_bytes"], content.body.len());
        let hash = comfy_runner_files::ContentHash::of(&content.body);
        assert_eq!(output["hash"], format!("blake3:{hash}"));
    }
    let text = outputs.iter().find(|output| output["type"] == "text").unwrap();
    let content = api.get(path(&api, &text["url"])).await;
    assert_eq!(content.text(), "line\u{2028}sep\u{85}ü");
    assert_eq!(content.header("content-type"), "text/plain; charset=utf-8");
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

/// A ComfyUI that has run each prompt at once and says that it made these outputs.
async fn made(outputs: Value) -> mockito::ServerGuard {
    let mut comfyui = mockito::Server::new_async().await;
    comfyui
        .mock("POST", "/prompt")
        .with_body_from_request(|request| {
            let prompt: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            let accepted = json!({"prompt_id": prompt["prompt_id"], "number": 1, "node_errors": {}});
            accepted.to_string().into()
        })
        .create_async()
        .await;
    let empty = json!({"queue_running": [], "queue_pending": []});
    comfyui.mock("GET", "/queue").with_body(empty.to_string()).create_async().await;
    comfyui
        .mock("GET", Matcher::Regex("^/history/".to_owned()))
        .with_body_from_request(move |request| {
            let id = request.path().strip_prefix("/history/").unwrap();
            let entry = json!({"prompt": [1, id, {}, {}, []], "outputs": outputs,
                               "status": {"status_str": "success", "completed": true, "messages": []}});
            json!({id: entry}).to_string().into()
        })
        .create_async()
        .await;
    comfyui.mock("GET", Matcher::Regex("^/view".to_owned())).with_body("the bytes").create_async().await;
    comfyui
}

/// 10: the type of an output is that of its file, whatever key ComfyUI reports it under.
#[actix_rt::test]
async fn outputs_of_every_kind_have_their_own_type() {
    let kinds = [
        ("2", "a.png", "image", "image/png"),
        ("4", "a.webp", "image", "image/webp"),
        ("5", "a.webm", "video", "video/webm"),
        ("8", "a.mp4", "video", "video/mp4"),
        ("10", "a.latent", "latent", "application/octet-stream"),
        ("12", "a.flac", "audio", "audio/flac"),
        ("13", "a.txt", "text", "text/plain; charset=utf-8"),
        ("14", "a.glb", "file", "model/gltf-binary"),
    ];
    let (mut workflow, mut reported) = (json!({}), json!({}));
    for (node, name, ..) in kinds {
        workflow[node] = json!({"class_type": "Saves", "inputs": {}});
        let file = json!({"filename": name, "subfolder": "", "type": "output"});
        let key = if name == "a.latent" { "latents" } else { "images" };
        reported[node] = json!({key: [file], "animated": [true]});
    }
    let comfyui = made(reported).await;
    let api = Api::start(&comfyui.url());
    let submitted = submit(&api, workflow).await;
    let done = finished(&api, id(&submitted)).await;
    let outputs = done["outputs"].as_array().unwrap();
    let found: Vec<_> = outputs
        .iter()
        .map(|output| ["node_id", "name", "type", "content_type"].map(|name| output[name].as_str().unwrap()))
        .map(|[node, name, kind, content_type]| (node, name, kind, content_type))
        .collect();
    assert_eq!(found, kinds);
    assert!(outputs.iter().all(|output| output["size_bytes"] == 9 && output["hash"].is_string()), "{done}");
    api.stop().await;
}

/// 8: an output is there while the job still runs.
#[actix_rt::test]
async fn outputs_appear_while_the_job_runs() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, many_outputs(60_000)).await;
    let id = id(&submitted);
    let running = until(&api, id, "an output", |job| !job["outputs"].as_array().unwrap().is_empty()).await;
    assert_eq!(running["status"], "running");
    let mut stream = events(&api, id).await;
    let output = loop {
        let event = stream.next().await.unwrap();
        if event.name == "output" {
            break event.data;
        }
    };
    assert_eq!(api.get(path(&api, &output["url"])).await.status, 200);
    api.post_body(&format!("/api/v2/jobs/{id}/cancel"), String::new(), "").await;
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

/// 13, 14, 16: a restart of the server and a ComfyUI that forgets change nothing.
#[actix_rt::test]
async fn jobs_outputs_and_keys_survive_a_restart_and_a_comfyui_that_forgets() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.store = Arc::new(Sqlite::in_memory().unwrap());
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let body = json!({"workflow": graph(2, 0, 1), "metadata": {"team": "a"}});
    let key = [("Idempotency-Key", "once")];
    let submitted = post_with(&api, &body, &key).await.json();
    let before = finished(&api, id(&submitted)).await;
    api.stop_gracefully().await;
    simulator.forget();
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut after = job(&api, id(&submitted)).await;
    for time in ["created_at", "started_at", "completed_at"] {
        assert_eq!(after[time], before[time]);
    }
    assert_eq!((&after["status"], &after["metadata"]), (&json!("succeeded"), &json!({"team": "a"})));
    let output = after["outputs"][0].take();
    assert_eq!(output["id"], before["outputs"][0]["id"]);
    assert_eq!(output["hash"], before["outputs"][0]["hash"]);
    assert_eq!(api.get(path(&api, &output["url"])).await.status, 200);
    assert_eq!(code(&post_with(&api, &body, &key).await), "idempotency_key_reuse");
    let events = events(&api, id(&submitted)).await.all().await;
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["progress", "output", "status"], "who comes late hears the output before the end");
    let workflow = api.get(&format!("/api/v2/jobs/{}/workflow", id(&submitted))).await;
    assert_eq!(workflow.json()["workflow"], graph(2, 0, 1));
    api.stop().await;
}

/// 13, 20: a restart forgets none of more than 500 jobs, and a list costs ComfyUI nothing, whatever it finds.
#[actix_rt::test]
async fn hundreds_of_jobs_are_listed_after_a_restart_without_comfyui() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.store = Arc::new(Sqlite::in_memory().unwrap());
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut ids = Vec::new();
    for seed in 0..520 {
        ids.push(id(&submit(&api, graph(1, 0, seed)).await).to_owned());
    }
    for id in &ids {
        finished(&api, id).await;
    }
    api.stop_gracefully().await;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    api.get("/ready").await;
    let before = simulator.requests();
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/v2/jobs?limit=100{cursor}")).await.json();
        listed.extend(page["jobs"].as_array().unwrap().iter().map(|job| id(job).to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    ids.reverse();
    assert_eq!(listed, ids, "newest first");
    let oldest = job(&api, ids.last().unwrap()).await;
    assert_eq!((&oldest["status"], oldest["outputs"].as_array().unwrap().len()), (&json!("succeeded"), 1));
    for query in ["metadata%5Bteam%5D=nobody", "status=failed"] {
        assert_eq!(api.get(&format!("/api/v2/jobs?{query}")).await.json()["jobs"], json!([]), "{query}");
    }
    let asked = simulator.requests() - before;
    assert!(asked < 10, "{asked} requests to ComfyUI");
    api.stop().await;
}

/// 16: a ComfyUI that forgets a finished job changes nothing.
#[actix_rt::test]
async fn a_finished_job_that_comfyui_forgets_stays_succeeded_with_its_outputs() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, graph(1, 0, 1)).await;
    let before = finished(&api, id(&submitted)).await;
    simulator.forget();
    simulator.drop_sockets();
    assert_eq!(job(&api, id(&submitted)).await, before);
    let content = api.get(path(&api, &before["outputs"][0]["url"])).await;
    assert_eq!((content.status.as_u16(), content.header("content-type")), (200, "image/png"));
    let events = events(&api, id(&submitted)).await.all().await;
    assert_eq!(statuses(&events), ["succeeded"]);
    assert!(events.iter().any(|event| event.name == "output"));
    api.stop().await;
}

/// Sizes and hashes of outputs are recorded with the job, so that the files need not be read again.
#[actix_rt::test]
async fn outputs_are_described_after_a_restart_without_comfyui() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.store = Arc::new(Sqlite::in_memory().unwrap());
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let submitted = submit(&api, many_outputs(0)).await;
    let before = finished(&api, id(&submitted)).await;
    api.stop_gracefully().await;
    simulator.stop();
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut after = job(&api, id(&submitted)).await;
    let mut before = before["outputs"].clone();
    assert_eq!(before.as_array().unwrap().len(), 9);
    for output in before.as_array_mut().unwrap().iter_mut().chain(after["outputs"].as_array_mut().unwrap()) {
        // The address is that of the process.
        output.as_object_mut().unwrap().remove("url");
    }
    assert_eq!(after["outputs"], before);
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

/// 19: a poll costs ComfyUI nothing, however many jobs wait.
#[actix_rt::test]
async fn a_poll_asks_comfyui_for_nothing() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let submitted = submit(&api, graph(1, 0, 1)).await;
    finished(&api, id(&submitted)).await;
    submit(&api, graph(10, 60_000, 2)).await;
    let mut waiting = submit(&api, graph(1, 0, 3)).await;
    for seed in 4..1003 {
        waiting = submit(&api, graph(1, 0, seed)).await;
    }
    assert_eq!(job(&api, id(&waiting)).await["queue_position"], 1000);
    let before = simulator.requests();
    for _ in 0..20 {
        job(&api, id(&submitted)).await;
        job(&api, id(&waiting)).await;
        api.get("/api/v2/jobs?limit=10").await;
    }
    // The server itself asks for the queue now and then.
    let asked = simulator.requests() - before;
    assert!(asked < 20, "{asked} requests to ComfyUI for 60 polls");
    api.stop().await;
}

/// 20: lists have pages, statuses and labels.
#[actix_rt::test]
async fn lists_have_pages_statuses_and_labels() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut ids = Vec::new();
    for (seed, team) in [(1, "a"), (2, "b"), (3, "a")] {
        let body = json!({"workflow": graph(1, 0, seed), "metadata": {"team": team, "x.y": "1"}});
        ids.push(post(&api, "/api/v2/jobs", &body).await.json()["id"].as_str().unwrap().to_owned());
        finished(&api, ids.last().unwrap()).await;
    }
    let listed = async |query: &str| {
        let page = api.get(&format!("/api/v2/jobs{query}")).await.json();
        let ids = page["jobs"].as_array().unwrap().iter().map(|job| id(job).to_owned());
        (ids.collect::<Vec<_>>(), page["next_cursor"].as_str().map(str::to_owned))
    };
    let newest_first: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(listed("").await, (newest_first.clone(), None));
    let (first, cursor) = listed("?limit=2").await;
    assert_eq!(first, newest_first[..2]);
    let (second, end) = listed(&format!("?limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!((second.as_slice(), end), (&newest_first[2..], None));
    assert_eq!(listed("?metadata%5Bteam%5D=a").await.0, [ids[2].clone(), ids[0].clone()]);
    assert!(listed("?metadata%5Bteam%5D=c").await.0.is_empty());
    assert_eq!(listed("?status=succeeded,failed").await.0.len(), 3);
    assert!(listed("?status=canceling,expired").await.0.is_empty());
    let page = api.get("/api/v2/jobs?limit=1").await.json();
    let job = &page["jobs"][0];
    assert_eq!(job["metadata"], json!({"team": "a", "x.y": "1"}));
    assert!(job["create_time"].is_string() && job["update_time"].is_string());
    for (query, expected) in [
        ("limit=0", "invalid_request"),
        ("limit=101", "invalid_request"),
        ("status=done", "invalid_request"),
        ("cursor=nonsense", "invalid_cursor"),
        ("metadata%5Ba%20b%5D=1", "invalid_metadata_filter"),
    ] {
        let reply = api.get(&format!("/api/v2/jobs?{query}")).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (400, expected), "{query}");
    }
    api.stop().await;
}

async fn post_with(api: &Api, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let mut request = api.http.post(format!("{}/api/v2/jobs", api.base)).content_type("application/json");
    for &(name, value) in headers {
        request = request.insert_header((name, value));
    }
    Reply::from_response(request.send_body(body.to_string()).await.unwrap()).await
}

#[actix_rt::test]
async fn an_idempotency_key_works_once_and_is_free_again_after_a_refusal() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let good = json!({"workflow": graph(1, 0, 1)});
    let bad = json!({"workflow": {"1": {"class_type": "NoSuchNode", "inputs": {}}}});
    let key = [("Idempotency-Key", "first")];
    let refused = post_with(&api, &bad, &key).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (422, "invalid_workflow"));
    assert_eq!(post_with(&api, &good, &key).await.status, 201);
    for body in [&good, &json!({"workflow": graph(1, 0, 2)})] {
        let again = post_with(&api, body, &key).await;
        assert_eq!((again.status.as_u16(), code(&again).as_str()), (422, "idempotency_key_reuse"));
    }
    for wrong in ["", &"k".repeat(256)] {
        let reply = post_with(&api, &good, &[("Idempotency-Key", wrong)]).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (400, "invalid_request"));
    }
    assert_eq!(post_with(&api, &good, &[("Idempotency-Key", &"k".repeat(255))]).await.status, 201);
    // At the same time: one of them.
    let key = [("Idempotency-Key", "at once")];
    let replies = futures::join!(post_with(&api, &good, &key), post_with(&api, &good, &key));
    let mut statuses = [replies.0.status.as_u16(), replies.1.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422]);
    api.stop().await;
}

/// 23, 24, 25: what ComfyUI refuses, in whole or in part.
#[actix_rt::test]
async fn a_refusal_names_nodes_without_tracebacks_and_dropped_outputs_are_told() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut wrong = graph(1, 0, 1);
    wrong["3"]["inputs"]["steps"] = json!(99_999);
    let refused = post(&api, "/api/v2/jobs", &json!({"workflow": wrong})).await;
    assert_eq!((refused.status.as_u16(), code(&refused).as_str()), (422, "invalid_workflow"));
    let errors = &refused.json()["error"]["details"]["node_errors"];
    assert_eq!(errors["3"]["errors"][0]["type"], "value_bigger_than_max");
    assert!(!refused.text().contains("Traceback") && !refused.text().contains("traceback"));
    let mut partly = graph(1, 0, 1);
    partly["5"] = json!({"class_type": "ImageScale", "inputs": {"image": ["1", 0], "upscale_method": "none",
                         "width": 8, "height": 8, "crop": "disabled"}});
    partly["6"] = json!({"class_type": "PreviewImage", "inputs": {"images": ["5", 0]}});
    let submitted = submit(&api, partly).await;
    let [warning] = &submitted["warnings"].as_array().unwrap()[..] else { panic!("{submitted}") };
    assert!(warning.as_str().unwrap().contains("ImageScale"), "{warning}");
    let logs = api.get(path(&api, &submitted["urls"]["logs"])).await.json();
    assert!(logs["text"].as_str().unwrap().contains("ImageScale"), "{logs}");
    let plain = submit(&api, graph(1, 0, 2)).await;
    assert_eq!(plain["urls"].get("logs"), None);
    assert_eq!(api.get(&format!("/api/v2/jobs/{}/logs", id(&plain))).await.status, 204);
    api.stop().await;
}

/// 25: of what a real ComfyUI said of an exception, the traceback stays here.
#[actix_rt::test]
async fn no_traceback_of_a_refusal_reaches_the_caller() {
    let recording = std::fs::read(fixtures().join("recordings/0.33.0/validation_errors.json")).unwrap();
    let recording: Value = serde_json::from_slice(&recording).unwrap();
    let refused = recording["prompts"].as_array().unwrap().iter();
    let refused = refused.map(|prompt| &prompt["response"]);
    let refusal = refused.into_iter().find(|response| response.to_string().contains("traceback")).unwrap();
    let mut comfyui = mockito::Server::new_async().await;
    let prompt = comfyui.mock("POST", "/prompt").with_status(400).with_body(refusal.to_string());
    prompt.create_async().await;
    let api = Api::start(&comfyui.url());
    let reply = post(&api, "/api/v2/jobs", &json!({"workflow": graph(1, 0, 1)})).await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (422, "invalid_workflow"));
    let errors = &reply.json()["error"]["details"]["node_errors"]["4"]["errors"];
    assert_eq!(errors[0]["extra_info"], json!({"exception_type": "KeyError"}));
    assert!(
        !reply.text().contains("raceback") && !reply.text().contains("/execution.py"),
        "{}",
        reply.text()
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_failed_job_names_its_node_also_after_a_restart() {
    let simulator = simulator();
    let settings = settings(&simulator.url());
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let mut failing = graph(1, 0, 1);
    failing["5"] =
        json!({"class_type": "RunnerTestFail", "inputs": {"image": ["3", 0], "message": "it broke"}});
    failing["4"]["inputs"]["images"] = json!(["5", 0]);
    let submitted = submit(&api, failing).await;
    let error = finished(&api, id(&submitted)).await["error"].take();
    assert_eq!((&error["code"], &error["node_id"]), (&json!("node_execution_error"), &json!("5")));
    assert_eq!((&error["class_type"], &error["traceback"]), (&json!("RunnerTestFail"), &Value::Null));
    assert!(error["message"].as_str().unwrap().contains("it broke"));
    api.stop_gracefully().await;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let error = job(&api, id(&submitted)).await["error"].take();
    assert_eq!((&error["node_id"], &error["class_type"]), (&json!("5"), &json!("RunnerTestFail")));
    api.stop().await;
}

/// 26: every error has the envelope, whoever made it.
#[actix_rt::test]
async fn every_error_below_the_api_has_the_envelope() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for (path, expected) in [
        ("/api/v2", "not_found"),
        ("/api/v2/nothing", "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}"), "not_found"),
        ("/api/v2/jobs/word", "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/events"), "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/workflow"), "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/logs"), "not_found"),
        (&format!("/api/v2/jobs/{UNKNOWN}/"), "not_found"),
    ] {
        let reply = api.get(path).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (404, expected), "{path}");
    }
    let cancel = post(&api, &format!("/api/v2/jobs/{UNKNOWN}/cancel"), &json!({})).await;
    assert_eq!((cancel.status.as_u16(), code(&cancel).as_str()), (404, "not_found"));
    let method = api.delete("/api/v2/jobs").await;
    assert_eq!((method.status.as_u16(), code(&method).as_str()), (405, "method_not_allowed"));
    assert_eq!(method.header("allow"), "GET, HEAD, POST");
    for (body, status, expected) in [
        ("[1, 2]", 400, "invalid_request"),
        ("{", 400, "invalid_request"),
        ("", 400, "invalid_request"),
        ("{}", 422, "invalid_workflow"),
        (r#"{"workflow": {"nodes": [], "links": []}}"#, 422, "workflow_format_ui"),
        (r#"{"workflow": {"1": 3}}"#, 422, "invalid_workflow"),
        (r#"{"workflow": {}}"#, 422, "invalid_workflow"),
        (r#"{"workflow": {"1": {"class_type": "X"}}, "metadata": {"a b": "c"}}"#, 422, "metadata_invalid"),
        (r#"{"workflow": {"__type": "runner/WORKFLOW", "id": "nothing"}}"#, 422, "invalid_workflow"),
    ] {
        let reply = api.post_body("/api/v2/jobs", "text/plain".to_owned(), body).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (status, expected), "{body}");
    }
    let large = " ".repeat(17 << 20);
    let reply = api.post_body("/api/v2/jobs", "application/json".to_owned(), large).await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (413, "payload_too_large"));
    // Our own API keeps its form.
    assert!(api.get("/api/nothing").await.json()["detail"].is_string());
    api.stop().await;
}

#[actix_rt::test]
async fn a_bearer_token_is_a_key_on_every_route() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.api_keys = vec!["right".into()];
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    for path in ["/api/v2/jobs", "/api/jobs", "/api/workflows"] {
        for right in
            [("authorization", "Bearer right"), ("authorization", "bEARER right"), ("x-api-key", "right")]
        {
            assert_eq!(api.get_with(path, &[right]).await.status, 200, "{path} {right:?}");
        }
        for wrong in
            [("authorization", "Bearer wrong"), ("authorization", "Basic right"), ("x-api-key", "wrong")]
        {
            assert_eq!(api.get_with(path, &[wrong]).await.status, 401, "{path} {wrong:?}");
        }
    }
    for path in ["/api/v2/jobs", "/api/v2/nothing", &format!("/api/v2/jobs/{UNKNOWN}/events")] {
        let reply = api.get(path).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (401, "unauthorized"), "{path}");
        assert!(reply.text().contains("send your API key"), "{}", reply.text());
    }
    api.stop().await;
}

/// 28: who has no key learns whether ComfyUI answers, and not where it is.
#[actix_rt::test]
async fn health_asks_comfyui_and_names_no_address() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.api_keys = vec!["right".into()];
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let health = async || {
        let reply = api.get("/api/v2/health").await;
        assert_eq!(reply.status, 200);
        reply.json()
    };
    assert_eq!(health().await, json!({"status": "healthy", "upstream": "reachable"}));
    let page = api.get_with("/api/v2/health", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((page.status.as_u16(), code(&page).as_str()), (403, "forbidden"));
    simulator.stop();
    // What was found out is believed for a moment.
    while health().await != json!({"status": "healthy", "upstream": "unreachable"}) {
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    api.stop().await;
}

/// 28, 29: a ComfyUI that is gone is told as such, without its address.
#[actix_rt::test]
async fn a_comfyui_that_cannot_be_reached_is_told_without_its_address() {
    let api = Api::start("http://127.0.0.1:1");
    let body = json!({"workflow": graph(1, 0, 1)});
    // 29: and the key is free again.
    for _ in 0..2 {
        let reply = post_with(&api, &body, &[("Idempotency-Key", "k")]).await;
        assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (503, "upstream_unreachable"));
        assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
    }
    assert_eq!(api.get("/api/v2/jobs").await.json()["jobs"], json!([]));
    api.stop().await;
}

#[actix_rt::test]
async fn a_workflow_of_the_library_runs_as_a_job() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let workflow = json!({"__type": "runner/WORKFLOW", "id": "text-to-image", "params": {"prompt": "a fox"}});
    let done = finished(&api, id(&submit(&api, workflow.clone()).await)).await;
    assert_eq!((&done["status"], done["outputs"].as_array().unwrap().len()), (&json!("succeeded"), 1));
    let record = api.get(&format!("/api/jobs/{}", id(&done))).await.json();
    assert_eq!(record["workflow_id"], "text-to-image");
    let mut wrong = workflow;
    wrong["params"]["promt"] = json!("a typo");
    let reply = post(&api, "/api/v2/jobs", &json!({"workflow": wrong})).await;
    assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (422, "invalid_workflow"));
    assert!(reply.text().contains("promt"), "{}", reply.text());
    api.stop().await;
}

#[actix_rt::test]
async fn the_partner_key_of_a_job_is_shown_nowhere() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let body = json!({"workflow": graph(1, 0, 1), "extra_data": {"api_key_comfy_org": "comfyui-secret"}});
    let submitted = post(&api, "/api/v2/jobs", &body).await.json();
    finished(&api, id(&submitted)).await;
    let id = id(&submitted);
    for path in [
        format!("/api/v2/jobs/{id}"),
        format!("/api/v2/jobs/{id}/workflow"),
        "/api/v2/jobs".to_owned(),
        format!("/api/jobs/{id}"),
    ] {
        assert!(!api.get(&path).await.text().contains("comfyui-secret"), "{path}");
    }
    api.stop().await;
}

/// 21, 22: HEAD without a body, ranges and conditions.
#[actix_rt::test]
async fn contents_have_ranges_conditions_and_heads_without_a_body() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut with_text = graph(1, 0, 1);
    with_text["5"] =
        json!({"class_type": "RunnerTestText", "inputs": {"image": ["1", 0], "text": "0123456789"}});
    let done = finished(&api, id(&submit(&api, with_text).await)).await;
    for output in done["outputs"].as_array().unwrap() {
        let content = path(&api, &output["url"]);
        let whole = api.get(content).await;
        assert_eq!(whole.header("accept-ranges"), "bytes");
        assert_eq!(whole.header("x-content-type-options"), "nosniff");
        assert!(whole.header("content-disposition").contains("filename"), "{output}");
        let part = api.get_with(content, &[("range", "bytes=2-5")]).await;
        assert_eq!((part.status.as_u16(), &part.body[..]), (206, &whole.body[2..6]));
        assert_eq!(part.header("content-range"), format!("bytes 2-5/{}", whole.body.len()));
        let suffix = api.get_with(content, &[("range", "bytes=-3")]).await;
        assert_eq!((suffix.status.as_u16(), &suffix.body[..]), (206, &whole.body[whole.body.len() - 3..]));
        let outside = api.get_with(content, &[("range", "bytes=100000-100001")]).await;
        assert_eq!((outside.status.as_u16(), code(&outside).as_str()), (416, "range_not_satisfiable"));
        assert_eq!(outside.header("content-range"), format!("bytes */{}", whole.body.len()));
        // Several parts are answered with the whole.
        let two = api.get_with(content, &[("range", "bytes=0-1,4-5")]).await;
        assert_eq!((two.status.as_u16(), &two.body), (200, &whole.body));
        // The answer to HEAD ends with its head: the next answer on the connection follows.
        let requests = format!(
            "HEAD {content} HTTP/1.1\r\nHost: localhost\r\n\r\n\
             GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        let answers = api.send_raw(requests.as_bytes()).await;
        assert_eq!(answers.header("content-length"), whole.body.len().to_string());
        assert!(answers.body.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", answers.text());
        let etag = whole.header("etag").to_owned();
        assert_eq!(api.get_with(content, &[("if-none-match", &etag)]).await.status, 304);
        let head = api.head(content).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), whole.body.len().to_string());
        let asset = api.get(&format!("/api/v2/assets/{}", output["id"].as_str().unwrap())).await.json();
        assert_eq!((&asset["hash"], &asset["size_bytes"]), (&output["hash"], &output["size_bytes"]));
        assert_eq!((&asset["job_id"], &asset["file_path"]), (&done["id"], &output["name"]));
    }
    for forged in
        [format!("{}.0000000000000000", id(&done)), format!("{UNKNOWN}.0000000000000000"), "x".to_owned()]
    {
        for below in ["", "/content"] {
            let reply = api.get(&format!("/api/v2/assets/{forged}{below}")).await;
            assert_eq!((reply.status.as_u16(), code(&reply).as_str()), (404, "not_found"), "{forged}");
        }
    }
    api.stop().await;
}
