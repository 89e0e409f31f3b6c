//! What a job teaches of the time that the next ones take, through the API and across a restart.

mod support;

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_store::{Sqlite, Store as _};
use serde_json::{Value, json};
use support::{Api, Form, fixtures, settings, simulator};

async fn first_moment(api: &Api, steps: u32, seed: u64) -> Value {
    let params = json!({"steps": steps, "delay_ms": 250, "seed": seed, "preview": false});
    let job = api.execute("test-progress", params).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    let first = api.wait_until(prompt_id, |status| status["status"] == "running").await;
    assert!(first["step"].as_u64() < Some(2), "nobody can have measured anything yet: {first}");
    if steps > 10 {
        assert_eq!(api.post(&format!("/api/run/cancel/{prompt_id}"), Form::new()).await.status, 200);
    }
    api.wait(prompt_id).await;
    first
}

#[actix_rt::test]
async fn the_second_job_of_a_workflow_knows_from_its_start_how_long_it_takes_even_after_a_restart() {
    let simulator = simulator();
    let state = tempfile::tempdir().unwrap();
    let start = || {
        let store = Arc::new(Sqlite::open(state.path()).unwrap());
        let mut settings = settings(&simulator.url());
        settings.store = store.clone();
        (Api::start_with(&settings, &fixtures().join("workflows")), store)
    };
    let (api, store) = start();
    let first = first_moment(&api, 4, 1).await;
    // By all that it has seen yet, nodes take no time.
    assert!(first["eta_seconds"].as_u64() <= Some(0), "{first}");
    // Another number of steps, as many times longer.
    let second = first_moment(&api, 40, 2).await;
    assert!(second["eta_seconds"].as_u64() >= Some(7), "{second}");
    while store.durations("test-progress").await.unwrap().is_empty() {
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
    api.stop_gracefully().await;
    drop((api, store));

    let (api, _store) = start();
    let third = first_moment(&api, 40, 3).await;
    assert!(third["eta_seconds"].as_u64() >= Some(7), "{third}");
}
