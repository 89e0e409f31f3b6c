//! The queue, the cache, the sockets and what goes wrong with them.

mod comfy;

use std::time::Duration;

use comfy::{Comfy, Heard, simulator, steps, text_to_image};
use comfy_runner_protocol::{BinaryFrame, Message};
use serde_json::{Value, json};

fn kinds(heard: &[Heard]) -> Vec<&str> {
    heard.iter().map(Heard::kind).collect()
}

#[actix_rt::test]
async fn a_text_to_image_graph_runs_with_previews_and_every_message_is_one_that_clients_know() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &json!({"supports_preview_metadata": true})).await;
    // A prompt could overtake the greeting, as it comes by another connection.
    let greeting = socket.until(|heard| heard.kind() == "feature_flags").await;
    assert_eq!(kinds(&greeting), ["status", "feature_flags"]);
    let id = comfy.submit(&text_to_image("a fox", 7), "c").await;
    let heard = socket.until_end().await;
    let mut previews = 0;
    for heard in &heard {
        match heard {
            Heard::Text(text) | Heard::Loose(text, _) => {
                let message = Message::parse(&text.to_string()).unwrap();
                assert!(!matches!(message, Message::Unknown { .. }), "{text}");
            }
            Heard::Binary(bytes) => {
                let BinaryFrame::Preview(preview) = BinaryFrame::parse(bytes).unwrap() else { panic!() };
                let metadata = preview.metadata.unwrap();
                assert_eq!((metadata.node_id.as_str(), &metadata.prompt_id), ("3", &id));
                assert!(image::load_from_memory(preview.image).is_ok());
                previews += 1;
            }
        }
    }
    assert_eq!(previews, 4);
    let ended = comfy.ended(&id).await;
    assert_eq!(ended["outputs"]["9"]["images"][0]["filename"], "ComfyUI_00001_.png");
    assert_eq!(simulator.executed_prompts(), 1);
}

#[actix_rt::test]
async fn what_ran_before_is_cached_until_another_prompt_comes() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let cached = |ended: &Value| ended["status"]["messages"][1][1]["nodes"].clone();
    assert_eq!(cached(&comfy.run(&steps(2, 0, 1)).await), json!([]));
    assert_eq!(cached(&comfy.run(&steps(2, 0, 1)).await), json!(["1", "2", "3", "4"]));
    assert_eq!(cached(&comfy.run(&steps(2, 0, 2)).await), json!(["1", "2"]));
    comfy.run(&text_to_image("a cat", 1)).await;
    assert_eq!(cached(&comfy.run(&steps(2, 0, 2)).await), json!([]));
}

#[actix_rt::test]
async fn a_model_is_loaded_when_it_is_not_in_memory_and_freed_on_request() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let sampled = async |seed: u64, checkpoint: &str| {
        let mut graph = text_to_image("a fox", seed);
        graph["4"]["inputs"]["ckpt_name"] = json!(checkpoint);
        assert_eq!(comfy.run(&graph).await["status"]["status_str"], "success");
        let stats = comfy.get("/system_stats").await.json();
        (stats["system"]["simulator_model_loads"].clone(), stats["system"]["simulator_loaded_models"].clone())
    };
    let (first, second) = ("v1-5-pruned-emaonly-fp16.safetensors", "sd_xl_base_1.0.safetensors");
    assert_eq!(sampled(1, first).await, (json!(1), json!([first])));
    assert_eq!(sampled(2, first).await, (json!(1), json!([first])));
    assert_eq!(sampled(3, second).await, (json!(2), json!([second])));
    comfy.post("/free", &json!({"unload_models": true, "free_memory": true})).await;
    assert_eq!(sampled(4, second).await, (json!(3), json!([second])));
}

#[actix_rt::test]
async fn an_interrupted_prompt_ends_as_an_error_and_the_next_one_runs() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    let long = comfy.submit(&steps(10_000, 5, 1), "c").await;
    let next = comfy.submit(&steps(1, 0, 2), "c").await;
    socket.until(|heard| heard.kind() == "progress").await;
    // The id of a prompt that does not run stops nothing.
    comfy.post("/interrupt", &json!({"prompt_id": next})).await;
    comfy.post("/interrupt", &json!({"prompt_id": long})).await;
    let heard = socket.until_end().await;
    assert!(kinds(&heard).contains(&"execution_interrupted"));
    assert_eq!(comfy.ended(&long).await["status"]["status_str"], "error");
    assert_eq!(comfy.ended(&next).await["status"]["status_str"], "success");
}

#[actix_rt::test]
async fn an_interrupt_without_an_id_stops_whatever_runs() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    let id = comfy.submit(&steps(10_000, 5, 1), "c").await;
    socket.until(|heard| heard.kind() == "progress").await;
    assert_eq!(comfy.send("POST", "/api/interrupt", &[], Vec::new()).await.status, 200);
    assert_eq!(comfy.ended(&id).await["status"]["completed"], false);
}

#[actix_rt::test]
async fn a_pending_prompt_can_be_deleted_and_front_goes_first() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    let running = comfy.submit(&steps(10_000, 5, 1), "c").await;
    socket.until(|heard| heard.kind() == "progress").await;
    let deleted = comfy.submit(&steps(1, 0, 2), "c").await;
    let mine = "1c7dd2b6-6a0c-4d3c-9d0a-3f7b1f2a9c01";
    let body = json!({"prompt": steps(1, 0, 3), "client_id": "c", "front": true, "prompt_id": mine});
    let answer = comfy.post("/prompt", &body).await.json();
    assert_eq!(answer["prompt_id"], mine);
    assert!(answer["number"].as_i64().unwrap() < 0);
    let queue = comfy.get("/queue").await.json();
    assert_eq!(queue["queue_running"][0][1], json!(running));
    assert_eq!(queue["queue_pending"][0][1], mine);
    assert_eq!(queue["queue_pending"][1][1], json!(deleted));
    comfy.post("/queue", &json!({"delete": [deleted]})).await;
    comfy.post("/interrupt", &json!({})).await;
    comfy.ended(mine).await;
    assert_eq!(comfy.get("/prompt").await.json()["exec_info"]["queue_remaining"], 0);
    assert_eq!(comfy.get(&format!("/history/{deleted}")).await.json(), json!({}));
}

#[actix_rt::test]
async fn the_history_can_be_read_in_parts_and_cleared() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut ids = Vec::new();
    for seed in 0..3 {
        let id = comfy.submit(&steps(1, 0, seed), "c").await;
        comfy.ended(&id).await;
        ids.push(id);
    }
    let keys = |history: Value| history.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(comfy.get("/history").await.json()), ids);
    assert_eq!(keys(comfy.get("/history?max_items=1").await.json()), ids[2..]);
    assert_eq!(keys(comfy.get("/history?max_items=1&offset=1").await.json()), ids[1..2]);
    comfy.post("/history", &json!({"delete": [ids[0]]})).await;
    assert_eq!(keys(comfy.get("/history").await.json()), ids[1..]);
    comfy.post("/history", &json!({"clear": true})).await;
    assert_eq!(comfy.get("/history").await.json(), json!({}));
}

#[actix_rt::test]
async fn a_second_socket_of_a_client_replaces_the_first_and_receives_what_runs() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut first = comfy.socket("c", &Value::Null).await;
    let id = comfy.submit(&steps(10_000, 5, 1), "c").await;
    first.until(|heard| heard.kind() == "progress").await;
    let mut second = comfy.socket("c", &Value::Null).await;
    let heard = second.until(|heard| heard.kind() == "executing").await;
    assert_eq!(heard.last().unwrap().data(), &json!({"node": "3"}));
    assert_eq!(simulator.open_sockets(), 2);
    comfy.post("/interrupt", &json!({"prompt_id": id})).await;
    let heard = second.until_end().await;
    assert!(kinds(&heard).contains(&"execution_interrupted"));
}

#[actix_rt::test]
async fn sockets_can_be_cut_and_a_client_that_returns_hears_the_rest() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    let id = comfy.submit(&steps(10_000, 5, 1), "c").await;
    socket.until(|heard| heard.kind() == "progress").await;
    simulator.drop_sockets();
    while socket.next().await.is_some() {}
    let mut socket = comfy.socket("c", &Value::Null).await;
    comfy.post("/interrupt", &json!({"prompt_id": id})).await;
    socket.until(|heard| heard.kind() == "execution_interrupted").await;
}

#[actix_rt::test]
async fn after_a_reset_a_simulator_is_as_at_its_start() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    comfy.run(&steps(1, 0, 1)).await;
    let running = comfy.submit(&steps(10_000, 5, 2), "c").await;
    socket.until(|heard| heard.kind() == "progress").await;
    let waiting = comfy.submit(&steps(1, 0, 3), "c").await;
    simulator.forget();
    assert_eq!(comfy.get("/queue").await.json(), json!({"queue_running": [], "queue_pending": []}));
    assert_eq!(comfy.get("/history").await.json(), json!({}));
    let ended = comfy.run(&steps(1, 0, 1)).await;
    assert_eq!(ended["prompt"][0], 0, "it counts from the start");
    assert_eq!(ended["status"]["messages"][1][1]["nodes"], json!([]), "nothing is cached");
    simulator.forget();
    let ended = comfy.run(&steps(1, 0, 1)).await;
    assert_eq!(ended["status"]["messages"][1][1]["nodes"], json!([]), "nor when it was idle");
    for forgotten in [running, waiting] {
        assert_eq!(comfy.get(&format!("/history/{forgotten}")).await.json(), json!({}));
    }
}

#[actix_rt::test]
async fn a_slow_prompt_ends_at_once_when_pauses_are_skipped_and_so_does_the_next_one() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    let first = comfy.submit(&steps(3, 60_000, 1), "c").await;
    socket.until(|heard| heard.kind() == "executing" && heard.data()["node"] == "3").await;
    simulator.skip_pauses();
    assert_eq!(comfy.ended(&first).await["status"]["status_str"], "success");
    comfy.run(&steps(3, 60_000, 2)).await;
}

#[actix_rt::test]
async fn a_prompt_goes_on_when_pauses_are_no_longer_held() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    simulator.hold_pauses();
    let held = comfy.submit(&steps(3, 1, 1), "c").await;
    socket.until(|heard| heard.kind() == "executing" && heard.data()["node"] == "3").await;
    let queue = comfy.get("/queue").await.json();
    assert_eq!(queue["queue_running"][0][1], json!(held));
    simulator.resume_pauses();
    assert_eq!(comfy.ended(&held).await["status"]["status_str"], "success");
}

#[actix_rt::test]
async fn a_prompt_without_a_client_runs_and_a_body_that_is_no_prompt_is_refused() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let answer = comfy.post("/api/prompt", &json!({"prompt": steps(1, 0, 1)})).await.json();
    comfy.ended(answer["prompt_id"].as_str().unwrap()).await;
    let refused = comfy.post("/prompt", &json!({})).await;
    assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (400, Some("no_prompt")));
    assert_eq!(comfy.send("POST", "/prompt", &[], b"{".to_vec()).await.status, 500);
}

#[actix_rt::test]
async fn a_model_that_is_not_there_is_refused_by_name() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut graph = text_to_image("a fox", 1);
    graph["4"]["inputs"]["ckpt_name"] = json!("nobody_has_this.safetensors");
    let answer = comfy.post("/prompt", &json!({"prompt": graph})).await;
    assert_eq!(answer.status, 400);
    let details = answer.json()["node_errors"]["4"]["errors"][0]["details"].as_str().unwrap().to_owned();
    assert!(details.starts_with("ckpt_name: 'nobody_has_this.safetensors' not in ['"), "{details}");
}

#[actix_rt::test]
async fn it_calls_itself_a_simulator() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let answer = comfy.get("/system_stats").await;
    assert!(answer.header("server").starts_with("comfy-runner-simulator/"));
    assert_eq!(answer.json()["system"]["comfyui_version"], "0.33.0");
    assert!(answer.json()["system"]["simulator"].is_string());
    assert_eq!(answer.json()["devices"][0]["name"], "simulator");
    assert_eq!(comfy.get("/api/features").await.json()["supports_preview_metadata"], true);
    let info = comfy.get("/object_info/LoadImage").await.json();
    assert_eq!(info["LoadImage"]["input"]["required"]["image"][0], json!(["example.png"]));
    assert!(comfy.get("/object_info").await.json().as_object().unwrap().len() > 40);
    assert_eq!(comfy.get("/models/no_such_folder").await.status, 404);
}

#[actix_rt::test]
async fn it_stops_at_once_even_in_the_middle_of_a_prompt_with_a_socket_open() {
    let simulator = simulator();
    let comfy = Comfy::at(simulator.url());
    let mut socket = comfy.socket("c", &Value::Null).await;
    comfy.submit(&steps(10_000, 60_000, 1), "c").await;
    socket.until(|heard| heard.kind() == "executing").await;
    let folder = simulator.data_dir();
    let (stopped, stop) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        simulator.stop();
        let _ = stopped.send(());
    });
    stop.recv_timeout(Duration::from_secs(30)).expect("it does not stop");
    assert!(!folder.exists(), "the temporary folder is left behind");
}
