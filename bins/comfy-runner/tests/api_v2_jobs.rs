//! Jobs in the Comfy API v2: they are submitted, polled, cancelled and listed, and a restart forgets none.
//!
//! The number before what a test shows is a point of the table in `support/api_v2.rs`.

mod support;

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_simulator::{Simulator, Version};
use comfy_runner_store::Sqlite;
use serde_json::{Value, json};
use support::api_v2::{
    code, events, finished, graph, id, job, path, post, post_with, statuses, submit, until,
};
use support::streams::Sse;
use support::{Api, fixtures, settings, simulator};

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
        let submitted = submit(&api, graph(300, 1000, 1)).await;
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
    let running = submit(&api, graph(600, 1000, 1)).await;
    until(&api, id(&running), "it runs", |job| job["status"] == "running").await;
    let mut waiting = Vec::new();
    for seed in 2..13 {
        let (steps, delay_ms) = if seed == 3 { (600, 1000) } else { (1, 0) };
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
