//! What callers see when ComfyUI refuses, breaks, restarts or lies, and when we restart.

mod support;

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use comfy_runner_simulator::Simulator;
use mockito::Matcher;
use serde_json::{Value, json};
use support::hostile::{Answer, Ask, Hostile};
use support::{Api, Form, Reply, Shelf, eventually, fixtures, png, settings, simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn recorded_refusals() -> Vec<Value> {
    let recording = std::fs::read(fixtures().join("recordings/0.33.0/validation_errors.json")).unwrap();
    let recording: Value = serde_json::from_slice(&recording).unwrap();
    recording["prompts"].as_array().unwrap().clone()
}

/// A server with one workflow, `only`, without inputs.
fn serve(comfyui: &str, graph: &Value) -> (Api, Shelf) {
    let shelf = Shelf::new();
    shelf.put("only", "id: only\nname: Only\n", graph);
    (Api::start_with(&settings(comfyui), shelf.path()), shelf)
}

async fn execute(api: &Api, workflow: &str) -> Reply {
    api.post(&format!("/api/run/{workflow}/execute"), Form::new()).await
}

/// Node errors with those of each node in one order: ComfyUI itself goes through a node's inputs in any.
fn in_order(mut node_errors: Value) -> Value {
    for problem in node_errors.as_object_mut().unwrap().values_mut() {
        problem["errors"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    }
    node_errors
}

/// Starts a job that runs until it is stopped.
async fn endless(api: &Api, seed: u64) -> String {
    let job = api.execute("test-progress", json!({"steps": 10000, "delay_ms": 20, "seed": seed})).await;
    job["prompt_id"].as_str().unwrap().to_owned()
}

/// Starts a job that runs for longer than any test looks at it, until the pauses of the simulator are skipped.
async fn slow(api: &Api, seed: u64) -> String {
    let params = json!({"steps": 300, "delay_ms": 100, "seed": seed, "preview": false});
    api.submit("test-progress", params).await
}

async fn running(api: &Api, prompt_id: &str) {
    api.wait_until(prompt_id, |status| status["step"].as_u64() > Some(1)).await;
}

/// Posts to ComfyUI itself, behind our server's back.
async fn behind_our_back(api: &Api, simulator: &Simulator, path: &str, body: Value) {
    let reply = api.http.post(format!("{}{path}", simulator.url())).send_json(&body).await.unwrap();
    assert_eq!(reply.status(), 200);
}

#[actix_rt::test]
async fn a_comfyui_that_cannot_be_reached_is_500_with_its_address() {
    let api = Api::start("http://127.0.0.1:9");
    let reply = api.post("/api/run/text-to-image/execute", Form::new()).await;
    assert_eq!(reply.status, 500);
    let detail = reply.detail();
    assert!(detail.contains("ComfyUI at 127.0.0.1:9 cannot be reached: connection refused"), "{detail}");
    let status = api.get("/api/run/status/abc").await;
    assert_eq!(status.status, 500);
    assert!(status.detail().contains("127.0.0.1:9"), "{}", status.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn a_graph_that_comfyui_refuses_is_400_in_its_own_words_and_with_titles() {
    let simulator = simulator();
    let shelf = Shelf::new();
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let mut refused = 0;
    for (case, recorded) in recorded_refusals().iter().enumerate().filter(|(_, case)| case["status"] == 400) {
        let graph = &recorded["request"];
        shelf.put("only", "id: only\nname: Only\n", graph);
        let reply = execute(&api, "only").await;
        if matches!(case, 4 | 8 | 9) {
            // Dangling links, no nodes, a node without type: seen when the workflow is read, before anybody runs it.
            assert_eq!(reply.status, 500, "case {case}: {}", reply.text());
            assert!(reply.detail().contains("workflow.json"), "{}", reply.detail());
            continue;
        }
        refused += 1;
        assert_eq!(reply.status, 400, "case {case}: {}", reply.text());
        let expected = &recorded["response"]["node_errors"];
        assert_eq!(in_order(reply.json()["node_errors"].clone()), in_order(expected.clone()), "case {case}");
        let detail = reply.detail();
        assert!(detail.starts_with("ComfyUI refuses the workflow: "), "{detail}");
        for (id, problem) in expected.as_object().unwrap() {
            let node = &graph[id];
            let title = node["_meta"]["title"].as_str().or(node["class_type"].as_str()).unwrap();
            assert!(detail.contains(&format!("\"{title}\"")), "case {case}: {title} is not in: {detail}");
            for error in problem["errors"].as_array().unwrap() {
                let details = error["details"].as_str().unwrap();
                assert!(detail.contains(details), "case {case}: {details} is not in: {detail}");
            }
        }
    }
    assert_eq!(refused, 7);
    api.stop().await;
}

#[actix_rt::test]
async fn no_traceback_of_a_refusal_reaches_the_caller() {
    let recorded = &recorded_refusals()[4];
    assert!(recorded["response"].to_string().contains("traceback"));
    let mut comfyui = mockito::Server::new_async().await;
    comfyui
        .mock("POST", "/prompt")
        .with_status(400)
        .with_body(recorded["response"].to_string())
        .create_async()
        .await;
    let (api, _shelf) = serve(&comfyui.url(), &recorded_refusals()[0]["request"]);
    let reply = execute(&api, "only").await;
    assert_eq!(reply.status, 400);
    assert!(!reply.text().contains("traceback"), "{}", reply.text());
    assert_eq!(
        reply.json()["node_errors"]["4"]["errors"][0]["extra_info"],
        json!({"exception_type": "KeyError"})
    );
    assert!(reply.detail().contains("node \"Save\""), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn a_graph_that_comfyui_takes_in_part_runs_with_a_warning() {
    let simulator = simulator();
    let recorded = &recorded_refusals()[10];
    let mut graph = recorded["request"].clone();
    graph["3"]["inputs"]["steps"] = json!(500);
    graph["3"]["inputs"]["preview"] = json!(false);
    let (api, _shelf) = serve(&simulator.url(), &graph);
    let reply = execute(&api, "only").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let job = reply.json();
    assert_eq!(job["node_errors"], recorded["response"]["node_errors"]);
    let warnings = job["warnings"].as_array().unwrap();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let warning = warning.as_str().unwrap();
    assert!(
        warning.contains("\"ImageScale\"") && warning.contains("not run because of it: \"PreviewImage\""),
        "{warning}"
    );
    let prompt_id = job["prompt_id"].as_str().unwrap();
    let at_work = api.wait_until(prompt_id, |status| status["step"].as_u64() > Some(1)).await;
    assert_eq!((&at_work["total_nodes"], &at_work["effective_total"]), (&json!(6), &json!(4)), "{at_work}");
    simulator.skip_pauses();
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    api.stop().await;
}

#[actix_rt::test]
async fn a_lost_connection_in_the_middle_of_a_job_does_not_lose_the_job() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let prompt_id = &slow(&api, 1).await;
    running(&api, prompt_id).await;
    simulator.drop_sockets();
    eventually("there is a connection again", || simulator.open_sockets() > 0).await;
    simulator.skip_pauses();
    let status = api.wait(prompt_id).await;
    assert_eq!(status["status"], "completed", "{status}");
    assert_eq!(status["outputs"]["image"]["type"], "output");
    assert_eq!(api.get(&format!("/api/run/result/{prompt_id}")).await.status, 200);
    eventually("it is counted", || simulator.executed_prompts() > 0).await;
    assert_eq!(simulator.executed_prompts(), 1);
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_ends_while_the_connection_is_lost_is_known_to_have_ended() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let prompt_id = &slow(&api, 2).await;
    running(&api, prompt_id).await;
    simulator.drop_sockets();
    simulator.skip_pauses();
    while simulator.executed_prompts() == 0 {
        simulator.drop_sockets();
        actix_rt::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(api.wait(prompt_id).await["status"], "completed");
    api.stop().await;
}

#[actix_rt::test]
async fn jobs_that_comfyui_forgets_as_it_restarts_end_as_errors_that_say_so() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (first, second) = (endless(&api, 1).await, endless(&api, 2).await);
    running(&api, &first).await;
    simulator.forget();
    simulator.drop_sockets();
    for prompt_id in [first, second] {
        let status = api.wait(&prompt_id).await;
        assert_eq!(status["status"], "error", "{status}");
        let error = status["error"].as_str().unwrap();
        assert!(
            error.contains("ComfyUI no longer knows this job") && error.contains("run it again"),
            "{error}"
        );
        assert_eq!(api.get(&format!("/api/run/result/{prompt_id}")).await.status, 404);
    }
    // The new ComfyUI takes jobs again.
    let job = api.execute("no-model", json!({})).await;
    assert_eq!(api.wait(job["prompt_id"].as_str().unwrap()).await["status"], "completed");
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_vanishes_without_a_word_does_not_run_for_ever() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let prompt_id = endless(&api, 1).await;
    running(&api, &prompt_id).await;
    simulator.forget();
    let status = api.wait(&prompt_id).await;
    assert_eq!(status["status"], "error", "{status}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_waiting_job_that_somebody_deletes_is_cancelled() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let (first, second) = (endless(&api, 1).await, endless(&api, 2).await);
    running(&api, &first).await;
    behind_our_back(&api, &simulator, "/queue", json!({"delete": [&second]})).await;
    let status = api.wait(&second).await;
    assert_eq!(status["status"], "cancelled");
    let result = api.get(&format!("/api/run/result/{second}")).await;
    assert_eq!(result.status, 404);
    assert!(result.detail().contains("cancelled"), "{}", result.detail());
    running(&api, &first).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_somebody_interrupts_is_cancelled_also_after_our_restart() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let prompt_id = endless(&api, 1).await;
    running(&api, &prompt_id).await;
    behind_our_back(&api, &simulator, "/interrupt", json!({"prompt_id": &prompt_id})).await;
    let status = api.wait(&prompt_id).await;
    assert_eq!(status["status"], "cancelled", "{status}");
    api.stop().await;
    let api = Api::start(&simulator.url());
    assert_eq!(api.wait(&prompt_id).await, status);
    api.stop().await;
}

#[actix_rt::test]
async fn after_our_restart_finished_jobs_are_found_in_the_history_with_their_result() {
    let simulator = simulator();
    let shelf = Shelf::new();
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 2, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "still"}},
        "3": {"class_type": "VHS_VideoCombine", "inputs": {
            "images": ["1", 0], "frame_rate": 8, "loop_count": 0, "filename_prefix": "video", "format": "image/gif",
            "pingpong": false, "save_output": true}},
    });
    shelf.put("free", "id: free\nname: Free\n", &graph);
    shelf.put("still", "id: still\nname: Still\noutputs: [{type: image, node_id: 2}]\n", &graph);
    let failing = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestFail", "inputs": {"image": ["1", 0], "message": "it broke"},
              "_meta": {"title": "Breaks"}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    shelf.put("failing", "id: failing\nname: Failing\n", &failing);
    let settings = settings(&simulator.url());
    let before = Api::start_with(&settings, shelf.path());
    let mut jobs = Vec::new();
    for workflow in ["free", "still", "failing"] {
        let job = before.execute(workflow, json!({})).await;
        let prompt_id = job["prompt_id"].as_str().unwrap().to_owned();
        let status = before.wait(&prompt_id).await;
        let result = before.get(&format!("/api/run/result/{prompt_id}")).await;
        jobs.push((prompt_id, status, result));
    }
    before.stop().await;
    assert!(jobs[0].2.body.starts_with(b"GIF8") && jobs[1].2.body.starts_with(b"\x89PNG"));

    let after = Api::start_with(&settings, shelf.path());
    for (prompt_id, status, result) in jobs {
        assert_eq!(after.get(&format!("/api/run/status/{prompt_id}")).await.json(), status);
        let again = after.get(&format!("/api/run/result/{prompt_id}")).await;
        assert_eq!((again.status, &again.body), (result.status, &result.body));
        assert!(!status.to_string().contains("Traceback"), "{status}");
    }
    let unknown = after.get("/api/run/status/0b9c7f0e-0000-4000-8000-000000000000").await;
    assert_eq!(unknown.status, 404);
    after.stop().await;
}

#[actix_rt::test]
async fn after_our_restart_open_jobs_are_found_in_the_queue_and_end_as_they_should() {
    let simulator = simulator();
    let before = Api::start(&simulator.url());
    let first = &slow(&before, 1).await;
    let job = before.execute("test-progress", json!({"steps": 1, "delay_ms": 0, "seed": 2})).await;
    let second = job["prompt_id"].as_str().unwrap();
    running(&before, first).await;
    before.stop().await;

    let after = Api::start(&simulator.url());
    let status = after.get(&format!("/api/run/status/{first}")).await.json();
    assert_eq!(status["status"], "running", "{status}");
    let status = after.get(&format!("/api/run/status/{second}")).await.json();
    assert_eq!(status["status"], "pending", "{status}");
    assert_eq!(after.get(&format!("/api/run/result/{second}")).await.status, 404);
    simulator.skip_pauses();
    for prompt_id in [first, second] {
        assert_eq!(after.wait(prompt_id).await["status"], "completed");
        assert_eq!(after.get(&format!("/api/run/result/{prompt_id}")).await.status, 200);
    }
    after.stop().await;
}

/// The graph that all tests with a faulty ComfyUI use: it is never run.
fn any_graph() -> Value {
    json!({"1": {"class_type": "SaveImage", "inputs": {}, "_meta": {"title": "Save"}}})
}

const EMPTY_QUEUE: &str = r#"{"queue_running": [], "queue_pending": []}"#;

#[actix_rt::test]
async fn an_answer_to_a_prompt_that_is_none_is_500_and_says_what_came() {
    let cases = [
        (500, "text/plain", "500 Internal Server Error", "with 500"),
        (502, "text/html", "<html><h1>Bad Gateway</h1></html>", "with 502"),
        (413, "text/plain", "too large", "with 413"),
        (200, "text/html", "<html>Welcome</html>", "HTML page where JSON should be"),
        (200, "application/json", "{\"prompt_id\": ", "cannot be read"),
        (200, "application/json", "[]", "cannot be read"),
        (400, "text/html", "<html>Bad Request</html>", "with 400"),
        (302, "text/html", "", "with 302"),
    ];
    for (status, content_type, body, expected) in cases {
        let mut comfyui = mockito::Server::new_async().await;
        let prompt = comfyui
            .mock("POST", "/prompt")
            .with_status(status)
            .with_header("content-type", content_type)
            .with_body(body)
            .expect(1)
            .create_async()
            .await;
        comfyui.mock("GET", "/queue").with_body(EMPTY_QUEUE).create_async().await;
        comfyui.mock("GET", Matcher::Regex("^/history/".into())).with_body("{}").create_async().await;
        let (api, _shelf) = serve(&comfyui.url(), &any_graph());
        let reply = execute(&api, "only").await;
        assert_eq!(reply.status, 500, "{status} {body}: {}", reply.text());
        let detail = reply.detail();
        assert!(detail.contains("POST /prompt") && detail.contains(expected), "{status}: {detail}");
        assert!(!detail.contains("<h"), "{detail}");
        prompt.assert_async().await;
        api.stop().await;
    }
}

#[actix_rt::test]
async fn a_comfyui_that_does_not_answer_is_given_up() {
    // The system accepts connections although the listener accepts none.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let shelf = Shelf::new();
    shelf.put("only", "id: only\nname: Only\n", &any_graph());
    let mut settings = settings(&format!("http://{address}"));
    settings.comfyuis[0].client.timeouts.reply = Duration::from_millis(200);
    settings.comfyuis[0].client.timeouts.idle = Duration::from_millis(200);
    let api = Api::start_with(&settings, shelf.path());
    let upload = Form::new().file("file", "a.png", &png());
    let replies = [
        (execute(&api, "only").await, 500),
        (api.get("/api/run/status/abc").await, 500),
        (api.get("/api/comfyui/view?filename=a.png").await, 504),
        (api.post("/api/run/upload-image", upload).await, 500),
    ];
    for (reply, status) in replies {
        assert_eq!(reply.status, status, "{}", reply.text());
        let detail = reply.detail();
        assert!(detail.contains(&format!("ComfyUI at {address} did not answer")), "{detail}");
        assert!(detail.contains("within 0.2 s"), "{detail}");
    }
    // Anybody may ask for this, so it names no host.
    let ready = api.get("/ready").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.detail(), "ComfyUI did not answer GET /prompt within 0.2 s");
    drop(listener);
    api.stop().await;
}

#[actix_rt::test]
async fn an_older_comfyui_gives_the_job_an_id_of_its_own_and_that_one_counts() {
    let mut comfyui = mockito::Server::new_async().await;
    let accepted = json!({"prompt_id": "theirs-1", "number": 1, "node_errors": {}});
    comfyui.mock("POST", "/prompt").with_body(accepted.to_string()).create_async().await;
    comfyui.mock("GET", "/queue").with_body(EMPTY_QUEUE).create_async().await;
    let entry = json!({"theirs-1": {
        "prompt": [1, "theirs-1", any_graph(), {}, ["1"]],
        "outputs": {"1": {"images": [{"filename": "a.png", "subfolder": "", "type": "output"}]}},
        "status": {"status_str": "success", "completed": true, "messages": []},
    }});
    comfyui.mock("GET", "/history/theirs-1").with_body(entry.to_string()).create_async().await;
    let (api, _shelf) = serve(&comfyui.url(), &any_graph());
    let reply = execute(&api, "only").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["prompt_id"], "theirs-1");
    let status = api.wait("theirs-1").await;
    let file = json!({"filename": "a.png", "subfolder": "", "type": "output"});
    assert_eq!(status, json!({"status": "completed", "outputs": {"image": file}, "percent": 100}));
    api.stop().await;
}

#[actix_rt::test]
async fn a_prompt_that_arrived_counts_although_its_reply_was_lost() {
    let arrived = Arc::new(Mutex::new(None::<String>));
    let mut comfyui = mockito::Server::new_async().await;
    let prompt = comfyui
        .mock("POST", "/prompt")
        .match_request({
            let arrived = Arc::clone(&arrived);
            move |request| {
                let body: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
                *arrived.lock().unwrap() = body["prompt_id"].as_str().map(str::to_owned);
                true
            }
        })
        .with_chunked_body(|writer| {
            writer.write_all(b"{\"prompt_id\": ")?;
            Err(std::io::Error::other("the line is cut"))
        })
        .expect(1)
        .create_async()
        .await;
    comfyui
        .mock("GET", "/queue")
        .with_body_from_request({
            let arrived = Arc::clone(&arrived);
            move |_| {
                let id = arrived.lock().unwrap().clone();
                let item = id.map(|id| json!([0, id, {}, {}, ["1"]]));
                json!({"queue_running": [], "queue_pending": Vec::from_iter(item)}).to_string().into()
            }
        })
        .create_async()
        .await;
    let (api, _shelf) = serve(&comfyui.url(), &any_graph());
    let reply = execute(&api, "only").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let prompt_id = arrived.lock().unwrap().clone().unwrap();
    assert_eq!(reply.json()["prompt_id"], prompt_id);
    let status = api.get(&format!("/api/run/status/{prompt_id}")).await;
    assert_eq!(status.json()["status"], "pending");
    prompt.assert_async().await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_prompt_that_is_refused_or_lost_leaves_no_job_behind() {
    let mut comfyui = mockito::Server::new_async().await;
    let (sender, receiver) = mpsc::channel();
    comfyui
        .mock("POST", "/prompt")
        .match_request(move |request| {
            let body: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            sender.send(body["prompt_id"].as_str().unwrap().to_owned()).is_ok()
        })
        .with_status(500)
        .create_async()
        .await;
    comfyui.mock("GET", "/queue").with_body(EMPTY_QUEUE).create_async().await;
    comfyui.mock("GET", Matcher::Regex("^/history/".into())).with_body("{}").create_async().await;
    let (api, _shelf) = serve(&comfyui.url(), &any_graph());
    assert_eq!(execute(&api, "only").await.status, 500);
    let prompt_id = receiver.recv().unwrap();
    assert_eq!(api.get(&format!("/api/run/status/{prompt_id}")).await.status, 404);
    api.stop().await;
}

#[actix_rt::test]
async fn a_caller_that_leaves_in_the_middle_leaves_no_job_that_waits_for_ever() {
    // It answers the first prompt and not the second, which no history knows.
    let comfyui = Hostile::start(false, [(Ask::Submit, vec![Answer::Hang])]).await;
    comfyui.always(Ask::History, Answer::Text("{}".to_owned()));
    let (api, _shelf) = serve(&comfyui.url, &any_graph());
    let first = execute(&api, "only").await.json();
    api.wait(first["prompt_id"].as_str().unwrap()).await;
    let mut caller = TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.unwrap();
    caller.set_zero_linger().unwrap();
    caller
        .write_all(b"POST /api/run/only/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    eventually("ComfyUI has the prompt", || comfyui.prompts().len() == 2).await;
    drop(caller);
    let status = api.wait(&comfyui.prompts()[1]).await;
    assert_eq!(status["status"], "error", "{status}");
    assert!(status["error"].as_str().unwrap().contains("ComfyUI does not know this job"), "{status}");
    api.stop().await;
}

#[actix_rt::test]
async fn readers_that_are_slow_or_leave_do_not_hurt_others() {
    let simulator = simulator();
    let mut video = png();
    video.resize(32 << 20, 7);
    std::fs::write(simulator.data_dir().join("output/video.mp4"), &video).unwrap();
    let api = Api::start(&simulator.url());
    let request = b"GET /api/comfyui/view?filename=video.mp4&type=output HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.unwrap();
        socket.write_all(request).await.unwrap();
        let mut begin = [0; 12];
        socket.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        readers.push(socket);
    }
    // All of them wait, and the one worker still answers.
    let whole = api.get("/api/comfyui/view?filename=video.mp4&type=output").await;
    assert!(whole.body == video, "another video");
    let job = api.execute("no-model", json!({})).await;
    assert_eq!(api.wait(job["prompt_id"].as_str().unwrap()).await["status"], "completed");
    drop(readers);
    assert_eq!(api.get("/health").await.status, 200);
    assert_eq!(api.get("/api/comfyui/view?filename=video.mp4&type=output").await.body.len(), video.len());
    api.stop().await;
}

#[actix_rt::test]
async fn a_shutdown_lets_the_requests_at_work_end() {
    let mut comfyui = mockito::Server::new_async().await;
    let (begun, has_begun) = mpsc::channel();
    let begun = Mutex::new(begun);
    comfyui
        .mock("POST", "/prompt")
        .with_chunked_body(move |writer| {
            begun.lock().unwrap().send(()).unwrap();
            std::thread::sleep(Duration::from_millis(500));
            writer.write_all(br#"{"prompt_id": "late", "number": 1, "node_errors": {}}"#)
        })
        .create_async()
        .await;
    let (api, _shelf) = serve(&comfyui.url(), &any_graph());
    let api = std::rc::Rc::new(api);
    let request = actix_rt::spawn({
        let api = std::rc::Rc::clone(&api);
        async move { execute(&api, "only").await }
    });
    eventually("ComfyUI has the prompt", || has_begun.try_recv().is_ok()).await;
    api.stop_gracefully().await;
    let reply = request.await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["prompt_id"], "late");
    assert!(TcpStream::connect(api.base.strip_prefix("http://").unwrap()).await.is_err(), "it still listens");
}
