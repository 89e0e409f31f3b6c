//! A ComfyUI that answers wrongly, too much, too late or not at all: no panic, every job ends, memory stays bounded and
//! other jobs are unaffected.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comfy_runner::server::Settings;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::hostile::{Answer, Ask, Hostile};
use support::{Api, Form, PATIENCE, Reply, Shelf, settings};

/// Settings with which wrong answers have their consequences soon. Time limits are for answers that never come only: no busy
/// machine reaches them.
fn impatient(comfyui: &Hostile) -> Settings {
    let mut settings = settings(&comfyui.url);
    settings.comfyuis[0].depth = 100;
    settings.comfyuis[0].client.timeouts.reply = PATIENCE;
    settings.comfyuis[0].client.socket.backoff_min = Duration::from_millis(5);
    settings.comfyuis[0].client.socket.backoff_max = Duration::from_millis(20);
    settings.jobs.silence = Duration::from_millis(20);
    settings.jobs.unreadable_tries = 4;
    settings.jobs.unreadable_for = Duration::from_millis(100);
    settings
}

fn serve(settings: &Settings) -> (Api, Shelf) {
    let shelf = Shelf::new();
    let graph = json!({"1": {"class_type": "SaveImage", "inputs": {}}});
    shelf.put("only", "id: only\nname: Only\n", &graph);
    (Api::start_with(settings, shelf.path()), shelf)
}

async fn execute(api: &Api) -> Reply {
    api.post("/api/run/only/execute", Form::new()).await
}

async fn submit(api: &Api) -> String {
    let reply = execute(api).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["prompt_id"].as_str().unwrap().to_owned()
}

/// The error with which a job ends.
async fn error_of(api: &Api, prompt_id: &str) -> String {
    let status = api.wait(prompt_id).await;
    assert_eq!(status["status"], "error", "{status}");
    status["error"].as_str().unwrap().to_owned()
}

#[actix_rt::test]
async fn nan_in_messages_history_and_queue_is_read_and_hinders_no_job() {
    for modern in [false, true] {
        let nan = |ask| (ask, vec![Answer::NotANumber; 1000]);
        let comfyui = Hostile::start(modern, [nan(Ask::History), nan(Ask::Queue), nan(Ask::JobState)]).await;
        let (api, _shelf) = serve(&impatient(&comfyui));
        for _ in 0..3 {
            let prompt_id = submit(&api).await;
            assert_eq!(api.wait(&prompt_id).await["status"], "completed");
        }
        assert_eq!(api.get("/ready").await.status, 200);
        api.stop().await;
    }
}

#[actix_rt::test]
async fn an_error_message_with_nan_ends_its_job_with_that_error() {
    let comfyui = Hostile::start(false, []).await;
    comfyui.always(Ask::Socket, Answer::NotANumber);
    // Nothing but the message tells.
    comfyui.always(Ask::History, Answer::Text("{}".to_owned()));
    let mut settings = impatient(&comfyui);
    settings.jobs.silence = Duration::from_secs(3600);
    // Each new connection brings the message again, about the last prompt.
    settings.comfyuis[0].client.socket.ping_every = Duration::from_millis(10);
    settings.comfyuis[0].client.socket.silence_max = Duration::from_millis(50);
    let (api, _shelf) = serve(&settings);
    submit(&api).await;
    let prompt_id = submit(&api).await;
    let error = error_of(&api, &prompt_id).await;
    assert!(error.contains("Save") || error.contains("node"), "{error}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_whose_history_stays_unreadable_ends_and_can_be_cancelled_deleted_and_repeated() {
    for answer in [
        Answer::Text("[1, 2]".to_owned()),
        Answer::Status(404),
        Answer::Status(500),
        Answer::Huge,
        Answer::Flood("[[[[[[[["),
        Answer::Deep,
        Answer::Cut,
        Answer::NoHttp,
    ] {
        let comfyui = Hostile::start(false, []).await;
        comfyui.always(Ask::History, answer.clone());
        let (api, _shelf) = serve(&impatient(&comfyui));
        let (other, prompt_id) = (submit(&api).await, submit(&api).await);
        let error = error_of(&api, &prompt_id).await;
        assert!(error.starts_with("it cannot be found out how the job ended: ComfyUI "), "{error}");
        assert!(!error.contains("127.0.0.1"), "{error}");
        assert_eq!(api.wait(&other).await["status"], "completed", "{answer:?}");
        let cancelled = api.post(&format!("/api/run/cancel/{prompt_id}"), Form::new()).await;
        assert_eq!(cancelled.detail(), "the job is over: error");
        let again = api.post(&format!("/api/jobs/{prompt_id}/retry"), Form::new()).await;
        assert_eq!(again.status, 200, "{}", again.text());
        assert_eq!(api.delete(&format!("/api/jobs/{prompt_id}")).await.status, 204);
        api.stop().await;
    }
}

#[actix_rt::test]
async fn a_job_with_an_unreadable_history_that_is_to_stop_is_cancelled_at_once_also_after_a_restart() {
    let comfyui = Hostile::start(false, []).await;
    comfyui.always(Ask::History, Answer::Status(500));
    let mut settings = impatient(&comfyui);
    settings.jobs.unreadable_for = Duration::from_secs(3600);
    let (before, _shelf) = serve(&settings);
    let (other, first, second) = (submit(&before).await, submit(&before).await, submit(&before).await);
    assert_eq!(before.wait(&other).await["status"], "completed");
    let cancel = async |api: &Api, prompt_id: &str| {
        let reply = api.post(&format!("/api/run/cancel/{prompt_id}"), Form::new()).await;
        assert_eq!((reply.status.as_u16(), reply.json()["status"].clone()), (200, json!("cancelled")));
    };
    cancel(&before, &first).await;
    before.stop().await;
    // It has the same store.
    let (after, _shelf) = serve(&settings);
    cancel(&after, &second).await;
    after.stop().await;
}

#[actix_rt::test]
async fn an_id_of_another_job_is_an_error_of_the_submission_and_leaves_that_job_alone() {
    let comfyui = Hostile::start(false, [(Ask::Submit, vec![Answer::WrongId])]).await;
    let (api, _shelf) = serve(&impatient(&comfyui));
    let first = submit(&api).await;
    let before = api.wait(&first).await;
    let reply = execute(&api).await;
    assert_eq!(reply.status, 500);
    assert!(reply.detail().contains("the id of another job"), "{}", reply.detail());
    assert_eq!(api.wait(&first).await, before);
    let listed = api.get("/api/jobs").await.json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1, "{listed}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_newer_comfyui_is_asked_for_one_job_and_not_for_its_queue() {
    let comfyui = Hostile::start(true, []).await;
    comfyui.always(Ask::Queue, Answer::Status(500));
    comfyui.always(Ask::JobState, Answer::Text(r#"{"status": "in_progress"}"#.to_owned()));
    let (api, _shelf) = serve(&impatient(&comfyui));
    submit(&api).await;
    let prompt_id = submit(&api).await;
    api.wait_until(&prompt_id, |status| status["status"] == "running").await;
    let path = format!("/api/run/cancel/{prompt_id}");
    let cancelling = api.post(&path, Form::new());
    let stopping = async {
        while comfyui.asked(Ask::Cancel) == 0 {
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
        comfyui.always(Ask::JobState, Answer::Text(r#"{"status": "cancelled"}"#.to_owned()));
        comfyui.always(Ask::History, Answer::Text("{}".to_owned()));
    };
    let (reply, ()) = futures::join!(cancelling, stopping);
    assert_eq!((reply.status.as_u16(), reply.json()["status"].clone()), (200, json!("cancelled")));
    assert_eq!(api.get("/ready").await.status, 200);
    assert_eq!(comfyui.asked(Ask::Queue), 0);
    api.stop().await;
}

fn any_answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        2 => Just(Answer::Good),
        2 => prop::sample::select(vec![200, 204, 302, 400, 401, 404, 405, 429, 500, 502, 503]).prop_map(Answer::Status),
        2 => prop::sample::select(vec![
            "", "null", "[]", "{}", "NaN", "\"x\"", "{\"prompt_id\": 7}", "{\"prompt_id\": \"../..\"}",
            "{\"type\": \"executing\", \"data\": {\"node\": null, \"prompt_id\": NaN}}",
            "{\"queue_running\": [], \"queue_pending\": [[1, 2, 3], {}]}", "{\"status\": \"dreaming\"}",
        ]).prop_map(|text| Answer::Text(text.to_owned())),
        2 => Just(Answer::NotANumber),
        1 => Just(Answer::WrongId),
        1 => Just(Answer::Hang),
        1 => Just(Answer::Cut),
        1 => Just(Answer::Longer),
        1 => Just(Answer::Huge),
        1 => prop::sample::select(vec![
            "[", " ", "{\"a\":", "0,", "\"", "{\"queue_pending\":[[1,\"a\"],",
            "{\"type\": \"progress\", \"data\": {\"value\": 1, \"max\": NaN, \"prompt_id\": \"x\"}}",
        ]).prop_map(Answer::Flood),
        1 => Just(Answer::Deep),
        1 => Just(Answer::NoHttp),
    ]
}

fn any_script() -> impl Strategy<Value = Vec<(Ask, Vec<Answer>)>> {
    let answers = || prop::collection::vec(any_answer(), 0..5);
    let asks = [Ask::Submit, Ask::Queue, Ask::History, Ask::JobState, Ask::Cancel, Ask::Ping, Ask::Socket];
    Vec::from(asks.map(|ask| answers().prop_map(move |answers| (ask, answers))))
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The most memory that this process has held since the last call, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    peak.unwrap_or(0_u64) * 1024
}

/// One server, one job that ComfyUI treats well, and some that it does not.
async fn endure(modern: bool, scripts: Vec<(Ask, Vec<Answer>)>) {
    let comfyui = Hostile::start(modern, scripts).await;
    let mut settings = impatient(&comfyui);
    // Some requests are never answered.
    settings.comfyuis[0].client.timeouts.reply = Duration::from_secs(2);
    let (api, _shelf) = serve(&settings);
    let other = submit(&api).await;
    let replies = futures::future::join_all((0..3).map(|_| execute(&api))).await;
    let taken: Vec<Value> = replies.iter().filter(|reply| reply.status == 200).map(Reply::json).collect();
    if let Some(one) = taken.first() {
        let path = format!("/api/run/cancel/{}", one["prompt_id"].as_str().unwrap());
        assert!(matches!(api.post(&path, Form::new()).await.status.as_u16(), 200 | 202 | 409 | 500));
    }
    let listed = api.get("/api/jobs").await.json();
    for job in listed["jobs"].as_array().unwrap() {
        api.wait(job["prompt_id"].as_str().unwrap()).await;
    }
    assert_eq!(api.wait(&other).await["status"], "completed");
    assert_eq!(api.get("/health").await.status, 200);
    while api.get("/ready").await.status != 200 {
        actix_rt::time::sleep(Duration::from_millis(20)).await;
    }
    api.stop().await;
}

#[test]
fn no_sequence_of_bad_answers_stops_the_server_or_a_job() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        hook(panic);
    }));
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let before = peak_memory();
    runner
        .run(&(any::<bool>(), any_script()), |(modern, scripts)| {
            let panics = PANICS.load(Ordering::Relaxed);
            actix_rt::System::new().block_on(endure(modern, scripts));
            prop_assert_eq!(PANICS.load(Ordering::Relaxed), panics);
            Ok(())
        })
        .unwrap();
    let held = peak_memory().saturating_sub(before) >> 20;
    // Some answers at once of 64 MiB, or one of a million values.
    assert!(held < 512, "{held} MiB");
    eprintln!("{cases} cases; at most {held} MiB more than at the start");
}
