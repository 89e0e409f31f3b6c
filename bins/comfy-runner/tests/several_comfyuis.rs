//! Several ComfyUIs behind one server: the queue, placement, failover.

mod support;

use comfy_runner::server::Settings;
use comfy_runner_api::{ComfyUiStatus, ComfyUis};
use comfy_runner_client::Config;
use comfy_runner_jobs::ComfyUi;
use comfy_runner_simulator::Simulator;
use serde_json::{Value, json};
use support::pool::{endless, job};
use support::process::{Caller, Served};
use support::{Api, Form, Shelf, fixtures, png, settings, simulator, uploaded};

fn comfyui(name: &str, simulator: &Simulator) -> ComfyUi {
    ComfyUi::new(name, Config::new(simulator.url().parse().unwrap())).unwrap().with_depth(1)
}

fn with(comfyuis: Vec<ComfyUi>) -> Settings {
    Settings { comfyuis, ..settings("http://127.0.0.1:9") }
}

/// A server of the sample library that is connected to its ComfyUIs.
async fn start(settings: &Settings) -> Api {
    let api = Api::start_with(settings, &fixtures().join("workflows"));
    until(&api, |comfyuis| comfyuis.comfyuis.iter().all(|comfyui| comfyui.status == ComfyUiStatus::Up)).await;
    api
}

async fn comfyuis(api: &Api) -> ComfyUis {
    serde_json::from_value(api.get("/api/comfyui").await.json()).unwrap()
}

/// Waits until the ComfyUIs are like this.
async fn until(api: &Api, is: impl Fn(&ComfyUis) -> bool) -> ComfyUis {
    support::until("the list of ComfyUIs", async || comfyuis(api).await, is).await
}

async fn positions(api: &Api) -> Vec<(String, Option<u64>)> {
    let queue = api.get("/api/queue").await.json();
    let jobs = queue["jobs"].as_array().unwrap();
    jobs.iter().map(|job| (job["prompt_id"].as_str().unwrap().to_owned(), job["position"].as_u64())).collect()
}

#[actix_rt::test]
async fn jobs_are_spread_and_the_rest_waits_here_until_there_is_room() {
    let (one, two) = (simulator(), simulator());
    let api = start(&with(vec![comfyui("one", &one), comfyui("two", &two)])).await;
    let (first, second) =
        (api.submit("test-progress", endless(1)).await, api.submit("test-progress", endless(2)).await);
    let third = api.submit("test-progress", job(2, 0, 3)).await;
    let now = comfyuis(&api).await;
    assert_eq!(now.waiting, 1);
    let jobs: Vec<_> = now.comfyuis.iter().map(|comfyui| comfyui.jobs.clone()).collect();
    assert_eq!(jobs, [[first.clone()], [second.clone()]]);
    assert!(now.comfyuis[0].version.is_some() && !now.comfyuis[0].devices.is_empty());

    let status = api.get(&format!("/api/run/status/{third}")).await.json();
    assert_eq!(status["status"], "pending");
    let record = api.get(&format!("/api/jobs/{third}")).await.json();
    assert_eq!(record["comfyui"], Value::Null);
    let listed = positions(&api).await;
    assert_eq!(listed.last().unwrap(), &(third.clone(), Some(2)));
    api.cancel(&second).await;
    assert_eq!(api.wait(&third).await["status"], "completed");
    assert_eq!(api.get(&format!("/api/jobs/{third}")).await.json()["comfyui"], "two");
    // Its file is on the second ComfyUI only.
    assert_eq!(api.get(&format!("/api/run/result/{third}")).await.status, 200);
    api.cancel(&first).await;
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_is_cancelled_while_it_waits_never_reaches_a_comfyui() {
    let one = simulator();
    let api = start(&with(vec![comfyui("one", &one)])).await;
    let (runs, waits) =
        (api.submit("test-progress", endless(1)).await, api.submit("test-progress", job(2, 0, 2)).await);
    api.cancel(&waits).await;
    assert_eq!(api.get(&format!("/api/run/status/{waits}")).await.json()["status"], "cancelled");
    api.cancel(&runs).await;
    let last = api.submit("test-progress", job(2, 0, 3)).await;
    assert_eq!(api.wait(&last).await["status"], "completed");
    let history = api.http.get(format!("{}/history/{waits}", one.url())).send().await.unwrap().body().await;
    assert_eq!(history.unwrap(), "{}");
    api.stop().await;
}

#[actix_rt::test]
async fn a_higher_priority_goes_first_and_callers_take_turns() {
    let one = simulator();
    let keyed = Settings {
        api_keys: vec!["alice".into(), "bob".into()],
        max_priority: "5".parse().unwrap(),
        ..with(vec![comfyui("one", &one)])
    };
    let api = Api::start_with(&keyed, &fixtures().join("workflows"));
    let submit = async |key: &str, priority: &str, params: Value| {
        let request = api.http.post(format!("{}/api/run/test-progress/execute", api.base));
        let request = request.insert_header(("X-API-Key", key)).insert_header(("X-Priority", priority));
        support::Reply::from_response(request.send_json(&params).await.unwrap()).await
    };
    let id = |reply: support::Reply| {
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["prompt_id"].as_str().unwrap().to_owned()
    };
    let running = id(submit("alice", "0", endless(1)).await);
    let mut batch = Vec::new();
    for seed in 10..13 {
        batch.push(id(submit("alice", "0", job(1, 0, seed)).await));
    }
    let other = id(submit("bob", "0", job(1, 0, 20)).await);
    let urgent = id(submit("alice", "5", job(1, 0, 30)).await);
    let request = api.http.get(format!("{}/api/queue", api.base)).insert_header(("X-API-Key", "bob"));
    let queue = support::Reply::from_response(request.send().await.unwrap()).await.json();
    let order: Vec<_> =
        queue["jobs"].as_array().unwrap().iter().map(|job| job["prompt_id"].clone()).collect();
    let expected = [&running, &urgent, &other, &batch[0], &batch[1], &batch[2]];
    assert_eq!(order, expected.map(|id| json!(id)));
    assert!(queue["jobs"][5]["eta_seconds"].as_f64().unwrap() > 0.0);

    for (priority, says) in [("6", "its limit is 5"), ("11", "from -10 to 10"), ("high", "from -10 to 10")] {
        let reply = submit("alice", priority, job(1, 0, 1)).await;
        assert_eq!(reply.status, 400);
        assert!(reply.detail().contains(says), "{}", reply.detail());
    }
    api.stop().await;
}

#[actix_rt::test]
async fn too_many_waiting_jobs_get_429_with_a_time_to_come_back() {
    let one = simulator();
    let limited = with(vec![comfyui("one", &one)]);
    let jobs = limited.jobs.clone().with_max_waiting(2, 1);
    let api = start(&Settings { jobs, ..limited }).await;
    api.submit("test-progress", endless(1)).await;
    api.submit("test-progress", job(1, 0, 2)).await;
    let reply = api.post("/api/run/test-progress/execute", Form::new().params(job(1, 0, 3))).await;
    assert_eq!(reply.status, 429);
    assert!(reply.detail().contains("limit for one key"), "{}", reply.detail());
    assert!((1..=60).contains(&reply.header("Retry-After").parse::<u64>().unwrap()));
    assert_eq!(comfyuis(&api).await.waiting, 1, "nothing of it is left");
    api.stop().await;
}

/// A workflow whose node no ComfyUI knows.
fn unknown_node() -> Shelf {
    let shelf = Shelf::new();
    let graph = json!({"1": {"class_type": "NoSuchNode", "inputs": {}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}});
    shelf.put("broken", "id: broken\n", &graph);
    let progress = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "RunnerTestProgress",
              "inputs": {"image": ["1", 0], "steps": 10000, "delay_ms": 20, "seed": 0, "preview": false}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    shelf.put("endless", "id: endless\n", &progress);
    shelf.put("tagged", "id: tagged\nrequires_tags: [video]\n", &progress);
    shelf
}

#[actix_rt::test]
async fn a_graph_that_comfyui_would_refuse_is_refused_before_it_waits_and_in_the_same_words() {
    let (one, shelf) = (simulator(), unknown_node());
    let api = Api::start_with(&with(vec![comfyui("one", &one)]), shelf.path());
    let at_once = api.post("/api/run/broken/execute", Form::new()).await;
    assert_eq!(at_once.status, 400);
    api.execute("endless", json!({})).await;
    until(&api, |now| now.comfyuis[0].jobs.len() == 1).await;
    let before_it_waits = api.post("/api/run/broken/execute", Form::new()).await;
    assert_eq!((before_it_waits.status.as_u16(), before_it_waits.json()), (400, at_once.json()));
    assert_eq!(comfyuis(&api).await.waiting, 0);
    api.stop().await;
}

#[actix_rt::test]
async fn an_upload_is_sent_to_each_comfyui_that_runs_a_job_with_it_and_only_then() {
    let (one, two, shelf) = (simulator(), simulator(), unknown_node());
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "RunnerTestProgress",
              "inputs": {"image": ["1", 0], "steps": 10000, "delay_ms": 20, "seed": 0, "preview": false}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}}});
    let manifest = "id: image
inputs:
  - {id: image, type: image, node_id: 1, field: image}
  - {id: seed, type: seed, node_id: 2, field: seed}
";
    shelf.put("image", manifest, &graph);
    let api = Api::start_with(&with(vec![comfyui("one", &one), comfyui("two", &two)]), shelf.path());
    until(&api, |now| now.comfyuis.iter().all(|comfyui| comfyui.status == ComfyUiStatus::Up)).await;
    let name = api.post("/api/run/upload-image", Form::new().file("file", "a.png", &png())).await.json();
    let name = name["filename"].as_str().unwrap().to_owned();
    assert_eq!((uploaded(&one), uploaded(&two)), (vec![], vec![]), "no job needs it yet");
    let mut jobs = Vec::new();
    // The third one waits, and is checked before it does.
    for seed in 1..=3 {
        let job = api.execute("image", json!({"_existing_image": name, "seed": seed})).await;
        jobs.push(job["prompt_id"].as_str().unwrap().to_owned());
        if seed == 1 {
            assert_eq!(uploaded(&one).len() + uploaded(&two).len(), 1, "one ComfyUI has a job");
        }
    }
    assert_eq!((uploaded(&one), uploaded(&two)), (vec![name.clone()], vec![name.clone()]));
    assert_eq!(comfyuis(&api).await.waiting, 1);
    for job in &jobs {
        api.cancel(job).await;
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_workflow_runs_only_where_its_tags_are() {
    let (one, two, shelf) = (simulator(), simulator(), unknown_node());
    let tagged = comfyui("two", &two).with_tags(vec!["video".into()]);
    let api = Api::start_with(&with(vec![comfyui("one", &one), tagged]), shelf.path());
    let prompt_id = api.execute("tagged", json!({})).await["prompt_id"].clone();
    let now = until(&api, |now| now.comfyuis.iter().any(|comfyui| !comfyui.jobs.is_empty())).await;
    assert_eq!(json!(now.comfyuis[1].jobs), json!([prompt_id]));
    api.stop().await;

    let api = Api::start_with(&with(vec![comfyui("one", &one)]), shelf.path());
    let reply = api.post("/api/run/tagged/execute", Form::new()).await;
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.detail(),
        "no ComfyUI has the tags that the workflow requires (video): \"one\" has none"
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_drained_comfyui_ends_what_it_has_and_gets_nothing_until_it_is_resumed() {
    let (one, two) = (simulator(), simulator());
    let api = start(&with(vec![comfyui("one", &one), comfyui("two", &two)])).await;
    let reply = api.post("/api/comfyui/one/drain", Form::new()).await;
    assert_eq!(reply.json(), json!({"name": "one", "draining": true, "jobs": 0}));
    let (first, second) =
        (api.submit("test-progress", endless(1)).await, api.submit("test-progress", job(1, 0, 2)).await);
    let now = comfyuis(&api).await;
    assert_eq!(
        (now.comfyuis[0].jobs.len(), &now.comfyuis[1].jobs, now.waiting),
        (0, &vec![first.clone()], 1)
    );
    assert_eq!(api.post("/api/comfyui/one/resume", Form::new()).await.json()["draining"], false);
    assert_eq!(api.wait(&second).await["status"], "completed");
    api.cancel(&first).await;
    let unknown = api.post("/api/comfyui/three/drain", Form::new()).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.detail()),
        (404, "there is no ComfyUI \"three\"; there are one, two".to_owned())
    );
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_waits_for_a_drained_comfyui_that_answers_and_is_500_for_one_that_does_not() {
    let only = simulator();
    let api = start(&with(vec![comfyui("only", &only)])).await;
    api.post("/api/comfyui/only/drain", Form::new()).await;
    api.submit("test-progress", job(1, 0, 1)).await;
    assert_eq!(comfyuis(&api).await.waiting, 1);
    only.stop();
    until(&api, |now| now.comfyuis[0].status == ComfyUiStatus::Down).await;
    let refused = api.post("/api/run/test-progress/execute", Form::new().params(job(1, 0, 2))).await;
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert_eq!(comfyuis(&api).await.waiting, 1);
    api.stop().await;
}

#[actix_rt::test]
async fn comfyuis_are_added_changed_and_removed_in_the_configuration_file_without_a_restart() {
    let (one, two) = (simulator(), simulator());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("comfy-runner.toml");
    let table = |name: &str, simulator: &Simulator, depth: usize| {
        format!("[[comfyui]]\nname = '{name}'\nurl = '{}'\ndepth = {depth}\n", simulator.url())
    };
    std::fs::write(&file, table("one", &one, 1)).unwrap();
    let server = Served::start_with_config(&file, &folder.path().join("state"));
    let caller = Caller::new();
    let get = async |path: &str| caller.get(&format!("{}{path}", server.base)).await.json();
    let until = async |path: &str, is: &dyn Fn(&Value) -> bool| {
        support::until(path, async || get(path).await, is).await
    };
    let until_jobs = async |expected: Value| {
        until("/api/comfyui", &|list| {
            let jobs = list["comfyuis"].as_array().unwrap().iter();
            json!(jobs.map(|comfyui| (&comfyui["name"], &comfyui["jobs"])).collect::<Vec<_>>()) == expected
        })
        .await
    };
    let submit = async |seed: u64| caller.submit(&server.base, "test-progress", &endless(seed)).await;
    let (first, second, third) = (submit(1).await, submit(2).await, submit(3).await);
    until_jobs(json!([["one", [first]]])).await;

    // A file with mistakes changes nothing.
    std::fs::write(&file, "[[comfyui]]\nname = 'one'\n").unwrap();
    std::fs::write(&file, table("one", &one, 1) + &table("two", &two, 1)).unwrap();
    until_jobs(json!([["one", [first]], ["two", [second]]])).await;
    std::fs::write(&file, table("one", &one, 2) + &table("two", &two, 1)).unwrap();
    until_jobs(json!([["one", [first, third]], ["two", [second]]])).await;

    std::fs::write(&file, table("two", &two, 3)).unwrap();
    let mut expected = vec![json!(second)];
    for lost in [&first, &third] {
        let path = format!("/api/jobs/{lost}");
        let record = until(&path, &|record| record["status"] == "error").await;
        let error = record["error"].as_str().unwrap();
        expected.push(json!(error.split_once("submitted again as ").unwrap_or_else(|| panic!("{error}")).1));
    }
    until_jobs(json!([["two", expected]])).await;
}

#[actix_rt::test]
async fn a_graph_that_no_comfyui_can_run_is_400_that_says_what_each_one_lacks() {
    let (one, two, shelf) = (simulator(), simulator(), unknown_node());
    let model = json!({"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "nowhere.safetensors"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "4": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0],
            "latent_image": ["3", 0], "seed": 1, "steps": 1, "cfg": 1, "sampler_name": "euler",
            "scheduler": "normal", "denoise": 1}},
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}}});
    shelf.put("model", "id: model\n", &model);
    let api = Api::start_with(&with(vec![comfyui("one", &one), comfyui("two", &two)]), shelf.path());
    for (workflow, lacks) in [("broken", "NoSuchNode"), ("model", "nowhere.safetensors")] {
        let reply = api.post(&format!("/api/run/{workflow}/execute"), Form::new()).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
        let detail = reply.detail();
        let (before, of_two) = detail.split_once("; \"two\": ").unwrap_or_else(|| panic!("{detail}"));
        let of_one = before.strip_prefix("no ComfyUI can run the workflow: \"one\": ").unwrap();
        assert!(of_one.contains(lacks) && of_two.contains(lacks), "{detail}");
    }
    assert_eq!(comfyuis(&api).await.waiting, 0);
    api.stop().await;
}

#[actix_rt::test]
async fn no_more_jobs_wait_than_the_limit_says_whatever_their_keys() {
    let one = simulator();
    let limited = with(vec![comfyui("one", &one)]);
    let jobs = limited.jobs.clone().with_max_waiting(2, 2);
    let api_keys = ["alice", "bob", "carol"].map(Into::into).to_vec();
    let api = Api::start_with(&Settings { jobs, api_keys, ..limited }, &fixtures().join("workflows"));
    let submit = async |key: &str, params: Value| {
        let request = api.http.post(format!("{}/api/run/test-progress/execute", api.base));
        let request = request.insert_header(("X-API-Key", key));
        support::Reply::from_response(request.send_json(&params).await.unwrap()).await
    };
    assert_eq!(submit("alice", endless(1)).await.status, 200);
    for (key, seed) in [("alice", 2), ("bob", 3)] {
        assert_eq!(submit(key, job(1, 0, seed)).await.status, 200);
    }
    let reply = submit("carol", job(1, 0, 4)).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.detail(), "2 jobs wait already, which is the limit: send it again later");
    assert!((1..=60).contains(&reply.header("Retry-After").parse::<u64>().unwrap()));
    api.stop().await;
}
