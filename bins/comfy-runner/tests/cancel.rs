//! Stopping jobs that wait, run, or are over, and those that start or end at that very instant.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comfy_runner_store::{Sqlite, Store as _};
use mockito::{Matcher, Mock, ServerGuard};
use serde_json::{Value, json};
use support::streams::{Socket, Sse};
use support::{Api, Form, Reply, Shelf, eventually, settings, simulator};

async fn start(api: &Api, steps: u32, seed: u64) -> String {
    let params = json!({"steps": steps, "delay_ms": 20, "seed": seed, "preview": false});
    api.execute("test-progress", params).await["prompt_id"].as_str().unwrap().to_owned()
}

async fn running(api: &Api, prompt_id: &str) {
    api.wait_until(prompt_id, |status| status["step"].as_u64() > Some(1)).await;
}

async fn cancel(api: &Api, prompt_id: &str) -> Reply {
    api.post(&format!("/api/run/cancel/{prompt_id}"), Form::new()).await
}

async fn status(api: &Api, prompt_id: &str) -> Value {
    api.get(&format!("/api/run/status/{prompt_id}")).await.json()
}

#[actix_rt::test]
async fn a_job_that_waits_leaves_the_queue_and_those_before_and_behind_it_do_not() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (first, second, third) =
        (start(&api, 1000, 1).await, start(&api, 10, 2).await, start(&api, 3, 3).await);
    let reply = cancel(&api, &second).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json(), json!({"prompt_id": second, "status": "cancelled"}));
    assert_eq!(status(&api, &second).await, json!({"status": "cancelled", "percent": 100}));
    simulator.skip_pauses();
    for other in [&first, &third] {
        assert_eq!(api.wait(other).await["status"], "completed");
    }
    eventually("the last one is counted", || simulator.executed_prompts() > 1).await;
    assert_eq!(simulator.executed_prompts(), 2);
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_runs_is_interrupted_and_the_next_one_runs_to_its_end() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (first, second) = (start(&api, 10_000, 1).await, start(&api, 3, 2).await);
    running(&api, &first).await;
    let events = Sse::open(&api, &first).await;
    let reply = cancel(&api, &first).await;
    assert_eq!((reply.status.as_u16(), reply.json()["status"].clone()), (200, json!("cancelled")));
    assert_eq!(status(&api, &first).await["status"], "cancelled");
    let end = events.all().await.pop().unwrap().data;
    assert_eq!((&end["type"], &end["severity"]), (&json!("job.cancelled"), &json!("warning")));
    assert_eq!(end["message"], "test-progress was cancelled");
    assert_eq!(api.wait(&second).await["status"], "completed");
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_is_over_is_409_and_one_that_nobody_knows_404() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let done = start(&api, 2, 1).await;
    api.wait(&done).await;
    let reply = cancel(&api, &done).await;
    assert_eq!(reply.status, 409);
    assert_eq!(reply.detail(), "the job is over: completed");
    assert_eq!(status(&api, &done).await["status"], "completed");

    let cancelled = start(&api, 10_000, 2).await;
    assert_eq!(cancel(&api, &cancelled).await.status, 200);
    assert_eq!(cancel(&api, &cancelled).await.detail(), "the job is over: cancelled");
    assert_eq!(cancel(&api, "nowhere").await.status, 404);
    assert_eq!(api.get(&format!("/api/run/cancel/{done}")).await.status, 405);
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_from_before_our_restart_can_be_cancelled() {
    let simulator = simulator();
    let before = Api::start(&simulator.url());
    let (first, second) = (start(&before, 10_000, 1).await, start(&before, 10_000, 2).await);
    running(&before, &first).await;
    before.stop().await;
    let api = Api::start(&simulator.url());
    for prompt_id in [&second, &first] {
        let reply = cancel(&api, prompt_id).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(status(&api, prompt_id).await["status"], "cancelled");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn many_at_once_are_each_cancelled_or_truly_over() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut jobs = Vec::new();
    for seed in 0..20 {
        // They end at about the time at which they are cancelled.
        jobs.push(start(&api, 1 + seed % 3, u64::from(seed)).await);
    }
    let mut watch = Socket::open(&api, "").await;
    let replies = futures::future::join_all(jobs.iter().map(|job| cancel(&api, job))).await;
    let mut completed = 0;
    for (job, reply) in jobs.iter().zip(replies) {
        let history = api.http.get(format!("{}/history/{job}", simulator.url())).send().await;
        let history: Value = history.unwrap().json().limit(1 << 20).await.unwrap();
        let status = status(&api, job).await["status"].clone();
        let truth = match history[job]["status"]["status_str"].as_str() {
            // A job that is taken out of the queue leaves no history, and one that was interrupted an error.
            None | Some("error") => json!("cancelled"),
            Some(_) => json!("completed"),
        };
        assert_eq!(status, truth);
        assert_eq!(reply.status, if truth == "cancelled" { 200 } else { 409 }, "{}", reply.text());
        completed += usize::from(truth == "completed");
    }
    let mut ends = 0;
    while ends < 20 - completed {
        ends += usize::from(watch.text().await["type"] == "job.cancelled");
    }
    api.stop().await;
}

const EMPTY: &str = r#"{"queue_running": [], "queue_pending": []}"#;

/// A ComfyUI that says one thing after another about the queue, and always the same about the history.
struct Script {
    api: Api,
    _comfyui: ServerGuard,
    _shelf: Shelf,
}

impl Script {
    /// `queue` is what the prompt is (`pending`, `running` or `gone`) at each request; the last stays.
    async fn start(queue: &[&'static str], history: Value) -> (Self, Mock, Mock) {
        let mut comfyui = mockito::Server::new_async().await;
        let graph = json!({"1": {"class_type": "SaveImage", "inputs": {}}});
        let accepted = json!({"prompt_id": "p", "number": 1, "node_errors": {}});
        comfyui.mock("POST", "/prompt").with_body(accepted.to_string()).create_async().await;
        let asked = Arc::new(AtomicUsize::new(0));
        let answers = queue.to_vec();
        comfyui
            .mock("GET", "/queue")
            .with_body_from_request(move |_| {
                let at = asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
                let item = json!([1, "p", {}, {}, []]);
                match answers[at] {
                    "pending" => json!({"queue_running": [], "queue_pending": [item]}).to_string().into(),
                    "running" => json!({"queue_running": [item], "queue_pending": []}).to_string().into(),
                    _ => EMPTY.into(),
                }
            })
            .create_async()
            .await;
        let history = if history.is_null() { json!({}) } else { json!({"p": history}) };
        comfyui.mock("GET", "/history/p").with_body(history.to_string()).create_async().await;
        let interrupt =
            comfyui.mock("POST", "/interrupt").match_body(Matcher::Json(json!({"prompt_id": "p"})));
        let delete = comfyui.mock("POST", "/queue").match_body(Matcher::Json(json!({"delete": ["p"]})));
        let shelf = Shelf::new();
        shelf.put("only", "id: only\nname: Only\n", &graph);
        let mut settings = settings(&comfyui.url());
        // The script is for the cancellation: nothing else may request the queue, however long it takes.
        settings.jobs.silence = Duration::from_secs(3600);
        let api = Api::start_with(&settings, shelf.path());
        (Self { api, _comfyui: comfyui, _shelf: shelf }, interrupt, delete)
    }

    async fn cancel(&self) -> Reply {
        let reply = self.api.post("/api/run/only/execute", Form::new()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        cancel(&self.api, "p").await
    }
}

fn ended(status: &str, messages: &Value) -> Value {
    json!({"prompt": [1, "p", {}, {}, []], "outputs": {},
           "status": {"status_str": status, "completed": status == "success", "messages": messages}})
}

#[actix_rt::test]
async fn a_job_that_starts_just_before_it_leaves_the_queue_is_interrupted() {
    let interrupted = json!([["execution_interrupted", {"prompt_id": "p"}]]);
    // First the job waits; then, whatever was deleted, it runs; then it is in the history.
    let (script, interrupt, delete) =
        Script::start(&["pending", "running", "gone"], ended("error", &interrupted)).await;
    let (interrupt, delete) =
        (interrupt.expect(1).create_async().await, delete.expect(1).create_async().await);
    let reply = script.cancel().await;
    assert_eq!((reply.status.as_u16(), reply.json()["status"].clone()), (200, json!("cancelled")));
    interrupt.assert_async().await;
    delete.assert_async().await;
    script.api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_ends_well_just_before_it_is_interrupted_is_completed() {
    let (script, interrupt, delete) = Script::start(&["running", "gone"], ended("success", &json!([]))).await;
    let (interrupt, delete) =
        (interrupt.expect(1).create_async().await, delete.expect(0).create_async().await);
    let reply = script.cancel().await;
    assert_eq!(reply.status, 409);
    assert_eq!(reply.detail(), "the job is over: completed");
    assert_eq!(status(&script.api, "p").await["status"], "completed");
    interrupt.assert_async().await;
    delete.assert_async().await;
    script.api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_ends_before_comfyui_receives_a_request_has_the_status_of_its_history() {
    for (history, truth) in [
        (ended("success", &json!([])), "completed"),
        (ended("error", &json!([["execution_error", {"prompt_id": "p", "exception_type": "E"}]])), "error"),
    ] {
        let (script, interrupt, delete) = Script::start(&["gone"], history).await;
        let (interrupt, delete) =
            (interrupt.expect(0).create_async().await, delete.expect(0).create_async().await);
        let reply = script.cancel().await;
        assert_eq!((reply.status.as_u16(), reply.detail()), (409, format!("the job is over: {truth}")));
        interrupt.assert_async().await;
        delete.assert_async().await;
        script.api.stop().await;
    }
}

#[actix_rt::test]
async fn a_job_that_was_taken_out_of_the_queue_is_cancelled_although_messages_may_have_been_missed() {
    // There is no WebSocket, so no message is received.
    let (script, interrupt, delete) = Script::start(&["pending", "gone"], Value::Null).await;
    let (interrupt, delete) =
        (interrupt.expect(0).create_async().await, delete.expect(1).create_async().await);
    let reply = script.cancel().await;
    assert_eq!((reply.status.as_u16(), reply.json()["status"].clone()), (200, json!("cancelled")));
    interrupt.assert_async().await;
    delete.assert_async().await;
    script.api.stop().await;
}

#[actix_rt::test]
async fn that_a_job_is_to_stop_is_written_down_before_comfyui_hears_of_it() {
    let mut comfyui = mockito::Server::new_async().await;
    let accepted = json!({"prompt_id": "p", "number": 1, "node_errors": {}});
    comfyui.mock("POST", "/prompt").with_body(accepted.to_string()).create_async().await;
    let state = tempfile::tempdir().unwrap();
    let store = Sqlite::open(state.path()).unwrap();
    let (at_hand, written) = (store.clone(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&written);
    comfyui
        .mock("GET", "/queue")
        .with_body_from_request(move |_| {
            let record = futures::executor::block_on(at_hand.get("p")).unwrap().unwrap();
            seen.fetch_add(usize::from(record.summary.outcome.cancel_asked), Ordering::Relaxed);
            EMPTY.into()
        })
        .create_async()
        .await;
    comfyui.mock("GET", "/history/p").with_body("{}").create_async().await;
    let shelf = Shelf::new();
    shelf.put("only", "id: only\nname: Only\n", &json!({"1": {"class_type": "SaveImage", "inputs": {}}}));
    let mut settings = settings(&comfyui.url());
    settings.store = Arc::new(store);
    // Only the cancellation requests the queue.
    settings.jobs.silence = Duration::from_secs(3600);
    let api = Api::start_with(&settings, shelf.path());
    assert_eq!(api.post("/api/run/only/execute", Form::new()).await.status, 200);
    assert_eq!(cancel(&api, "p").await.json()["status"], "cancelled");
    assert_eq!(written.load(Ordering::Relaxed), 1);
    api.stop().await;
}

#[actix_rt::test]
async fn a_node_that_does_not_let_go_leaves_the_job_running_and_the_answer_says_so() {
    let (script, interrupt, _delete) = Script::start(&["running"], Value::Null).await;
    let interrupt = interrupt.expect(1).create_async().await;
    let reply = script.cancel().await;
    assert_eq!(reply.status, 202);
    assert_eq!(reply.json(), json!({"prompt_id": "p", "status": "running"}));
    interrupt.assert_async().await;
    script.api.stop().await;
}

#[actix_rt::test]
async fn a_comfyui_that_cannot_be_told_is_500_and_the_job_goes_on() {
    let (script, _interrupt, _delete) = Script::start(&["running"], Value::Null).await;
    let reply = script.cancel().await;
    // mockito answers 501 to unexpected requests.
    assert_eq!(reply.status, 500);
    assert!(reply.detail().contains("POST /interrupt"), "{}", reply.detail());
    script.api.stop().await;
}
