//! Jobs outlive whatever dies: the real server and the simulator as processes of their own, killed at random instants.
//! The same, shorter, against a real ComfyUI with `fixtures/comfyui_test_nodes` when `COMFYUI_URL` names one.

mod support;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_store::Record;
use futures::StreamExt as _;
use rand::RngExt as _;
use serde_json::{Value, json};
use support::process::{Asked, Caller, Served, Simulated, records};

/// The number of concurrent requests.
const AT_ONCE: usize = 8;

async fn pause(milliseconds: std::ops::Range<u64>) {
    actix_rt::time::sleep(Duration::from_millis(rand::rng().random_range(milliseconds))).await;
}

/// Submits so many jobs, each with its own seed, while `chaos` runs. A request is sent again only if the server did not
/// receive it. Returns the outcome of each, by seed.
async fn ask_for(
    jobs: u64,
    delay_ms: u64,
    server: &Rc<RefCell<Served>>,
    chaos: impl Future<Output = ()>,
) -> HashMap<u64, Asked> {
    let caller = Caller::new();
    // The seeds of one run are no other run's: a real ComfyUI would have them in its cache.
    let first = u64::from(rand::random::<u32>()) << 16;
    let asking = futures::stream::iter(first..first + jobs).map(|seed| {
        let (caller, server) = (caller.clone(), Rc::clone(server));
        async move {
            loop {
                let base = base_of(&server);
                let params = json!({"steps": 3, "delay_ms": delay_ms, "seed": seed, "preview": false});
                match caller.execute(&base, "test-progress", &params).await {
                    Asked::NotHeard => pause(10..30).await,
                    asked => return (seed, asked),
                }
            }
        }
    });
    let (asked, ()) = futures::future::join(asking.buffer_unordered(AT_ONCE).collect(), chaos).await;
    asked
}

fn taken(asked: &HashMap<u64, Asked>) -> Vec<(u64, &str)> {
    let taken = asked.iter().filter_map(|(seed, asked)| match asked {
        Asked::Taken(id) => Some((*seed, id.as_str())),
        _ => None,
    });
    taken.collect()
}

/// Waits until no job of a server is open.
async fn all_over(base: &str, prompt_ids: impl Iterator<Item = String>) -> HashMap<String, Value> {
    let caller = Caller::new();
    let mut statuses = HashMap::new();
    for prompt_id in prompt_ids {
        let status = caller.over(base, &prompt_id).await;
        statuses.insert(prompt_id, status);
    }
    statuses
}

async fn downloads(base: &str, prompt_id: &str) {
    let reply = Caller::new().get(&format!("{base}/api/run/result/{prompt_id}")).await;
    assert_eq!(reply.status, 200, "{prompt_id}: {}", reply.text());
    assert!(reply.body.starts_with(b"\x89PNG"), "{prompt_id}: not a PNG");
}

fn base_of(server: &RefCell<Served>) -> String {
    server.borrow().base.clone()
}

fn restart(server: &Rc<RefCell<Served>>, comfyui: &str, state: &Path, more: &[&str]) {
    server.borrow_mut().kill();
    let started = Served::start(comfyui, state, more);
    *server.borrow_mut() = started;
}

/// Kills the server again and again while jobs come in, and sees that each is what ComfyUI says of it.
async fn kill_the_server(comfyui: &str, jobs: u64, kills: usize) -> HashMap<String, Value> {
    let state = tempfile::tempdir().unwrap();
    let server = Rc::new(RefCell::new(Served::start(comfyui, state.path(), &[])));
    let asked = ask_for(jobs, 4, &server, async {
        for _ in 0..kills {
            pause(100..600).await;
            restart(&server, comfyui, state.path(), &[]);
        }
    })
    .await;
    let taken = taken(&asked);
    // A kill loses the answers of requests in flight, and no others.
    assert!(taken.len() + kills * AT_ONCE >= jobs as usize, "{asked:?}");
    assert!(asked.values().all(|asked| matches!(asked, Asked::Taken(_) | Asked::NoAnswer)), "{asked:?}");

    // One more death with everything that is left open, and what was written down is all that the next one has.
    restart(&server, comfyui, state.path(), &[]);
    let statuses = all_over(&base_of(&server), taken.iter().map(|(_, id)| (*id).to_owned())).await;
    for (id, status) in &statuses {
        assert_eq!(status["status"], "completed", "{id}: {status}");
        downloads(&base_of(&server), id).await;
    }
    server.borrow_mut().kill();
    let recorded = records(state.path()).await;
    for (seed, id) in &taken {
        assert_eq!(recorded[*id].seeds["seed"], *seed);
    }
    // Jobs whose answer was lost are over as well, with the right status.
    let server = Served::start(comfyui, state.path(), &[]);
    let statuses = all_over(&server.base, recorded.keys().cloned()).await;
    let seeds: HashSet<_> = recorded.values().map(|record| record.seeds["seed"]).collect();
    assert_eq!(seeds.len(), recorded.len(), "a request is one job");
    let caller = Caller::new();
    for (id, status) in &statuses {
        let history = caller.get(&format!("{comfyui}/history/{id}")).await.json();
        let known = history.get(id).is_some();
        match status["status"].as_str() {
            Some("completed") => {
                assert_eq!(history[id]["status"]["status_str"], "success", "{id}");
                downloads(&server.base, id).await;
            }
            Some("error") => {
                assert!(!known, "{id} is in the history, and here {status}");
                assert!(
                    status["error"].as_str().unwrap().contains("ComfyUI does not know this job"),
                    "{status}"
                );
            }
            _ => panic!("{id}: {status}"),
        }
    }
    eprintln!(
        "{jobs} requests, {kills} kills: {} answered, {} recorded, {} ended as never taken",
        taken.len(),
        recorded.len(),
        statuses.values().filter(|status| status["status"] == "error").count()
    );
    statuses
}

#[actix_rt::test]
async fn a_server_that_is_killed_again_and_again_loses_no_job_and_runs_none_twice() {
    let data = tempfile::tempdir().unwrap();
    let simulator = Simulated::start(data.path());
    let statuses = kill_the_server(&simulator.url, 200, 8).await;

    let caller = Caller::new();
    let history = caller.get(&format!("{}/history", simulator.url)).await.json();
    let history = history.as_object().unwrap();
    let completed = statuses.values().filter(|status| status["status"] == "completed").count();
    assert_eq!(history.len(), completed, "ComfyUI ran what is recorded, and nothing else");
    let mut numbers: Vec<_> =
        history.values().map(|entry| entry["prompt"][0].as_f64().unwrap() as usize).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..history.len()), "no prompt was sent twice under its id");
}

#[actix_rt::test]
async fn a_real_comfyui_keeps_the_jobs_of_a_server_that_is_killed() {
    match std::env::var("COMFYUI_URL") {
        Ok(url) if !url.is_empty() => {
            kill_the_server(url.trim_end_matches('/'), 60, 4).await;
        }
        _ => eprintln!("SKIPPED: COMFYUI_URL is not set"),
    }
}

async fn until_a_job_runs(base: &str) {
    let caller = Caller::new();
    loop {
        let queue = caller.get(&format!("{base}/api/queue")).await;
        // While no ComfyUI answers, there is no queue to show.
        if queue.status == 200
            && queue.json()["jobs"].as_array().unwrap().iter().any(|job| job["status"] == "running")
        {
            return;
        }
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Kills ComfyUI again and again while jobs come in. Returns what the server wrote down.
async fn kill_comfyui(more: &[&str]) -> (HashMap<String, Record>, HashMap<u64, Asked>) {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let simulator = RefCell::new(Simulated::start(data.path()));
    let url = simulator.borrow().url.clone();
    let server = Rc::new(RefCell::new(Served::start(&url, state.path(), more)));
    let asked = ask_for(60, 50, &server, async {
        for _ in 0..3 {
            pause(50..200).await;
            // Otherwise a slow machine may have nothing to lose yet.
            until_a_job_runs(&base_of(&server)).await;
            simulator.borrow_mut().restart();
        }
    })
    .await;
    for asked in asked.values() {
        match asked {
            Asked::Taken(_) => {}
            Asked::Refused(500, detail) => assert!(detail.contains("ComfyUI at "), "{detail}"),
            other => panic!("{other:?}"),
        }
    }
    all_over(&base_of(&server), taken(&asked).into_iter().map(|(_, id)| id.to_owned())).await;
    // Repetitions, and jobs that ComfyUI may not have, are jobs as well.
    server.borrow_mut().kill();
    let recorded = records(state.path()).await;
    restart(&server, &url, state.path(), more);
    all_over(&base_of(&server), recorded.keys().cloned()).await;
    for (id, record) in &recorded {
        if record.summary.outcome.status == Status::Completed {
            // Most of them ComfyUI has forgotten.
            downloads(&base_of(&server), id).await;
        }
    }
    server.borrow_mut().kill();
    (records(state.path()).await, asked)
}

fn is_lost(record: &Record) -> bool {
    let error = record.summary.outcome.error.as_deref();
    error.is_some_and(|error| error.contains("ComfyUI no longer knows this job"))
}

#[actix_rt::test]
async fn jobs_that_comfyui_takes_with_it_as_it_dies_end_as_errors_that_say_so() {
    let (recorded, asked) = kill_comfyui(&[]).await;
    let taken = taken(&asked);
    for (seed, id) in &taken {
        let record = &recorded[*id];
        assert_eq!(record.seeds["seed"], *seed);
        assert!(record.summary.outcome.status == Status::Completed || is_lost(record), "{record:?}");
    }
    assert!(recorded.values().any(is_lost), "no kill hit a job");
    assert!(recorded.values().any(|record| record.summary.outcome.status == Status::Completed));
    assert!(recorded.values().all(|record| record.summary.retry_of.is_none()));
}

#[actix_rt::test]
async fn jobs_that_comfyui_takes_with_it_are_submitted_again_at_most_twice_with_their_seeds() {
    let (recorded, asked) = kill_comfyui(&["--lost-jobs", "retry"]).await;
    let mut repetitions: HashMap<&str, Vec<&Record>> = HashMap::new();
    for record in recorded.values().filter(|record| record.summary.automatic) {
        repetitions.entry(record.summary.retry_of.as_deref().unwrap()).or_default().push(record);
    }
    assert!(!repetitions.is_empty(), "no kill hit a job");
    for (_, id) in taken(&asked) {
        let (mut job, mut repeated) = (&recorded[id], 0);
        while job.summary.outcome.status != Status::Completed {
            let error = job.summary.outcome.error.as_deref().unwrap();
            let Some(again) = repetitions.get(&*job.summary.prompt_id) else {
                assert!(repeated == 2 || error.contains("so it is not submitted again"), "{job:?}");
                break;
            };
            assert!(is_lost(job), "{job:?}");
            let [again] = &again[..] else { panic!("{id} is repeated more than once") };
            assert_eq!((&again.seeds, &again.graph), (&job.seeds, &job.graph));
            assert!(error.ends_with(&format!("submitted again as {}", again.summary.prompt_id)), "{error}");
            repeated += 1;
            job = again;
        }
        assert!(repeated <= 2, "{id} is repeated {repeated} times");
        let is_done = job.summary.outcome.status == Status::Completed;
        assert!(
            !is_done || !repetitions.contains_key(&*job.summary.prompt_id),
            "{id} was done, and is run again"
        );
    }
}
