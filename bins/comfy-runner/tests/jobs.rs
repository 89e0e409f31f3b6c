//! What is remembered of jobs, through the API.

mod support;

use std::collections::HashMap;
use std::io::{Cursor, Read as _};

use serde_json::{Value, json};
use support::connection::Connection;
use support::{Api, Form, Reply, png, settings, simulator, uploaded};

async fn run(api: &Api, workflow: &str, params: Value) -> String {
    let job = api.execute(workflow, params).await;
    let prompt_id = job["prompt_id"].as_str().unwrap().to_owned();
    assert_eq!(api.wait(&prompt_id).await["status"], "completed");
    prompt_id
}

/// Starts a job that runs until it is stopped.
async fn endless(api: &Api, seed: u64) -> String {
    let job = api.execute("test-progress", json!({"steps": 10000, "delay_ms": 20, "seed": seed})).await;
    job["prompt_id"].as_str().unwrap().to_owned()
}

fn ids(listed: &Value) -> Vec<&str> {
    listed["jobs"].as_array().unwrap().iter().map(|job| job["prompt_id"].as_str().unwrap()).collect()
}

async fn list(api: &Api, query: &str) -> Value {
    let reply = api.get(&format!("/api/jobs{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    reply.json()
}

async fn retry(api: &Api, prompt_id: &str) -> Reply {
    api.post_body(&format!("/api/jobs/{prompt_id}/retry"), "application/json".into(), "").await
}

#[actix_rt::test]
async fn jobs_are_listed_newest_first_page_by_page_and_by_what_they_are() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let mut made = Vec::new();
    for color in 0..5 {
        made.push(run(&api, "no-model", json!({"color": color})).await);
    }
    let other = run(&api, "test-progress", json!({"steps": 1, "delay_ms": 0})).await;
    let newest_first: Vec<_> = made.iter().rev().map(String::as_str).collect();

    let all = list(&api, "").await;
    assert_eq!(ids(&all)[0], other);
    assert_eq!(ids(&all)[1..], newest_first);
    assert_eq!(all["next_cursor"], json!(null));
    let job = &all["jobs"][1];
    assert_eq!(
        (&job["workflow_id"], &job["workflow_name"], &job["status"]),
        (&json!("no-model"), &json!("Coloured plate"), &json!("completed"))
    );
    for time in ["queued_at", "started_at", "finished_at"] {
        let time = job[time].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    }
    assert!(job.get("graph").is_none() && job.get("params").is_none(), "a list is short: {job}");

    let (mut seen, mut query) = (Vec::new(), "?workflow_id=no-model&limit=2".to_owned());
    loop {
        let page = list(&api, &query).await;
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?workflow_id=no-model&limit=2&cursor={cursor}");
    }
    assert_eq!(seen, newest_first);
    assert_eq!(ids(&list(&api, "?status=completed,error").await).len(), 6);
    assert!(ids(&list(&api, "?status=running").await).is_empty());
    let (prefix, _) = other.split_at(23);
    assert_eq!(ids(&list(&api, &format!("?prompt_id_prefix={prefix}")).await), [&*other]);
    assert!(ids(&list(&api, "?prompt_id_prefix=g").await).is_empty());
    let since = all["jobs"][2]["queued_at"].as_str().unwrap();
    assert_eq!(ids(&list(&api, &format!("?since={since}&workflow_id=no-model")).await), &newest_first[..2]);
    assert_eq!(ids(&list(&api, &format!("?until={since}")).await), &newest_first[2..]);

    for (query, word) in [
        ("status=done", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=5", "cursor"),
        ("since=yesterday", "since"),
        ("state=running", "state"),
    ] {
        let reply = api.get(&format!("/api/jobs?{query}")).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.text());
        assert!(reply.detail().contains(word), "{}", reply.detail());
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_shows_what_it_was_made_of_and_what_became_of_it() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let params = json!({"steps": 2, "delay_ms": 0, "seed": -1});
    let submitted = api.execute("test-progress", params.clone()).await;
    let prompt_id = submitted["prompt_id"].as_str().unwrap();
    let status = api.wait(prompt_id).await;
    let job = api.get(&format!("/api/jobs/{prompt_id}")).await.json();
    assert_eq!((&job["prompt_id"], &job["client_id"]), (&submitted["prompt_id"], &submitted["client_id"]));
    assert_eq!((&job["params"], &job["seeds"]), (&params, &submitted["seeds"]));
    assert_eq!(job["graph"]["2"]["inputs"]["seed"], submitted["seeds"]["seed"]);
    assert_eq!((&job["retry_of"], &job["error"], &job["warnings"]), (&json!(null), &json!(null), &json!([])));
    let file = &job["outputs"]["3"][0];
    assert_eq!(*file, status["outputs"]["image"]);
    let folder = job["output_folder"].as_str().unwrap();
    assert!(file["subfolder"].as_str().unwrap().starts_with(folder), "{job}");
    assert_eq!(api.get("/api/jobs/no-such-job").await.status, 404);
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_is_repeated_with_the_same_params_and_seeds_into_a_folder_of_its_own() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let first = run(&api, "test-progress", json!({"steps": 2, "delay_ms": 0})).await;
    let before = api.get(&format!("/api/jobs/{first}")).await.json();
    let reply = retry(&api, &first).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let again = reply.json();
    assert_eq!((&again["retry_of"], &again["seeds"]), (&json!(first), &before["seeds"]));
    assert_ne!(again["prompt_id"], first);
    assert_ne!(again["client_id"], before["client_id"]);
    let second = again["prompt_id"].as_str().unwrap();
    assert_eq!(api.wait(second).await["status"], "completed");
    let after = api.get(&format!("/api/jobs/{second}")).await.json();
    assert_eq!((&after["params"], &after["retry_of"]), (&before["params"], &json!(first)));
    assert_ne!(after["output_folder"], before["output_folder"]);
    let prefix = format!("{}/", after["output_folder"].as_str().unwrap());
    assert!(after["outputs"]["3"][0]["subfolder"].as_str().unwrap().starts_with(&prefix), "{after}");
    let images = [first.as_str(), second].map(|id| format!("/api/run/result/{id}"));
    let pixels = |reply: Reply| image::load_from_memory(&reply.body).unwrap().into_rgb8();
    assert!(pixels(api.get(&images[0]).await) == pixels(api.get(&images[1]).await), "the same seeds");

    assert_eq!(retry(&api, "no-such-job").await.status, 404);
    let runs = endless(&api, 1).await;
    assert_eq!(retry(&api, &runs).await.status, 409);
    api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_is_over_can_be_forgotten_and_its_files_stay() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let runs = endless(&api, 1).await;
    let active = api.delete(&format!("/api/jobs/{runs}")).await;
    assert_eq!(active.status, 409);
    assert!(active.detail().contains("not over"), "{}", active.detail());
    // ComfyUI passes over the interruption of a prompt that does not run yet.
    api.wait_until(&runs, |status| status["status"] == "running").await;
    let stop = api.http.post(format!("{}/interrupt", simulator.url())).send_json(&json!({"prompt_id": runs}));
    assert_eq!(stop.await.unwrap().status(), 200);
    api.wait(&runs).await;

    let over = run(&api, "no-model", json!({})).await;
    let file = api.get(&format!("/api/jobs/{over}/files")).await.json()["files"][0]["url"].clone();
    assert_eq!(api.delete(&format!("/api/jobs/{over}")).await.status, 204);
    assert_eq!(api.get(&format!("/api/jobs/{over}")).await.status, 404);
    assert_eq!(api.delete(&format!("/api/jobs/{over}")).await.status, 404);
    assert_eq!(ids(&list(&api, "").await), [&*runs]);
    assert_eq!(api.get(file.as_str().unwrap()).await.status, 200);
    api.stop().await;
}

#[actix_rt::test]
async fn every_file_of_a_job_has_a_link_that_works() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let prompt_id = run(&api, "no-model", json!({})).await;
    let listed = api.get(&format!("/api/jobs/{prompt_id}/files")).await.json();
    let [file] = &listed["files"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!(
        (&file["node_id"], &file["node_title"], &file["node_type"]),
        (&json!("4"), &json!("Save"), &json!("SaveImage"))
    );
    assert_eq!(
        (&file["media"], &file["media_type"], &file["type"]),
        (&json!("image"), &json!("image/png"), &json!("output"))
    );
    let delivered = api.get(file["url"].as_str().unwrap()).await;
    assert_eq!((delivered.status.as_u16(), delivered.header("content-type")), (200, "image/png"));
    assert_eq!(delivered.body, api.get(&format!("/api/run/result/{prompt_id}")).await.body);
    assert_eq!(api.get("/api/jobs/no-such-job/files").await.status, 404);
    api.stop().await;
}

/// The files of a package.
fn unpacked(reply: &Reply) -> HashMap<String, Vec<u8>> {
    assert_eq!((reply.status.as_u16(), reply.header("content-type")), (200, "application/zip"));
    let mut zip = zip::ZipArchive::new(Cursor::new(&reply.body)).unwrap();
    let mut files = HashMap::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(file.name().unwrap().into_owned(), bytes);
    }
    files
}

#[actix_rt::test]
async fn a_package_holds_the_record_the_inputs_and_the_outputs() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let form = Form::new().params(json!({"prompt": "a red fox", "steps": 2})).file(
        "input_image",
        "photo.png",
        &png(),
    );
    let reply = api.post("/api/run/image-to-image/execute", form).await;
    let prompt_id = reply.json()["prompt_id"].as_str().unwrap().to_owned();
    assert_eq!(api.wait(&prompt_id).await["status"], "completed");
    let path = format!("/api/jobs/{prompt_id}/package");
    let reply = api.get(&path).await;
    assert_eq!(reply.header("content-disposition"), format!("attachment; filename=\"{prompt_id}.zip\""));
    let files = unpacked(&reply);
    let result = api.get(&format!("/api/run/result/{prompt_id}")).await;
    let [input] = &uploaded(&simulator)[..] else { panic!("one upload") };
    let record: Value = serde_json::from_slice(&files["job.json"]).unwrap();
    assert_eq!((&record["prompt_id"], &record["input_files"]), (&json!(prompt_id), &json!([input])));
    assert_eq!(files[&format!("input/{input}")], png());
    let name =
        record["outputs"].as_object().unwrap().values().next().unwrap()[0]["filename"].as_str().unwrap();
    assert_eq!(files[&format!("output/final/{name}")], result.body);
    assert_eq!(files.len(), 3, "{:?}", files.keys());
    let mut zip = zip::ZipArchive::new(Cursor::new(&reply.body)).unwrap();
    let dated = zip.by_index(0).unwrap().last_modified().unwrap().to_string();
    let (day, finished) = (&dated[..10], record["finished_at"].as_str().unwrap());
    assert!(finished.starts_with(day), "{dated} and {finished}");

    // What ComfyUI does not have any more is named.
    std::fs::remove_file(simulator.data_dir().join("input").join(input)).unwrap();
    let files = unpacked(&api.get(&path).await);
    let missing: Value = serde_json::from_slice(&files["missing.json"]).unwrap();
    assert_eq!(missing, json!([format!("input/{input}")]));
    assert_eq!(api.get("/api/jobs/no-such-job/package").await.status, 404);
    api.stop().await;
}

#[actix_rt::test]
async fn a_package_with_a_film_is_passed_on_and_not_held() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let prompt_id = run(&api, "no-model", json!({})).await;
    let job = api.get(&format!("/api/jobs/{prompt_id}")).await.json();
    let file = &job["outputs"]["4"][0];
    let path = simulator.data_dir().join("output").join(file["subfolder"].as_str().unwrap());
    // Larger than what any buffer on the way holds.
    let video = png().repeat((24 << 20) / png().len());
    std::fs::write(path.join(file["filename"].as_str().unwrap()), &video).unwrap();
    let files = unpacked(&api.get(&format!("/api/jobs/{prompt_id}/package")).await);
    let name = format!("output/final/{}", file["filename"].as_str().unwrap());
    assert!(files[&name] == video, "another video");
    api.stop().await;
}

#[actix_rt::test]
async fn the_queue_shows_active_jobs_with_their_progress_and_place() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    run(&api, "no-model", json!({})).await;
    let first = endless(&api, 1).await;
    api.wait_until(&first, |status| status["step"].as_u64() > Some(1)).await;
    let (second, third) = (endless(&api, 2).await, endless(&api, 3).await);
    let reply = api.get("/api/queue").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let queue = reply.json();
    assert_eq!((&queue["running"], &queue["pending"]), (&json!(1), &json!(2)));
    assert_eq!(ids(&queue), [&*first, &*second, &*third]);
    let positions: Vec<_> =
        queue["jobs"].as_array().unwrap().iter().map(|job| job["position"].as_u64()).collect();
    assert_eq!(positions, [Some(0), Some(1), Some(2)]);
    let running = &queue["jobs"][0];
    assert_eq!((&running["status"], &running["progress"]["status"]), (&json!("running"), &json!("running")));
    assert!(running["progress"]["step"].as_u64() > Some(1), "{running}");
    assert_eq!(queue["jobs"][1]["progress"]["status"], "pending");
    api.stop().await;
}

#[actix_rt::test]
async fn the_queue_shows_the_jobs_of_a_comfyui_that_is_down() {
    let simulator = simulator();
    let url = simulator.url();
    let connection = Connection::open(url.trim_start_matches("http://")).await;
    let api = Api::start(&format!("http://{}", connection.address));
    let first = endless(&api, 1).await;
    api.wait_until(&first, |status| status["status"] == "running").await;
    let second = endless(&api, 2).await;
    connection.cut().await;
    let reply = api.get("/api/queue").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let queue = reply.json();
    assert_eq!((&queue["running"], &queue["pending"]), (&json!(1), &json!(1)));
    assert_eq!(ids(&queue), [&*first, &*second]);
    assert_eq!(queue["jobs"][0]["status"], "running");
    assert_eq!(queue["jobs"][1]["position"], Value::Null);
    api.stop().await;
}

#[actix_rt::test]
async fn records_stay_when_server_and_comfyui_forget() {
    let simulator = simulator();
    let settings = settings(&simulator.url());
    let before = Api::start_with(&settings, &support::fixtures().join("workflows"));
    let prompt_id = run(&before, "no-model", json!({})).await;
    let status = before.get(&format!("/api/run/status/{prompt_id}")).await.json();
    before.stop_gracefully().await;
    // What became of the job is written when the server has stopped.
    simulator.forget();

    let after = Api::start_with(&settings, &support::fixtures().join("workflows"));
    assert_eq!(after.get(&format!("/api/run/status/{prompt_id}")).await.json(), status);
    assert_eq!(after.get(&format!("/api/run/result/{prompt_id}")).await.status, 200);
    assert_eq!(ids(&list(&after, "?status=completed").await), [&*prompt_id]);
    after.stop().await;
}

fn form(params: Value) -> Form {
    Form::new().params(params).file("input_image", "photo.png", &png())
}

#[actix_rt::test]
async fn the_same_key_and_request_is_the_same_job_and_no_second_upload() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let path = "/api/run/image-to-image/execute";
    let params = json!({"prompt": "a red fox", "steps": 1, "seed": -1});
    let first = api.post_with_key(path, "key-1", form(params.clone())).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let prompt_id = first.json()["prompt_id"].as_str().unwrap().to_owned();
    api.wait(&prompt_id).await;
    let again = api.post_with_key(path, "key-1", form(params.clone())).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, first.json()));
    support::eventually("it is counted", || simulator.executed_prompts() > 0).await;
    assert_eq!((simulator.executed_prompts(), uploaded(&simulator).len()), (1, 1));

    let others = [
        (path, form(json!({"prompt": "a red fox", "steps": 2, "seed": -1}))),
        (
            path,
            Form::new().params(params.clone()).file("input_image", "photo.png", &[&png()[..], b"x"].concat()),
        ),
        ("/api/run/no-model/execute", Form::new()),
    ];
    for (path, form) in others {
        let reply = api.post_with_key(path, "key-1", form).await;
        assert_eq!(reply.status, 409, "{}", reply.text());
        assert!(reply.detail().contains(&prompt_id), "{}", reply.detail());
    }
    let other_key = api.post_with_key(path, "key-2", form(params)).await.json();
    assert_ne!(other_key["prompt_id"], prompt_id);
    for bad in ["", &"k".repeat(256)] {
        assert_eq!(api.post_with_key("/api/run/no-model/execute", bad, Form::new()).await.status, 400);
    }
    api.stop().await;
}

#[actix_rt::test]
async fn a_key_is_free_again_when_comfyui_did_not_take_the_job() {
    let simulator = simulator();
    let settings = settings("http://127.0.0.1:9");
    let workflows = support::fixtures().join("workflows");
    let api = Api::start_with(&settings, &workflows);
    let path = "/api/run/no-model/execute";
    assert_eq!(api.post_with_key(path, "key", Form::new()).await.status, 500);
    assert!(ids(&list(&api, "").await).is_empty(), "nothing is left of it");
    api.stop().await;
    let mut reachable = support::settings(&simulator.url());
    reachable.store = settings.store;
    let api = Api::start_with(&reachable, &workflows);
    let reply = api.post_with_key(path, "key", Form::new()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    api.wait(reply.json()["prompt_id"].as_str().unwrap()).await;
    api.stop().await;
}

#[actix_rt::test]
async fn requests_with_one_key_at_the_same_time_are_one_job() {
    let simulator = simulator();
    let api = Api::start(&simulator.url());
    let path = "/api/run/test-progress/execute";
    let params = json!({"steps": 1, "delay_ms": 0, "seed": -1});
    let all = (0..8).map(|_| api.post_with_key(path, "key", Form::new().params(params.clone())));
    let replies = futures::future::join_all(all).await;
    let mut jobs = std::collections::HashSet::new();
    for reply in &replies {
        match reply.status.as_u16() {
            200 => {
                jobs.insert(reply.json()["prompt_id"].as_str().unwrap().to_owned());
            }
            409 => assert!(reply.detail().contains("being worked on"), "{}", reply.detail()),
            _ => panic!("{}", reply.text()),
        }
    }
    assert_eq!(jobs.len(), 1);
    assert_eq!(ids(&list(&api, "").await).len(), 1);
    api.wait(jobs.iter().next().unwrap()).await;
    support::eventually("it is counted", || simulator.executed_prompts() > 0).await;
    assert_eq!(simulator.executed_prompts(), 1);
    api.stop().await;
}
