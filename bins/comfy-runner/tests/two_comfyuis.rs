//! Two real ComfyUIs behind one server, when `COMFYUI_URL` and `COMFYUI_URL_2` name them. Both need
//! `fixtures/comfyui_test_nodes`, and nothing else may use them meanwhile.

mod support;

use awc::http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use support::PATIENCE;
use support::connection::Connection;
use support::pool::job;
use support::process::{Caller, Served};

const JOBS: u64 = 24;

fn url_in(variable: &str) -> Option<url::Url> {
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty())?;
    Some(url.parse().unwrap_or_else(|error| panic!("{variable}={url}: {error}")))
}

/// A server of both, and what the test has seen of its jobs.
struct Runner {
    server: Served,
    caller: Caller,
}

impl Runner {
    async fn get(&self, path: &str) -> Value {
        self.caller.get(&format!("{}{path}", self.server.base)).await.json()
    }

    async fn until(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        // Real ComfyUIs take longer than simulators.
        support::until_within(3 * PATIENCE, path, async || self.get(path).await, is).await
    }

    async fn submit(&self, seed: u64) -> String {
        self.caller.submit(&self.server.base, "test-progress", &job(5, 100, seed)).await
    }

    /// Follows a job and its repetitions to the end of the last one, which must complete. Returns the ComfyUI of each.
    async fn completed(&self, prompt_id: &str) -> Vec<String> {
        let (mut id, mut comfyuis) = (prompt_id.to_owned(), Vec::new());
        loop {
            let record =
                self.until(&format!("/api/jobs/{id}"), |record| !record["finished_at"].is_null()).await;
            comfyuis.push(record["comfyui"].as_str().unwrap_or_default().to_owned());
            match record["error"].as_str().and_then(|error| error.rsplit_once("it was submitted again as ")) {
                Some((_, again)) => id = again.to_owned(),
                None => {
                    assert_eq!(record["status"], "completed", "{record}");
                    return comfyuis;
                }
            }
        }
    }
}

#[actix_rt::test]
async fn two_real_comfyuis_share_jobs_and_all_complete_although_one_is_gone_in_the_middle() {
    let (Some(one), Some(mut two)) = (url_in("COMFYUI_URL"), url_in("COMFYUI_URL_2")) else {
        eprintln!("SKIPPED: COMFYUI_URL and COMFYUI_URL_2 are not both set");
        return;
    };
    assert_eq!(two.scheme(), "http", "the test passes on the connection to COMFYUI_URL_2");
    let direct = two.clone();
    let address = format!("{}:{}", two.host_str().unwrap(), two.port_or_known_default().unwrap());
    let connection = Connection::open(&address).await;
    let (_, port) = connection.address.rsplit_once(':').unwrap();
    two.set_host(Some("127.0.0.1")).unwrap();
    two.set_port(Some(port.parse().unwrap())).unwrap();
    let state = tempfile::tempdir().unwrap();
    let server = Served::start(&format!("one={one},two={two}"), state.path(), &["--failover-after", "1"]);
    let runner = Runner { server, caller: Caller::new() };
    let up = |count: usize| {
        move |list: &Value| {
            list["comfyuis"].as_array().unwrap().iter().filter(|comfyui| comfyui["status"] == "up").count()
                == count
        }
    };
    let list = runner.until("/api/comfyui", up(2)).await;
    let versions = [&list["comfyuis"][0]["version"], &list["comfyuis"][1]["version"]];

    // The seeds of one run are no other run's, which ComfyUI would have in its cache.
    let first = u64::from(rand::random::<u32>()) << 16;
    let mut ids = Vec::new();
    for seed in first..first + JOBS {
        ids.push(runner.submit(seed).await);
    }
    let has_completed = |name: &'static str| {
        move |list: &Value| {
            let jobs = list["jobs"].as_array().unwrap();
            jobs.iter().any(|job| job["status"] == "completed" && job["comfyui"] == name)
        }
    };
    for name in ["one", "two"] {
        runner.until("/api/jobs?limit=100", has_completed(name)).await;
    }
    runner.until("/api/comfyui", |list| !list["comfyuis"][1]["running"].is_null()).await;
    connection.cut().await;
    // As a ComfyUI that was killed, it does nothing more.
    let http = awc::Client::default();
    for (path, body) in [("queue", json!({"clear": true})), ("interrupt", json!({}))] {
        let request =
            http.post(direct.join(path).unwrap().as_str()).insert_header((CONTENT_TYPE, "application/json"));
        let reply = request.send_body(body.to_string()).await.unwrap();
        assert_eq!(reply.status(), 200, "{path}");
    }
    let list = runner.until("/api/comfyui", up(1)).await;
    assert_eq!(list["comfyuis"][1]["status"], "down", "{list}");

    let (mut on, mut repeated) = ([0, 0], 0);
    for id in &ids {
        let comfyuis = runner.completed(id).await;
        on[usize::from(comfyuis.last().unwrap() == "two")] += 1;
        repeated += comfyuis.len() - 1;
        assert!(comfyuis[..comfyuis.len() - 1].iter().all(|comfyui| comfyui == "two"), "{comfyuis:?}");
    }
    assert!(on[0] > 0 && on[1] > 0 && repeated > 0, "{on:?}, {repeated} repeated");

    connection.mend();
    runner.until("/api/comfyui", up(2)).await;
    let mut later = Vec::new();
    for seed in first + JOBS..first + JOBS + 4 {
        later.push(runner.submit(seed).await);
    }
    let mut names = Vec::new();
    for id in &later {
        names.extend(runner.completed(id).await);
    }
    assert!(names.iter().any(|name| name == "two"), "it gets jobs again: {names:?}");
    eprintln!(
        "ComfyUI {} ran {}, ComfyUI {} ran {} until it was gone; {repeated} jobs were submitted again",
        versions[0], on[0], versions[1], on[1]
    );
}
