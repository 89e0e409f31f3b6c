//! What a job teaches of the time that the next ones take, through the API and across a restart.

mod support;

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_store::{Sqlite, Store as _};
use serde_json::{Value, json};
use support::{Api, Form, fixtures, settings, simulator};

async fn start(api: &Api, steps: u32, delay_ms: u32, seed: u64) -> String {
    let params = json!({"steps": steps, "delay_ms": delay_ms, "seed": seed, "preview": false});
    api.execute("test-progress", params).await["prompt_id"].as_str().unwrap().to_owned()
}

async fn cancel(api: &Api, prompt_id: &str) {
    assert_eq!(api.post(&format!("/api/run/cancel/{prompt_id}"), Form::new()).await.status, 200);
}

/// What a job of 400 steps says before it has made one: each takes a minute, so that there is time to look.
async fn first_moment(api: &Api, seed: u64) -> Value {
    let prompt_id = start(api, 400, 60_000, seed).await;
    let first = api.wait_until(&prompt_id, |status| status["status"] == "running").await;
    assert!(first["step"].as_u64() < Some(1), "nothing was measured yet: {first}");
    cancel(api, &prompt_id).await;
    first
}

#[actix_rt::test]
async fn the_second_job_of_a_workflow_knows_from_its_start_how_long_it_takes_even_after_a_restart() {
    let simulator = simulator();
    let state = tempfile::tempdir().unwrap();
    let serve = || {
        let store = Arc::new(Sqlite::open(state.path()).unwrap());
        let mut settings = settings(&simulator.url());
        settings.store = store.clone();
        (Api::start_with(&settings, &fixtures().join("workflows")), store)
    };
    let (api, store) = serve();
    let first = first_moment(&api, 1).await;
    // By all that it has seen yet, nodes take no time.
    assert!(first["eta_seconds"].as_u64() <= Some(0), "{first}");
    // Steps are reported on the WebSocket only: from a job that is submitted before it is open, nothing is learned.
    let connected = start(&api, 10_000, 20, 2).await;
    api.wait_until(&connected, |status| status["step"].as_u64() > Some(1)).await;
    cancel(&api, &connected).await;
    let teacher = start(&api, 4, 250, 3).await;
    assert_eq!(api.wait(&teacher).await["status"], "completed");
    // A hundred times as many steps as took a second, less what it takes us to look.
    let second = first_moment(&api, 4).await;
    assert!(second["eta_seconds"].as_u64() >= Some(50), "{second}");
    while store.durations("test-progress").await.unwrap().is_empty() {
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    api.stop_gracefully().await;
    drop((api, store));

    let (api, _store) = serve();
    let third = first_moment(&api, 5).await;
    assert!(third["eta_seconds"].as_u64() >= Some(50), "{third}");
}
