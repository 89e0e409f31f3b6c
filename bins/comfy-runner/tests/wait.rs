//! Requests to `execute` that wait for the end of their job.

mod support;

use std::time::Duration;

use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::{Api, Form, Reply, Shelf, caption, settings, simulator};

const EXECUTE: &str = "/api/run/text-to-image/execute";

async fn post(api: &Api, path: &str, prefer: &str, params: Value) -> Reply {
    let request = api.http.post(format!("{}{path}", api.base));
    let request = if prefer.is_empty() { request } else { request.insert_header(("Prefer", prefer)) };
    Reply::from_response(request.send_json(&params).await.unwrap()).await
}

#[actix_rt::test]
async fn one_request_answers_with_the_finished_job() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    for (path, prefer) in [(format!("{EXECUTE}?wait=60"), ""), (EXECUTE.to_owned(), "wait=60")] {
        let reply = post(&api, &path, prefer, json!({"prompt": "a fox", "steps": 2, "seed": 7})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert_eq!(reply.header("preference-applied"), prefer);
        let job = reply.json();
        assert_eq!((&job["status"], &job["percent"]), (&json!("completed"), &json!(100)), "{job}");
        assert_eq!(job["seeds"], json!({"seed": 7}));
        let status = api.wait(job["prompt_id"].as_str().unwrap()).await;
        assert_eq!(job["outputs"], status["outputs"]);
        let file = api.get(job["files"][0]["url"].as_str().unwrap()).await;
        assert_eq!(file.header("content-type"), "image/png");
    }
    api.stop().await;
}

#[actix_rt::test]
async fn texts_that_nodes_report_are_in_the_answer() {
    let (simulator, shelf) = (simulator(), Shelf::new());
    shelf.put("caption", "id: caption\n", &caption("a fox\nin the snow"));
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let job = post(&api, "/api/run/caption/execute?wait=60", "", json!({})).await.json();
    assert_eq!((&job["status"], &job["files"]), (&json!("completed"), &json!([])), "{job}");
    let text = json!([{"node_id": "2", "node_title": "Caption", "node_type": "RunnerTestText",
        "text": "a fox\nin the snow"}]);
    assert_eq!(job["texts"], text);
    api.stop().await;
}

#[actix_rt::test]
async fn one_request_answers_with_the_result_itself() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let path = format!("{EXECUTE}?wait=60&result=1");
    let reply = post(&api, &path, "", json!({"prompt": "a fox", "steps": 2})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(image::load_from_memory(&reply.body).is_ok());
    let again = api.get(reply.header("content-location")).await;
    assert!(again.body == reply.body, "another file");
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_is_over_before_the_wait_begins_is_answered_at_once() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let form = || Form::new().params(json!({"prompt": "a fox"}));
    let job = api.post_with_key(EXECUTE, "the-same", form()).await.json();
    assert_eq!(api.wait(job["prompt_id"].as_str().unwrap()).await["status"], "completed");
    let reply = api.post_with_key(&format!("{EXECUTE}?wait=3600"), "the-same", form()).await;
    assert_eq!(
        (&reply.json()["prompt_id"], &reply.json()["status"]),
        (&job["prompt_id"], &json!("completed"))
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_is_not_over_in_time_is_202_and_goes_on() {
    let simulator = Simulator::builder().step_delay(Duration::from_secs(3600)).start().unwrap();
    let api = Api::start(&simulator.url());
    for path in [format!("{EXECUTE}?wait=1"), format!("{EXECUTE}?wait=1&result=1")] {
        let reply = post(&api, &path, "", json!({"prompt": "a fox"})).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        let job = reply.json();
        assert!(matches!(job["status"].as_str(), Some("pending" | "running")), "{job}");
        assert_eq!(job.get("files"), None);
        assert_eq!(api.get(reply.header("location")).await.status, 200);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_server_that_stops_answers_those_who_wait() {
    let simulator = Simulator::builder().step_delay(Duration::from_secs(3600)).start().unwrap();
    let api = Api::start(&simulator.url());
    let path = format!("{EXECUTE}?wait=3600");
    let waiting = post(&api, &path, "", json!({"prompt": "a fox"}));
    let stop = async {
        loop {
            let queue = api.get("/api/queue").await.json();
            if queue["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty()) {
                break;
            }
            actix_rt::time::sleep(Duration::from_millis(5)).await;
        }
        api.stop_gracefully().await;
    };
    let (reply, ()) = futures::join!(waiting, stop);
    assert_eq!(reply.status, 202, "{}", reply.text());
}

#[actix_rt::test]
async fn a_job_that_fails_is_told_with_its_status_or_as_an_error_of_the_result() {
    let simulator = simulator();
    let shelf = Shelf::new();
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestFail", "inputs": {"image": ["1", 0], "message": "it broke"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    shelf.put("failing", "id: failing\nname: Failing\n", &graph);
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let reply = post(&api, "/api/run/failing/execute?wait=60", "", json!({})).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (200, &json!("error")), "{}", reply.text());
    assert!(reply.json()["error"].as_str().unwrap().contains("it broke"));
    let reply = post(&api, "/api/run/failing/execute?wait=60&result=1", "", json!({})).await;
    assert_eq!(reply.status, 500);
    assert!(reply.detail().contains("it broke"), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn a_wait_that_cannot_be_is_refused_before_anything_is_submitted() {
    let api = Api::start("http://127.0.0.1:9");
    for query in ["wait=0", "wait=x", "result=1"] {
        let reply = post(&api, &format!("{EXECUTE}?{query}"), "", json!({"prompt": "a fox"})).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
    }
    api.stop().await;
}
