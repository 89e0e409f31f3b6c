//! Requests of the Comfy API v2, as its official clients make them.
//!
//! What the official front gets wrong, by the numbers of its list of weak points, and the tests that show it right here:
//!
//! | point | test |
//! | --- | --- |
//! | 1: finished jobs are `expired` | `api_v2_jobs`: `a_job_that_ends_while_it_is_asked_for_is_never_expired` |
//! | 2: cancel does nothing before older ComfyUIs | `api_v2_jobs`: `a_running_job_is_canceling_and_then_canceled_before_every_comfyui` |
//! | 3: a cancelled waiting job is `expired` | `api_v2_jobs`: `waiting_jobs_have_places_that_are_told_as_they_change` |
//! | 4: `canceling` is forgotten | `api_v2_jobs`: `a_running_job_is_canceling_and_then_canceled_before_every_comfyui` |
//! | 5: who waits hears nothing | `api_v2_jobs`: `waiting_jobs_have_places_that_are_told_as_they_change` |
//! | 6: places are not the order of turns | `api_v2_jobs`: `waiting_jobs_have_places_that_are_told_as_they_change` |
//! | 7: progress jumps and falls | `api_v2_events`: `progress_grows_from_zero_to_one_and_counts_the_nodes_that_run`, `progress_of_eleven_nodes_is_one_at_the_end_only` |
//! | 8: outputs come at the end only | `api_v2_outputs`: `outputs_appear_while_the_job_runs` |
//! | 9: outputs come after the last status | `api_v2_outputs`: `outputs_come_before_the_last_status_with_types_sizes_and_hashes`, `api_v2_events`: `each_of_200_streams_brings_the_outputs_before_the_end` |
//! | 10: wrong types, no sizes, hashes and times | `api_v2_outputs`: `outputs_of_every_kind_have_their_own_type`, `outputs_come_before_the_last_status_with_types_sizes_and_hashes`, `api_v2_jobs`: `a_job_is_submitted_followed_by_its_links_and_fetched` |
//! | 11: watchers take events from each other | `api_v2_events`: `every_watcher_hears_everything` |
//! | 12: eight streams | `api_v2_events`: `every_watcher_hears_everything`; 2,000 in `docs/benchmarks.md` |
//! | 13: a restart forgets | `api_v2_jobs`: `jobs_outputs_and_keys_survive_a_restart_and_a_comfyui_that_forgets`, `hundreds_of_jobs_are_listed_after_a_restart_without_comfyui`, `api_v2_assets`: `assets_survive_a_restart` |
//! | 14: a crash loses jobs | `api_v2_process`: `a_job_that_comfyui_is_getting_when_the_server_is_killed_is_known_afterwards` |
//! | 15: a stream holds up a stop | `api_v2_events`: `a_stop_closes_streams_at_once`, `api_v2_recordings`: `restarts_and_kills` |
//! | 16: a ComfyUI that forgets | `api_v2_outputs`: `a_finished_job_that_comfyui_forgets_stays_succeeded_with_its_outputs` |
//! | 17: graphs stay in memory | `api_v2_process`: `graphs_of_finished_jobs_do_not_stay_in_memory` |
//! | 18: uploads fill the memory | `api_v2_process`: `large_uploads_do_not_grow_the_memory` |
//! | 19: a poll reads the whole queue | `api_v2_jobs`: `a_poll_asks_comfyui_for_nothing` |
//! | 20: a list is many requests | `api_v2_jobs`: `hundreds_of_jobs_are_listed_after_a_restart_without_comfyui`, `lists_have_pages_statuses_and_labels` |
//! | 21: HEAD sends a body | `api_v2_outputs`: `contents_have_ranges_conditions_and_heads_without_a_body` |
//! | 22: ranges and conditions | `api_v2_outputs`: `contents_have_ranges_conditions_and_heads_without_a_body`, `api_v2_assets`: `an_upload_has_ranges_and_its_declared_type_and_is_no_page` |
//! | 23: outputs as inputs fail | `api_v2_assets`: `an_asset_is_an_input_wherever_a_graph_names_it` |
//! | 24: dropped outputs are not told | `api_v2_errors`: `a_refusal_names_nodes_without_tracebacks_and_dropped_outputs_are_told` |
//! | 25: tracebacks are passed on | `api_v2_errors`: `no_traceback_of_a_refusal_reaches_the_caller` |
//! | 26: errors without the envelope | `api_v2_errors`: `every_error_below_the_api_has_the_envelope` |
//! | 27: bytes that ComfyUI lost | `api_v2_assets`: `an_asset_is_an_input_wherever_a_graph_names_it`, `an_upload_is_stored_once_by_its_content_and_each_asset_has_its_own_name` |
//! | 28: the address of ComfyUI is told | `api_v2_errors`: `health_asks_comfyui_and_names_no_address`, `a_comfyui_that_cannot_be_reached_is_told_without_its_address` |
//! | 29: a refused connection keeps the key | `api_v2_errors`: `a_comfyui_that_cannot_be_reached_is_told_without_its_address` |

use std::time::Duration;

use serde_json::{Value, json};

use super::streams::{Sent, Sse};
use super::{Api, Reply};

/// The id of no job.
pub const UNKNOWN: &str = "11111111-1111-4111-8111-111111111111";

/// EmptyImage, RunnerTestProgress and SaveImage. Graphs with another seed have nothing in common in ComfyUI's cache.
pub fn graph(steps: u64, delay_ms: u64, seed: u64) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": seed}},
        "3": {"class_type": "RunnerTestProgress", "inputs": {
            "image": ["1", 0], "steps": steps, "delay_ms": delay_ms, "seed": seed, "preview": true}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "apiv2/final"}},
    })
}

/// A graph whose nodes show and save things, with a slow node at the end.
pub fn many_outputs(delay_ms: u64) -> Value {
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

/// Posts JSON.
pub async fn post(api: &Api, path: &str, body: &Value) -> Reply {
    api.post_body(path, "application/json".to_owned(), body.to_string()).await
}

/// Submits a job with these headers.
pub async fn post_with(api: &Api, body: &Value, headers: &[(&str, &str)]) -> Reply {
    let mut request = api.http.post(format!("{}/api/v2/jobs", api.base)).content_type("application/json");
    for &(name, value) in headers {
        request = request.insert_header((name, value));
    }
    Reply::from_response(request.send_body(body.to_string()).await.unwrap()).await
}

/// Submits a graph and returns the job.
pub async fn submit(api: &Api, workflow: Value) -> Value {
    let reply = post(api, "/api/v2/jobs", &json!({"workflow": workflow})).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

/// The id of a job or an asset.
pub fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

/// Asks for a job, which must be there.
pub async fn job(api: &Api, id: &str) -> Value {
    let reply = api.get(&format!("/api/v2/jobs/{id}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()
}

/// Polls a job until it is so.
pub async fn until(api: &Api, id: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..6000 {
        let job = job(api, id).await;
        if is_so(&job) {
            return job;
        }
        actix_rt::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

/// Polls a job until it is over.
pub async fn finished(api: &Api, id: &str) -> Value {
    let over = |job: &Value| {
        matches!(job["status"].as_str().unwrap(), "succeeded" | "failed" | "canceled" | "expired")
    };
    until(api, id, "the job is over", over).await
}

/// Opens the events of a job, which must be there.
pub async fn events(api: &Api, id: &str) -> Sse {
    Sse::open_at(api, &format!("/api/v2/jobs/{id}/events")).await
}

/// The statuses and places of a stream.
pub fn statuses(events: &[Sent]) -> Vec<String> {
    let status = |event: &Sent| match event.data["queue_position"].as_u64() {
        Some(place) => format!("{} {place}", event.data["status"].as_str().unwrap()),
        None => event.data["status"].as_str().unwrap().to_owned(),
    };
    events.iter().filter(|event| event.name == "status").map(status).collect()
}

/// The code of an error, which must have the envelope.
pub fn code(reply: &Reply) -> String {
    let body = reply.json();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("no envelope: {body}"));
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert!(error["details"].is_null() || error["details"].is_object(), "{body}");
    error["code"].as_str().unwrap().to_owned()
}

/// The path of a link, which must be absolute and of this server.
pub fn path<'a>(api: &Api, link: &'a Value) -> &'a str {
    let link = link.as_str().unwrap();
    link.strip_prefix(api.base.as_str()).unwrap_or_else(|| panic!("{link} is not of {}", api.base))
}
