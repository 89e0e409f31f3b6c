//! Failover: a ComfyUI that hangs or dies gets no more jobs, its jobs run elsewhere, and it is asked less and less often.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use comfy_runner::server::Settings;
use comfy_runner_client::Config;
use comfy_runner_jobs::{ComfyUi, JobsConfig, LostJobs};
use serde_json::{Value, json};
use support::pool::{Pool, endless, job};
use support::process::{Asked, Simulated};
use support::{Api, PATIENCE, eventually, fixtures, settings, simulator};

fn comfyui(number: usize, url: &str) -> ComfyUi {
    ComfyUi::new(&format!("gpu{number}"), Config::new(url.parse().unwrap())).unwrap().with_depth(1)
}

const GONE: &str = "the job's ComfyUI cannot be reached any more";
const DROPPED: &str =
    "ComfyUI no longer knows this job: it restarted and dropped its queue, or somebody cleared it";

/// Two simulators as processes, and a server that notices within seconds that one of them is silent.
struct Impatient {
    simulators: Vec<Simulated>,
    api: Api,
    _folder: tempfile::TempDir,
}

impl Impatient {
    async fn start() -> Self {
        Self::start_with(|jobs| jobs.with_failover_after(Duration::ZERO)).await
    }

    async fn start_with(jobs: impl FnOnce(JobsConfig) -> JobsConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulators: Vec<_> =
            (0..2).map(|number| Simulated::start(&folder.path().join(number.to_string()))).collect();
        let comfyuis = simulators.iter().enumerate().map(|(number, simulated)| {
            let mut comfyui = comfyui(number, &simulated.url);
            comfyui.client.timeouts.reply = Duration::from_secs(15);
            comfyui.client.socket.ping_every = Duration::from_millis(250);
            comfyui.client.socket.silence_max = Duration::from_secs(5);
            comfyui
        });
        let settings = settings("http://127.0.0.1:9");
        let jobs = jobs(settings.jobs.clone());
        let api = serve(&Settings { comfyuis: comfyuis.collect(), jobs, ..settings });
        let all = Self { simulators, api, _folder: folder };
        all.until_statuses(["up", "up"]).await;
        all
    }

    async fn until_statuses(&self, statuses: [&str; 2]) {
        until(&self.api, "/api/comfyui", |list| {
            (0..2).all(|number| list["comfyuis"][number]["status"] == statuses[number])
        })
        .await;
    }

    /// Waits until a job runs, and returns the number of its ComfyUI.
    async fn running(&self, prompt_id: &str) -> usize {
        let path = format!("/api/jobs/{prompt_id}");
        let record = until(&self.api, &path, |record| record["status"] == "running").await;
        support::pool::number(&record["comfyui"])
    }

    /// Waits until a job is lost for this reason, and returns the job that repeats it.
    async fn repeated(&self, prompt_id: &str, why: &str) -> String {
        let path = format!("/api/jobs/{prompt_id}");
        let lost = until(&self.api, &path, |record| record["status"] == "error").await;
        let error = lost["error"].as_str().unwrap();
        let Some((reason, again)) = error.split_once("; it was submitted again as ") else {
            panic!("{error}")
        };
        assert_eq!(reason, why);
        let record = self.api.get(&format!("/api/jobs/{again}")).await.json();
        assert_eq!(
            (&record["retry_of"], &record["automatic"], &record["seeds"]),
            (&json!(prompt_id), &json!(true), &self.api.get(&path).await.json()["seeds"])
        );
        again.to_owned()
    }
}

fn serve(settings: &Settings) -> Api {
    Api::start_with(settings, &fixtures().join("workflows"))
}

/// Waits until the answer is like this.
async fn until(api: &Api, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    support::until(path, async || api.get(path).await.json(), is).await
}

#[actix_rt::test]
async fn the_job_of_a_comfyui_that_hangs_is_run_by_another_and_stopped_when_that_one_goes_on() {
    let all = Impatient::start().await;
    let first = all.api.submit("test-progress", endless(7)).await;
    let hung = all.running(&first).await;
    all.simulators[hung].suspend();
    let second = all.repeated(&first, GONE).await;
    assert_eq!(all.running(&second).await, 1 - hung);
    let list = all.api.get("/api/comfyui").await.json();
    let seen = &list["comfyuis"][hung];
    assert_eq!((&seen["status"], &seen["jobs"]), (&json!("down"), &json!([])), "{seen}");
    let says = seen["last_error"].as_str().unwrap();
    assert!(says.contains("silent") || says.contains("did not answer"), "{says}");
    assert_eq!(all.api.get("/ready").await.status, 200, "one is left");

    all.simulators[hung].resume();
    all.until_statuses(["up", "up"]).await;
    // It was still running the job that the other one was given.
    let url = &all.simulators[hung].url;
    let queue = async || -> Value {
        all.api.http.get(format!("{url}/queue")).send().await.unwrap().json().await.unwrap()
    };
    let nothing = json!({"queue_running": [], "queue_pending": []});
    support::until("its queue", queue, |queue| *queue == nothing).await;
    let third = all.api.submit("test-progress", job(1, 0, 8)).await;
    assert_eq!(all.api.wait(&third).await["status"], "completed");
    let at = &all.api.get(&format!("/api/jobs/{third}")).await.json()["comfyui"];
    assert_eq!(support::pool::number(at), hung, "it gets jobs again");
    all.api.cancel(&second).await;
    all.api.stop().await;
}

#[actix_rt::test]
async fn a_job_that_a_comfyui_dropped_as_it_restarted_is_run_by_another_unless_lost_jobs_are_to_fail() {
    // So long that jobs are lost only because the ComfyUI is asked again.
    let long = Duration::from_secs(3600);
    let mut all = Impatient::start_with(|jobs| jobs.with_failover_after(long)).await;
    let first = all.api.submit("test-progress", endless(7)).await;
    let at = all.running(&first).await;
    all.simulators[at].restart();
    let second = all.repeated(&first, DROPPED).await;
    assert_eq!(all.running(&second).await, 1 - at);
    all.api.cancel(&second).await;
    all.api.stop().await;

    let fail = |jobs: JobsConfig| jobs.with_failover_after(Duration::ZERO).with_lost_jobs(LostJobs::Fail);
    let mut all = Impatient::start_with(fail).await;
    let first = all.api.submit("test-progress", endless(7)).await;
    let at = all.running(&first).await;
    all.simulators[at].restart();
    let ended = all.api.wait(&first).await;
    assert_eq!(
        (&ended["status"], &ended["error"]),
        (&json!("error"), &json!(format!("{DROPPED}; run it again")))
    );
    all.api.stop().await;
}

#[actix_rt::test]
async fn a_job_is_run_by_a_comfyui_that_was_down_when_the_job_was_sent() {
    let mut pool = Pool::start(2, &[]);
    pool.until_up().await;
    pool.simulators[1].kill();
    // The next server has never seen the schemas of the second one.
    pool.restart_server();
    pool.until_comfyuis(|all| all[0]["status"] == "up" && all[1]["status"] == "down").await;
    let first = pool.submit("test-progress", &endless(1)).await;
    assert_eq!(pool.running(&first).await, 0);
    pool.simulators[1].restart();
    pool.until_comfyuis(|all| all[1]["status"] == "up").await;
    pool.simulators[0].kill();
    let second = pool.repeated(&first).await;
    assert_eq!(pool.running(&second).await, 1);
}

#[actix_rt::test]
async fn a_job_that_is_sent_to_a_comfyui_that_has_just_hung_is_accepted_and_run_by_another() {
    let all = Impatient::start().await;
    // The schemas of both are known.
    let before = all.api.submit("test-progress", job(1, 0, 6)).await;
    assert_eq!(all.api.wait(&before).await["status"], "completed");
    all.simulators[0].suspend();
    // The server does not know yet, and of two that are idle it chooses the first.
    let first = all.api.submit("test-progress", job(1, 0, 7)).await;
    assert_eq!(all.api.get(&format!("/api/jobs/{first}")).await.json()["comfyui"], "gpu0");
    let second = all.repeated(&first, GONE).await;
    assert_eq!(all.api.wait(&second).await["status"], "completed");
    assert_eq!(all.api.get(&format!("/api/jobs/{second}")).await.json()["comfyui"], "gpu1");
    all.api.stop().await;
}

#[actix_rt::test]
async fn an_address_that_accepts_connections_and_never_answers_delays_no_job_and_not_readiness() {
    // The system accepts connections although the listener accepts none.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = simulator();
    let urls = [format!("http://{}", silent.local_addr().unwrap()), other.url()];
    let comfyuis = urls.iter().enumerate().map(|(number, url)| comfyui(number, url));
    let mut settings = settings("http://127.0.0.1:9");
    settings.comfyuis = comfyuis.collect();
    // If it were waited for, the test would fail at its own limit.
    settings.comfyuis[0].client.timeouts.reply = 2 * PATIENCE;
    let api = serve(&settings);
    until(&api, "/api/comfyui", |list| list["comfyuis"][1]["status"] == "up").await;
    for seed in 0..3 {
        let id = api.submit("test-progress", job(1, 0, seed)).await;
        assert_eq!(api.wait(&id).await["status"], "completed");
    }
    assert_eq!(api.get("/ready").await.status, 200);
    assert_eq!(api.get("/api/queue").await.status, 200);
    api.stop().await;
}

/// Listens at an address, closes every connection at once, and counts them.
async fn closing_listener() -> (String, Arc<AtomicUsize>) {
    let listener = actix_rt::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    actix_rt::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket);
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, count)
}

#[actix_rt::test]
async fn a_comfyui_that_is_down_is_asked_less_and_less_often_also_while_others_get_jobs() {
    let (steady, backing_off) = (closing_listener().await, closing_listener().await);
    let other = simulator();
    let urls = [steady.0, backing_off.0, other.url()];
    let comfyuis = urls.iter().enumerate().map(|(number, url)| comfyui(number, url));
    let mut settings = settings("http://127.0.0.1:9");
    settings.comfyuis = comfyuis.collect();
    let pause = Duration::from_millis(10);
    for (comfyui, longest) in settings.comfyuis.iter_mut().zip([pause, Duration::from_secs(3600)]) {
        (comfyui.client.socket.backoff_min, comfyui.client.socket.backoff_max) = (pause, longest);
    }
    let api = serve(&settings);
    until(&api, "/api/comfyui", |list| {
        let is = |number: usize, status: &str| list["comfyuis"][number]["status"] == status;
        is(0, "down") && is(1, "down") && is(2, "up")
    })
    .await;
    for seed in 0..20 {
        let id = api.submit("test-progress", job(1, 0, seed)).await;
        assert_eq!(api.wait(&id).await["status"], "completed");
    }
    // Each pause is at least half as long as it may be, so this measures the time.
    eventually("200 attempts with pauses that stay the same", || steady.1.load(Ordering::SeqCst) >= 200)
        .await;
    let attempts = backing_off.1.load(Ordering::SeqCst);
    // Pauses that double make 9 attempts in a second, and 15 in a minute.
    assert!((5..=20).contains(&attempts), "{attempts} attempts");
    api.stop().await;
}

#[actix_rt::test]
async fn the_server_is_ready_while_one_of_two_comfyuis_answers_and_again_when_one_comes_back() {
    let mut pool = Pool::start(2, &[]);
    pool.until_up().await;
    assert_eq!(ready(&pool).await, 200);
    pool.simulators[0].kill();
    pool.until_comfyuis(|all| all[0]["status"] == "down").await;
    assert_eq!(ready(&pool).await, 200);
    let id = pool.submit("test-progress", &job(1, 0, 1)).await;
    assert_eq!(pool.completed(&id).await, 1);

    pool.simulators[1].kill();
    pool.until_comfyuis(|all| all[1]["status"] == "down").await;
    until_ready_is(&pool, 503).await;
    let refused = pool.caller.execute(&pool.server.base, "test-progress", &job(1, 0, 2)).await;
    let Asked::Refused(500, detail) = refused else { panic!("{refused:?}") };
    assert!(detail.contains("cannot be reached: connection refused"), "{detail}");
    let left = pool.get("/api/jobs?status=pending,running").await;
    assert_eq!(left["jobs"], json!([]), "a request that is refused leaves no job");

    pool.simulators[0].restart();
    pool.until_comfyuis(|all| all[0]["status"] == "up").await;
    until_ready_is(&pool, 200).await;
    let id = pool.submit("test-progress", &job(1, 0, 3)).await;
    assert_eq!(pool.completed(&id).await, 0);
}

async fn ready(pool: &Pool) -> u16 {
    pool.caller.get(&format!("{}/ready", pool.server.base)).await.status.as_u16()
}

/// Waits for a status of `/ready`, whose answers are kept for a second.
async fn until_ready_is(pool: &Pool, status: u16) {
    support::until("/ready", async || ready(pool).await, |now| *now == status).await;
}

#[actix_rt::test]
async fn with_queue_while_down_a_job_waits_for_the_first_comfyui_that_comes_back() {
    let mut pool = Pool::start(2, &["--queue-while-down"]);
    pool.until_up().await;
    for simulated in &mut pool.simulators {
        simulated.kill();
    }
    pool.until_comfyuis(|all| all.iter().all(|comfyui| comfyui["status"] == "down")).await;
    let first = pool.submit("test-progress", &job(1, 0, 1)).await;
    let record = pool.record(&first).await;
    assert_eq!((&record["status"], &record["comfyui"]), (&json!("pending"), &Value::Null));

    // The next server has never seen a ComfyUI's schemas.
    pool.restart_server();
    let second = pool.submit("test-progress", &job(1, 0, 2)).await;
    pool.until_waiting(2).await;
    until_ready_is(&pool, 503).await;
    pool.simulators[1].restart();
    for id in [&first, &second] {
        assert_eq!(pool.completed(id).await, 1);
        assert_eq!(pool.record(id).await["automatic"], false, "it waited under its own id");
    }
    assert_eq!(pool.ran(1).await, [first, second]);
}

#[actix_rt::test]
async fn a_job_that_no_comfyui_can_run_ends_when_the_first_one_answers() {
    const MODEL: &str = "v1-5-pruned-emaonly-fp16.safetensors";
    let simulators: [&[&str]; 1] = [&["--step-ms", "0", "--without-model", MODEL]];
    let caller = support::process::Caller::new();
    let mut pool = Pool::start_with(&simulators, caller, &["--queue-while-down"]);
    pool.simulators[0].kill();
    pool.restart_server();
    let params = json!({"prompt": "a fox", "checkpoint": MODEL, "steps": 1, "seed": 1});
    let id = pool.submit("text-to-image", &params).await;
    let other = pool.submit("test-progress", &job(1, 0, 2)).await;
    pool.until_waiting(2).await;
    pool.simulators[0].restart();
    let ended = pool.until(&id, |record| !record["finished_at"].is_null()).await;
    assert_eq!(ended["status"], "error", "{ended}");
    assert!(ended["error"].as_str().unwrap().contains(MODEL), "{ended}");
    assert_eq!(pool.completed(&other).await, 0);
}

#[actix_rt::test]
async fn a_job_that_is_cancelled_while_no_comfyui_answers_never_reaches_one() {
    let mut pool = Pool::start(1, &["--queue-while-down"]);
    pool.until_up().await;
    pool.simulators[0].kill();
    pool.until_comfyuis(|all| all[0]["status"] == "down").await;
    let cancelled = pool.submit("test-progress", &job(1, 0, 1)).await;
    let runs = pool.submit("test-progress", &job(1, 0, 2)).await;
    pool.cancel(&cancelled).await;
    assert_eq!(pool.record(&cancelled).await["status"], "cancelled");
    pool.simulators[0].restart();
    pool.completed(&runs).await;
    let history = pool.ask(0, "/history").await;
    assert_eq!(history.as_object().unwrap().keys().collect::<Vec<_>>(), [&runs]);
}
