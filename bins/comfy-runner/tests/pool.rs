//! Several ComfyUIs behind one server, with the real binary: whatever is killed, no job is lost or run twice; which job goes
//! where, and which goes first.

mod support;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use comfy_runner_api::Status;
use comfy_runner_store::Record;
use futures::StreamExt as _;
use rand::RngExt as _;
use serde_json::{Value, json};
use support::pool::{Pool, endless, job};
use support::process::{Asked, Caller, records};
use support::{eventually, files_below};

#[actix_rt::test]
async fn the_job_of_a_comfyui_that_dies_is_run_by_another_and_one_that_takes_two_down_ends() {
    let mut pool = Pool::start(3, &[]);
    let first = pool.submit("test-progress", &endless(7)).await;
    let at = pool.running(&first).await;
    pool.simulators[at].kill();
    let second = pool.repeated(&first).await;
    let next = pool.running(&second).await;
    assert_ne!(next, at);
    let record = pool.record(&second).await;
    assert_eq!(
        (&record["retry_of"], &record["automatic"], &record["seeds"]["seed"]),
        (&json!(first), &json!(true), &json!(7))
    );
    pool.simulators[next].kill();
    let ended = pool.until(&second, |record| record["status"] == "error").await;
    assert_eq!(
        ended["error"],
        format!(
            "two ComfyUIs stopped while they ran this job (\"gpu{at}\", then \"gpu{next}\"), so it is not submitted again"
        )
    );
    let ready = pool.caller.get(&format!("{}/ready", pool.server.base)).await;
    assert_eq!(ready.status, 200, "one is left: {}", ready.text());
}

#[actix_rt::test]
async fn waiting_jobs_outlive_the_server_and_run_once() {
    let mut pool = Pool::start(1, &[]);
    let runs = pool.submit("test-progress", &endless(1)).await;
    pool.running(&runs).await;
    let mut waiting = Vec::new();
    for seed in 2..6 {
        waiting.push(pool.submit("test-progress", &job(2, 0, seed)).await);
    }
    pool.restart_server();
    pool.cancel(&runs).await;
    for prompt_id in &waiting {
        let ended = pool.until(prompt_id, |record| record["finished_at"] != Value::Null).await;
        assert_eq!((&ended["status"], &ended["automatic"]), (&json!("completed"), &json!(false)), "{ended}");
    }
    assert_eq!(pool.ran(0).await, waiting);
}

/// The number of jobs of the test that kills.
const JOBS: u64 = 400;
/// The number of kills.
const KILLS: usize = 30;
/// The number of concurrent requests.
const AT_ONCE: usize = 8;

/// A simulator that was killed: between these times.
struct Kill {
    simulator: usize,
    from: SystemTime,
    to: SystemTime,
}

#[actix_rt::test]
async fn none_of_four_hundred_jobs_is_lost_stuck_or_run_to_its_end_twice_whatever_is_killed() {
    let pool = Rc::new(RefCell::new(Pool::start_with(
        &[&["--step-ms", "0"][..]; 8],
        Caller::new(),
        &["--lost-jobs", "retry"],
    )));
    let (asked, kills) = futures::join!(ask_for_jobs(&pool), kill(&pool));
    let Ok(pool) = Rc::try_unwrap(pool) else { panic!("nothing else has it") };
    let mut pool = pool.into_inner();
    // A kill of the server loses the answers of requests in progress, and nothing is refused while any ComfyUI is left.
    assert!(asked.values().all(|asked| matches!(asked, Asked::Taken(_) | Asked::NoAnswer)), "{asked:?}");
    let taken: Vec<_> = asked
        .iter()
        .filter_map(|(seed, asked)| if let Asked::Taken(id) = asked { Some((*seed, id)) } else { None })
        .collect();
    assert!(taken.len() + KILLS * AT_ONCE >= JOBS as usize, "{} were accepted", taken.len());

    // Nothing is stuck, also of the jobs whose caller got no answer.
    let left = "/api/jobs?status=pending,running";
    while pool.get(left).await["jobs"] != json!([]) {
        for open in pool.get(left).await["jobs"].as_array().unwrap() {
            pool.until(open["prompt_id"].as_str().unwrap(), |record| !record["finished_at"].is_null()).await;
        }
    }
    let mut ran_last = Vec::new();
    for number in 0..pool.simulators.len() {
        ran_last.push(pool.ran(number).await);
    }
    pool.server.terminate();
    let records = records(&pool.state()).await;
    let again: HashMap<&str, &Record> = records
        .values()
        .filter(|record| record.summary.automatic)
        .map(|record| (record.summary.retry_of.as_deref().unwrap(), record))
        .collect();

    // Each accepted job completes, if need be under another id, or brought down two ComfyUIs and says so.
    let (mut repetitions, mut given_up) = (0, 0);
    for (seed, id) in &taken {
        let mut record = &records[*id];
        assert_eq!(record.seeds["seed"], *seed);
        while let Some(next) = again.get(&*record.summary.prompt_id) {
            assert_eq!(record.summary.outcome.status, Status::Error, "{record:?}");
            assert_eq!((&next.seeds, &next.graph), (&record.seeds, &record.graph));
            repetitions += 1;
            record = next;
        }
        let outcome = &record.summary.outcome;
        if outcome.status != Status::Completed {
            let error = outcome.error.as_deref().unwrap_or_default();
            let says_why =
                error.contains("so it is not submitted again") || error.contains("submitted again twice");
            assert!(says_why, "{id} is lost: {record:?}");
            given_up += 1;
        }
    }
    let seeds: HashSet<_> = records
        .values()
        .filter(|record| !record.summary.automatic)
        .map(|record| record.seeds["seed"])
        .collect();
    assert_eq!(seeds.len(), records.len() - again.len(), "a request is one job");

    // What the simulators that still remember it ran is what is recorded.
    for (number, ran) in ran_last.iter().enumerate() {
        for id in ran {
            let outcome = &records[id].summary.outcome;
            assert_eq!(
                (outcome.status, outcome.comfyui.as_deref()),
                (Status::Completed, Some(&*format!("gpu{number}"))),
                "{id}"
            );
        }
    }
    // A job and its repetitions write into one folder, and the last node of a run writes one file.
    let ends = ends(&pool);
    let mut unheard = 0;
    for record in records.values().filter(|record| !record.summary.automatic) {
        let mut ends = ends.get(&record.summary.output_folder).cloned().unwrap_or_default();
        ends.sort();
        for pair in ends.windows(2) {
            let [(ended, simulator), (next, _)] = pair else { unreachable!() };
            // The only way to run a job twice is that its ComfyUI died with the news of its end.
            let died = kills
                .iter()
                .any(|kill| kill.simulator == *simulator && kill.to >= *ended && kill.from <= *next);
            assert!(died, "{} was run to its end twice: {ends:?}", record.summary.prompt_id);
            unheard += 1;
        }
    }
    eprintln!(
        "{} jobs, {} without an answer, {KILLS} kills, {} of them of simulators: {repetitions} repetitions, {given_up} given up, \
         {unheard} ends that a simulator took with it",
        records.len() - again.len(),
        asked.len() - taken.len(),
        kills.len(),
    );
}

/// Asks for the jobs, each with its own seed. A request is sent again only if the server did not receive it.
async fn ask_for_jobs(pool: &Rc<RefCell<Pool>>) -> HashMap<u64, Asked> {
    let caller = Caller::new();
    let asking = futures::stream::iter(0..JOBS).map(|seed| {
        let (caller, pool) = (caller.clone(), Rc::clone(pool));
        async move {
            loop {
                let base = pool.borrow().server.base.clone();
                match caller.execute(&base, "test-progress", &job(3, 20, seed)).await {
                    Asked::NotHeard => actix_rt::time::sleep(Duration::from_millis(20)).await,
                    asked => return (seed, asked),
                }
            }
        }
    });
    asking.buffer_unordered(AT_ONCE).collect().await
}

/// Kills simulators, the server, or both, again and again until most of the jobs have ended.
async fn kill(pool: &Rc<RefCell<Pool>>) -> Vec<Kill> {
    let mut kills = Vec::new();
    for round in 0..KILLS {
        // Each kill of the server loses some requests, so not all jobs of the second half may end.
        let due = JOBS as usize * (round + 1) / (2 * KILLS);
        eventually("jobs end", || ends(&pool.borrow()).len() >= due).await;
        let pause = rand::rng().random_range(0..60);
        actix_rt::time::sleep(Duration::from_millis(pause)).await;
        let simulator = rand::rng().random_range(0..8);
        let mut pool = pool.borrow_mut();
        let from = SystemTime::now();
        match round % 3 {
            0 => pool.simulators[simulator].kill(),
            1 => pool.server.kill(),
            _ => {
                pool.server.kill();
                pool.simulators[simulator].kill();
            }
        }
        if round % 3 != 1 {
            kills.push(Kill { simulator, from, to: SystemTime::now() });
            pool.simulators[simulator].restart();
        }
        if round % 3 != 0 {
            pool.restart_server();
        }
    }
    kills
}

/// Returns when the last node of each job wrote its file and on which simulator, by the job's output folder.
fn ends(pool: &Pool) -> HashMap<String, Vec<(SystemTime, usize)>> {
    let mut ends: HashMap<String, Vec<_>> = HashMap::new();
    for (number, simulated) in pool.simulators.iter().enumerate() {
        let output = simulated.data.join("output");
        for file in files_below(&output) {
            let Some(folder) =
                file.strip_prefix(&output).unwrap().iter().next().and_then(|name| name.to_str())
            else {
                continue;
            };
            let written = std::fs::metadata(&file).unwrap().modified().unwrap();
            ends.entry(folder.to_owned()).or_default().push((written, number));
        }
    }
    ends
}

#[actix_rt::test]
async fn a_late_job_of_another_key_starts_within_two_jobs_while_five_hundred_wait() {
    let options = ["--api-key", "alice,bob", "--max-queue", "1000"];
    let simulators = [&["--step-ms", "0"][..]; 2];
    let pool = Pool::start_with(&simulators, Caller::with_key("alice"), &options);
    pool.until_up().await;
    // Two jobs run, and two wait on the ComfyUIs.
    let mut running = Vec::new();
    for seed in 0..2 {
        running.push(pool.submit("test-progress", &endless(seed)).await);
    }
    // So slow that the others still wait when we look.
    for seed in 2..504 {
        pool.submit("test-progress", &job(2, 250, seed)).await;
    }
    pool.until_waiting(500).await;
    let late = pool.submit_as(&Caller::with_key("bob"), "test-progress", &job(2, 10, 1000)).await;
    pool.until_waiting(501).await;
    for prompt_id in &running {
        pool.cancel(prompt_id).await;
    }
    let at = pool.completed(&late).await;
    let ran = pool.ran(at).await;
    let before = ran.iter().position(|id| *id == late).unwrap();
    assert!(before <= 2, "{before} jobs began on its ComfyUI between its request and its start");
    assert!(pool.get("/api/comfyui").await["waiting"].as_u64().unwrap() > 300, "the others still wait");
}

#[actix_rt::test]
async fn jobs_run_in_the_order_of_their_priorities_and_no_key_goes_beyond_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("comfy-runner.toml");
    let text = "max-priority = 3\n[[api-key]]\nkey = 'page'\nmax-priority = 7\n[[api-key]]\nkey = 'batch'\nmax-priority = -2\n\
                [[api-key]]\nkey = 'other'\n";
    std::fs::write(&config, text).unwrap();
    let options = ["--config", config.to_str().unwrap(), "--comfyui-depth", "1"];
    let pool = Pool::start_with(&[&["--step-ms", "0"]], Caller::with_key("other"), &options);
    let running = pool.submit("test-progress", &endless(0)).await;
    pool.running(&running).await;
    let mut expected = Vec::new();
    let mut seed = 0;
    // In another order than they are to run.
    for (key, priority) in
        [("batch", -9), ("other", 0), ("batch", -2), ("page", 7), ("other", 3), ("page", -10)]
    {
        seed += 1;
        let mut params = job(2, 0, seed);
        params["_priority"] = json!(priority);
        let id = pool.submit_as(&Caller::with_key(key), "test-progress", &params).await;
        expected.push((-priority, id));
    }
    expected.sort();
    let expected: Vec<_> = expected.into_iter().map(|(_, id)| id).collect();
    for (key, priority, limit) in [("page", 8, 7), ("other", 4, 3), ("batch", -1, -2)] {
        let mut params = job(2, 0, 100);
        params["_priority"] = json!(priority);
        let refused = Caller::with_key(key).execute(&pool.server.base, "test-progress", &params).await;
        let Asked::Refused(400, detail) = refused else { panic!("{key}: {refused:?}") };
        assert!(detail.contains(&format!("its limit is {limit}")), "{detail}");
    }
    // A job without a priority gets that of its key, if 0 is too high for it.
    let plain = pool.submit_as(&Caller::with_key("batch"), "test-progress", &job(2, 0, 101)).await;
    assert_eq!(pool.record(&plain).await["priority"], -2);
    pool.cancel(&plain).await;
    pool.cancel(&running).await;
    for id in &expected {
        pool.completed(id).await;
    }
    assert_eq!(pool.ran(0).await, expected);
}

#[actix_rt::test]
async fn a_comfyui_without_a_model_is_never_chosen() {
    const MODEL: &str = "v1-5-pruned-emaonly-fp16.safetensors";
    let simulators: [&[&str]; 3] =
        [&["--step-ms", "0", "--without-model", MODEL], &["--step-ms", "0"], &["--step-ms", "0"]];
    let mut pool = Pool::start_with(&simulators, Caller::new(), &["--comfyui-depth", "1"]);
    pool.until_up().await;
    let with_model = |seed: u64| json!({"prompt": "a fox", "checkpoint": MODEL, "steps": 1, "seed": seed});
    let mut ids = Vec::new();
    for seed in 0..12 {
        ids.push(pool.submit("text-to-image", &with_model(seed)).await);
    }
    for id in &ids {
        assert_ne!(pool.completed(id).await, 0);
    }
    // The first is idle while one that has the model is drained and the other is busy.
    pool.post("/api/comfyui/gpu1/drain").await;
    let busy = pool.submit("test-progress", &endless(1)).await;
    if pool.running(&busy).await == 0 {
        let other = pool.submit("test-progress", &endless(2)).await;
        assert_eq!(pool.running(&other).await, 2);
        pool.cancel(&busy).await;
        pool.until(&busy, |record| record["status"] == "cancelled").await;
    }
    let waits = pool.submit("text-to-image", &with_model(100)).await;
    let is_still_waiting = async |pool: &Pool| {
        // The ComfyUI without the model runs others meanwhile.
        let other = pool.submit("test-progress", &job(1, 0, rand::random())).await;
        assert_eq!(pool.completed(&other).await, 0);
        let list = pool.get("/api/comfyui").await;
        assert_eq!((&list["waiting"], &list["comfyuis"][0]["jobs"]), (&json!(1), &json!([])), "{list}");
        assert_eq!(pool.record(&waits).await["comfyui"], Value::Null);
    };
    is_still_waiting(&pool).await;
    // Nor when the other is down.
    pool.simulators[2].kill();
    pool.until_comfyuis(|all| all[2]["status"] == "down").await;
    is_still_waiting(&pool).await;
    pool.post("/api/comfyui/gpu1/resume").await;
    assert_eq!(pool.completed(&waits).await, 1);
    // Nor when no other is left.
    pool.simulators[1].kill();
    pool.until_comfyuis(|all| all[1]["status"] == "down").await;
    let refused = pool.caller.execute(&pool.server.base, "text-to-image", &with_model(200)).await;
    assert!(matches!(refused, Asked::Refused(500, _)), "{refused:?}");
    let history = pool.ask(0, "/history").await.to_string();
    assert!(!history.contains("CheckpointLoaderSimple"), "{history}");
}

#[actix_rt::test]
async fn jobs_go_where_their_model_is_in_memory_also_after_a_restart_of_the_server() {
    const MODELS: [&str; 2] = ["sd_xl_base_1.0.safetensors", "v1-5-pruned-emaonly.safetensors"];
    let shelf = support::Shelf::new();
    let graph =
        std::fs::read_to_string(support::fixtures().join("workflows/text-to-image/workflow.json")).unwrap();
    for (number, model) in MODELS.iter().enumerate() {
        let manifest =
            format!("id: model{number}\ninputs:\n  - {{id: seed, type: seed, node_id: 3, field: seed}}\n");
        let mut graph: Value =
            serde_json::from_str(&graph.replace("{{prompt}}", "a").replace("{{negative_prompt}}", "b"))
                .unwrap();
        graph["4"]["inputs"]["ckpt_name"] = json!(model);
        graph["3"]["inputs"]["steps"] = json!(1);
        (graph["5"]["inputs"]["width"], graph["5"]["inputs"]["height"]) = (json!(64), json!(64));
        shelf.put(&format!("model{number}"), &manifest, &graph);
    }
    let gpu = ["--step-ms", "1", "--model-load-ms", "3000", "--vram", "1"];
    let options = ["--workflows", shelf.path().to_str().unwrap()];
    let mut pool = Pool::start_with(&[&gpu[..]; 2], Caller::new(), &options);
    pool.until_up().await;
    let loads = async |pool: &Pool| {
        let mut loads = Vec::new();
        for number in 0..2 {
            loads.push(
                pool.ask(number, "/system_stats").await["system"]["simulator_model_loads"].as_u64().unwrap(),
            );
        }
        loads
    };
    // Each learns one model: a job that loads it, and one that need not.
    for (number, other) in [(0, 1), (1, 0)] {
        pool.post(&format!("/api/comfyui/gpu{other}/drain")).await;
        for seed in 0..2 {
            let id = pool.submit(&format!("model{number}"), &json!({"seed": seed})).await;
            assert_eq!(pool.completed(&id).await, number);
        }
        pool.post(&format!("/api/comfyui/gpu{other}/resume")).await;
    }
    assert_eq!(loads(&pool).await, [1, 1]);
    let mut seed = 10;
    for model in [1, 0, 1, 1, 0, 0, 1, 0] {
        seed += 1;
        let id = pool.submit(&format!("model{model}"), &json!({"seed": seed})).await;
        assert_eq!(pool.completed(&id).await, model);
    }
    // Three at once wait for the one that has the model, although the other is idle.
    let mut ids = Vec::new();
    for seed in 30..33 {
        ids.push(pool.submit("model1", &json!({"seed": seed})).await);
    }
    for id in &ids {
        assert_eq!(pool.completed(id).await, 1);
    }
    assert_eq!(loads(&pool).await, [1, 1]);

    // One that is killed may lose what it learned within the last seconds.
    pool.server.terminate();
    pool.start_server();
    let list = pool.until_comfyuis(|all| all.iter().all(|comfyui| comfyui["status"] == "up")).await;
    for (number, model) in MODELS.iter().enumerate() {
        assert_eq!(
            list["comfyuis"][number]["warm_models"],
            json!([model]),
            "a new process knows what is in memory"
        );
    }
    for (model, seed) in [(1, 50), (0, 51), (0, 52), (1, 53)] {
        let id = pool.submit(&format!("model{model}"), &json!({"seed": seed})).await;
        assert_eq!(pool.completed(&id).await, model);
    }
    assert_eq!(loads(&pool).await, [1, 1]);
}

#[actix_rt::test]
async fn a_drained_comfyui_ends_its_jobs_and_gets_none_also_after_a_restart_of_the_server() {
    let mut pool = Pool::start(2, &[]);
    pool.until_up().await;
    let runs = pool.submit("test-progress", &endless(1)).await;
    let drained = pool.running(&runs).await;
    pool.post(&format!("/api/comfyui/gpu{drained}/drain")).await;
    for round in 0..2 {
        pool.until_comfyuis(|all| all[drained]["draining"] == true && all[drained]["jobs"] == json!([runs]))
            .await;
        for seed in 0..4 {
            let id = pool.submit("test-progress", &job(1, 0, 10 * (round + 1) + seed)).await;
            assert_ne!(pool.completed(&id).await, drained);
        }
        pool.restart_server();
        pool.until_up().await;
    }
    assert_eq!(pool.record(&runs).await["status"], "running", "it has nothing to do with that");
    pool.cancel(&runs).await;
    pool.until_comfyuis(|all| all[drained]["jobs"] == json!([])).await;
    pool.post(&format!("/api/comfyui/gpu{drained}/resume")).await;
    let mut at = HashSet::new();
    for seed in 100..102 {
        let id = pool.submit("test-progress", &endless(seed)).await;
        at.insert(pool.running(&id).await);
    }
    assert_eq!(at.len(), 2, "both get jobs");
    pool.restart_server();
    let list = pool.until_comfyuis(|all| all.iter().all(|comfyui| comfyui["status"] == "up")).await;
    assert!(
        list["comfyuis"].as_array().unwrap().iter().all(|comfyui| comfyui["draining"] == false),
        "{list}"
    );
}
