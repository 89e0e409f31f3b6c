//! Presets, and several jobs from one request, through the API.

mod support;

use comfy_runner_api::{FinishedJobs, SubmittedJobs};
use serde_json::{Value, json};
use support::{Api, Form, Shelf, png, settings, simulator, uploaded};

/// A workflow that needs no model, with a seed and an image.
fn shelf() -> Shelf {
    let shelf = Shelf::new();
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
        "2": {"class_type": "RunnerTestProgress", "inputs": {"image": ["1", 0], "steps": 2, "delay_ms": 0, "seed": 0, "preview": false}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    });
    let manifest = "id: w
inputs:
  - {id: image, type: image, node_id: 1, field: image}
  - {id: steps, type: int, node_id: 2, field: steps, min: 1, max: 9}
  - {id: seed, type: seed, node_id: 2, field: seed, default: -1, max: 1000}
presets:
  three: {label: Three, params: {steps: 3}}
";
    shelf.put("w", manifest, &graph);
    shelf
}

async fn execute(api: &Api, query: &str, params: Value) -> support::Reply {
    api.post(&format!("/api/run/w/execute{query}"), Form::new().params(params)).await
}

#[actix_rt::test]
async fn a_preset_is_listed_and_its_values_apply_where_the_caller_gives_none() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let manifest = api.get("/api/run/w").await.json();
    assert_eq!(manifest["presets"], json!({"three": {"label": "Three", "params": {"steps": 3}}}));
    for (params, steps) in
        [(json!({"_preset": "three"}), 3), (json!({"_preset": "three", "steps": 5}), 5), (json!({}), 2)]
    {
        let graph = api.post("/api/run/w/build", Form::new().params(params)).await.json();
        assert_eq!(graph["2"]["inputs"]["steps"], steps);
    }
    let job = execute(&api, "?wait=60", json!({"_preset": "three"})).await.json();
    let record = api.get(&format!("/api/jobs/{}", job["prompt_id"].as_str().unwrap())).await.json();
    assert_eq!(record["params"], json!({"_preset": "three"}));
    assert_eq!(record["graph"]["2"]["inputs"]["steps"], 3);
    let reply = execute(&api, "", json!({"_preset": "four"})).await;
    assert_eq!(reply.status, 400);
    assert!(reply.detail().contains("workflow \"w\" has \"three\""), "{}", reply.detail());
    api.stop().await;
}

#[actix_rt::test]
async fn a_count_gives_so_many_jobs_with_seeds_that_count_up() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let reply = execute(&api, "", json!({"_count": 3, "seed": 7})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let submitted: SubmittedJobs = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(submitted.first, submitted.jobs[0]);
    let seeds: Vec<_> = submitted.jobs.iter().map(|job| job.seeds["seed"]).collect();
    assert_eq!(seeds, [7, 8, 9]);
    let mut folders = Vec::new();
    for (job, seed) in submitted.jobs.iter().zip(7..) {
        assert_eq!(api.wait(&job.prompt_id).await["status"], "completed");
        let record = api.get(&format!("/api/jobs/{}", job.prompt_id)).await.json();
        assert_eq!(record["params"], json!({"seed": seed}), "the params of this job alone");
        folders.push(record["output_folder"].as_str().unwrap().to_owned());
    }
    folders.dedup();
    assert_eq!(folders.len(), 3);

    // A retry repeats one of them.
    let path = format!("/api/jobs/{}/retry", submitted.jobs[1].prompt_id);
    let retried = api.post_body(&path, "application/json".into(), "").await.json();
    assert_eq!(retried["seeds"], json!({"seed": 8}));
    assert!(retried.get("jobs").is_none(), "{retried}");

    let reply = execute(&api, "", json!({"_count": 2})).await.json();
    assert_ne!(reply["jobs"][0]["seeds"], reply["jobs"][1]["seeds"], "generated seeds differ");
    let one = execute(&api, "", json!({"_count": 1})).await.json();
    assert_eq!(one["jobs"].as_array().unwrap().len(), 1);
    api.stop().await;
}

#[actix_rt::test]
async fn nothing_is_submitted_when_the_count_or_a_later_seed_is_wrong() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    for (query, params, message) in [
        ("", json!({"_count": 101}), "from 1 to 100"),
        ("", json!({"_count": 3, "seed": 999}), "not 1001"),
        ("", json!({"_count": 2, "steps": 10}), "from 1 to 9"),
        ("?wait=5&result=1", json!({"_count": 2}), "leave out `_count`"),
    ] {
        let reply = execute(&api, query, params).await;
        assert_eq!(reply.status, 400);
        assert!(reply.detail().contains(message), "{}", reply.detail());
    }
    // The file is not uploaded either.
    let form = Form::new().params(json!({"_count": 3, "seed": 999})).file("image", "a.png", &png());
    assert_eq!(api.post("/api/run/w/execute", form).await.status, 400);
    assert_eq!(uploaded(&simulator), [""; 0]);
    assert_eq!(api.get("/api/jobs").await.json()["jobs"], json!([]));
    let graph =
        api.post("/api/run/w/build", Form::new().params(json!({"_count": 3, "seed": 5}))).await.json();
    assert_eq!(graph["2"]["inputs"]["seed"], 5);
    api.stop().await;
}

#[actix_rt::test]
async fn a_request_for_several_jobs_waits_for_all_of_them() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let reply = execute(&api, "?wait=60", json!({"_count": 3})).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let finished: FinishedJobs = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(finished.jobs.len(), 3);
    for job in finished.jobs {
        assert_eq!(job.status.status().as_str(), "completed");
        assert_eq!(job.files.unwrap().len(), 1);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_repeated_request_for_several_jobs_gives_the_same_jobs() {
    let (simulator, shelf) = (simulator(), shelf());
    let api = Api::start_with(&settings(&simulator.url()), shelf.path());
    let send = async |key: &str, params: Value| {
        let form = Form::new().params(params).file("image", "a.png", &png());
        api.post_with_key("/api/run/w/execute", key, form).await
    };
    let first = send("k", json!({"_count": 3})).await.json();
    assert_eq!(first["jobs"].as_array().unwrap().len(), 3);
    assert_eq!(send("k", json!({"_count": 3})).await.json(), first);
    assert_eq!(uploaded(&simulator).len(), 1, "the file is uploaded once");
    for other in [json!({"_count": 2}), json!({})] {
        let reply = send("k", other).await;
        assert_eq!(reply.status, 409, "{}", reply.text());
    }
    assert_eq!(api.get("/api/jobs").await.json()["jobs"].as_array().unwrap().len(), 3);
    api.stop().await;
}

/// A ComfyUI that takes two prompts and then breaks, and works again later.
#[actix_rt::test]
async fn an_answer_to_jobs_of_which_only_some_were_accepted_names_them_and_a_repetition_submits_the_rest() {
    let shelf = shelf();
    let mut comfyui = mockito::Server::new_async().await;
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let broken = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (counted, breaks) = (asked.clone(), broken.clone());
    let order = std::sync::atomic::Ordering::SeqCst;
    comfyui
        .mock("POST", "/prompt")
        .with_status_code_from_request(move |_| {
            let refused = counted.fetch_add(1, order) >= 2 && breaks.load(order);
            if refused { 400 } else { 200 }
        })
        .with_body_from_request(move |request| {
            let prompt: Value = serde_json::from_slice(request.body().unwrap()).unwrap();
            json!({"prompt_id": prompt["prompt_id"], "number": 1, "node_errors": {},
                "error": {"type": "invalid_prompt", "message": "it is full", "details": "", "extra_info": {}}})
            .to_string()
            .into_bytes()
        })
        .create_async()
        .await;
    let mut settings = settings(&comfyui.url());
    settings.comfyuis[0].depth = 10;
    let api = Api::start_with(&settings, shelf.path());
    let send = async || {
        let form = Form::new().params(json!({"_count": 4, "seed": 1}));
        api.post_with_key("/api/run/w/execute", "k", form).await
    };
    let reply = send().await;
    assert_eq!(reply.status, 400, "{}", reply.text());
    let body = reply.json();
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("2 of 4 jobs were accepted, they are in `jobs`; the next was not:"),
        "{detail}"
    );
    assert_eq!(body["jobs"].as_array().unwrap().len(), 2);
    assert_eq!(body["jobs"][1]["seeds"], json!({"seed": 2}));

    broken.store(false, order);
    let again = send().await.json();
    assert_eq!(again["jobs"].as_array().unwrap().len(), 4, "{again}");
    assert_eq!(again["jobs"].as_array().unwrap()[..2], body["jobs"].as_array().unwrap()[..]);
    assert_eq!(asked.load(order), 5);
    api.stop().await;
}

#[test]
fn the_command_line_takes_a_preset() {
    let shelf = shelf();
    let build = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_comfy-runner"));
        command.args(["build", "w", "--workflows"]).arg(shelf.path()).args(more).output().unwrap()
    };
    let built = build(&["--preset", "three", "-p", "seed=1"]);
    let graph: Value = serde_json::from_slice(&built.stdout).unwrap();
    assert_eq!((&graph["2"]["inputs"]["steps"], &graph["2"]["inputs"]["seed"]), (&json!(3), &json!(1)));
    for (more, message) in [
        (&["--preset", "four"][..], "workflow \"w\" has \"three\""),
        (&["--preset", "three", "-p", "_preset=three"], "given twice"),
        (&["-p", "_count=2"], "here there is one job"),
    ] {
        let output = build(more);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(message), "{error}");
    }
}
