//! Tasks that follow jobs and fail: started again, or the end of the server, and known to `/ready` meanwhile.

mod support;

use std::sync::Arc;
use std::time::Duration;

use comfy_runner::server::{ServeError, Server};
use comfy_runner_store::Store as _;
use comfy_runner_workflow::Workflows;
use serde_json::json;
use support::faulty_store::FaultyStore;
use support::{Api, fixtures, settings, simulator, until};

#[actix_rt::test]
async fn a_task_that_panics_is_started_again_and_readiness_says_so_meanwhile() {
    let simulator = simulator();
    let store = FaultyStore::panicking(1);
    let mut settings = settings(&simulator.url());
    settings.store = Arc::clone(&store) as _;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    assert_eq!(api.get("/ready").await.status, 200);
    let mut seed = 0;
    let (prompt_id, ready) = 'failed: loop {
        seed += 1;
        let prompt_id = api.submit("test-progress", json!({"steps": 2, "delay_ms": 0, "seed": seed})).await;
        assert_eq!(api.wait(&prompt_id).await["status"], "completed");
        until("the panics to come", async || store.panics(), |panics| *panics == 0).await;
        // The task is reported for seconds. A machine that stood still for so long sees it with the next job.
        for _ in 0..10 {
            let ready = api.get("/ready").await;
            if ready.status == 503 {
                break 'failed (prompt_id, ready);
            }
            actix_rt::time::sleep(Duration::from_millis(20)).await;
        }
        store.panic_again();
    };
    assert_eq!(
        ready.detail(),
        "the task that writes what became of jobs has failed and is being started again"
    );
    until("/ready", async || api.get("/ready").await.status, |status| *status == 200).await;
    let record = store.get(&prompt_id).await.unwrap().unwrap();
    assert_eq!(
        record.summary.outcome.status.as_str(),
        "completed",
        "the task that was started again wrote it"
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_task_that_panics_again_and_again_ends_the_server_with_an_error() {
    let simulator = simulator();
    let mut settings = settings(&simulator.url());
    settings.store = FaultyStore::panicking(6);
    let workflows = Arc::new(Workflows::open(fixtures().join("workflows")).unwrap());
    let server = Server::bind(&settings, workflows).unwrap();
    let base = format!("http://{}", server.address());
    let running = actix_rt::spawn(server.run());
    let form = support::Form::new().params(json!({"steps": 1, "delay_ms": 0, "seed": 1}));
    let request = awc::Client::new().post(format!("{base}/api/run/test-progress/execute"));
    let reply = request.content_type(form.content_type()).send_body(form.body()).await.unwrap();
    assert_eq!(reply.status(), 200);
    let Err(ServeError::Follow(error)) = running.await.unwrap() else { panic!("it ended well") };
    assert_eq!(error.task, "writes what became of jobs");
}
