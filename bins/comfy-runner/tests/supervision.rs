//! Tasks that follow jobs and fail: started again, or the end of the server, and known to `/ready` meanwhile.

mod support;

use std::sync::Arc;

use comfy_runner::server::{ServeError, Server};
use comfy_runner_store::Store as _;
use comfy_runner_workflow::Workflows;
use serde_json::json;
use support::faulty_store::FaultyStore;
use support::{Api, fixtures, settings, simulator};

#[actix_rt::test]
async fn a_task_that_panics_is_started_again_and_readiness_says_so_meanwhile() {
    let simulator = simulator();
    let store = FaultyStore::panicking(1);
    let mut settings = settings(&simulator.url());
    settings.store = Arc::clone(&store) as _;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    assert_eq!(api.get("/ready").await.status, 200);
    let job = api.execute("test-progress", json!({"steps": 2, "delay_ms": 0, "seed": 1})).await;
    let prompt_id = job["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    let ready = loop {
        let ready = api.get("/ready").await;
        if ready.status == 503 {
            break ready;
        }
    };
    assert_eq!(
        ready.detail(),
        "the task that writes what became of jobs has failed and is being started again"
    );
    while api.get("/ready").await.status != 200 {
        actix_rt::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let record = store.get(prompt_id).await.unwrap().unwrap();
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
