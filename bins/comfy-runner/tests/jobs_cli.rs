//! `comfy-runner jobs` against a server of its own.

mod support;

use std::process::Output;

use serde_json::{Value, json};
use support::process::{Asked, Caller, Served, Simulated, comfy_runner};
use tempfile::TempDir;

struct Room {
    served: Served,
    // Dropped after the server that uses it.
    _simulated: Simulated,
    _folder: TempDir,
}

impl Room {
    fn new(more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let simulated = Simulated::start(&folder.path().join("data"));
        let served = Served::start(&simulated.url, &folder.path().join("state"), more);
        Self { served, _simulated: simulated, _folder: folder }
    }

    fn jobs(&self, arguments: &[&str]) -> Output {
        let mut command = comfy_runner();
        command.args(["jobs", "--server", &self.served.base]).args(arguments);
        command.output().unwrap()
    }

    async fn execute(&self, params: Value) -> String {
        let caller = Caller::new();
        match caller.execute(&self.served.base, "test-progress", &params).await {
            Asked::Taken(prompt_id) => prompt_id,
            other => panic!("{other:?}"),
        }
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[actix_rt::test]
async fn jobs_are_listed_shown_and_filtered() {
    let room = Room::new(&[]);
    assert_eq!(stdout(&room.jobs(&["list"])), "no jobs\n");
    let first = room.execute(json!({"steps": 1, "delay_ms": 0, "seed": 5})).await;
    let second = room.execute(json!({"steps": 1, "delay_ms": 0})).await;
    for prompt_id in [&first, &second] {
        Caller::new().over(&room.served.base, prompt_id).await;
    }
    let table = stdout(&room.jobs(&["list"]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("PROMPT ID") && lines[1].starts_with(&second), "{table}");
    assert!(lines[2].starts_with(&first) && lines[2].contains("test-progress  completed"), "{table}");

    let listed: Value =
        serde_json::from_slice(&room.jobs(&["list", "--json", "--limit", "1"]).stdout).unwrap();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(listed["jobs"][0]["prompt_id"], second.as_str());
    assert_eq!(stdout(&room.jobs(&["list", "--status", "error,cancelled"])), "no jobs\n");
    let wrong = room.jobs(&["list", "--status", "eaten"]);
    assert!(!wrong.status.success() && stderr(&wrong).contains("eaten"), "{}", stderr(&wrong));

    let shown = stdout(&room.jobs(&["show", &first]));
    assert!(shown.contains("Status     completed") && shown.contains("  seed: 5"), "{shown}");
    assert!(shown.contains("Files\n  ") && shown.contains("/api/comfyui/view?"), "{shown}");
    let record: Value = serde_json::from_slice(&room.jobs(&["show", &first, "--json"]).stdout).unwrap();
    assert_eq!(record["seeds"], json!({"seed": 5}));
}

#[actix_rt::test]
async fn a_job_is_watched_to_its_end_and_run_once_more() {
    let room = Room::new(&[]);
    let prompt_id = room.execute(json!({"steps": 5, "delay_ms": 20, "seed": 9})).await;
    let watched = room.jobs(&["watch", &prompt_id]);
    assert!(watched.status.success(), "{}", stderr(&watched));
    assert!(stdout(&watched).contains("completed"), "{}", stdout(&watched));
    let messages = stdout(&room.jobs(&["watch", &prompt_id, "--json"]));
    let last: Value = serde_json::from_str(messages.lines().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["data"]["prompt_id"]), (&json!("job.completed"), &json!(prompt_id)));

    let again: Value = serde_json::from_slice(&room.jobs(&["retry", &prompt_id, "--json"]).stdout).unwrap();
    assert_eq!((&again["retry_of"], &again["seeds"]), (&json!(prompt_id), &json!({"seed": 9})));
    let watched = room.jobs(&["watch", again["prompt_id"].as_str().unwrap()]);
    assert!(watched.status.success(), "{}", stderr(&watched));
}

#[actix_rt::test]
async fn jobs_are_cancelled_and_what_is_over_is_told() {
    let room = Room::new(&[]);
    let running = room.execute(json!({"steps": 1000, "delay_ms": 50})).await;
    let pending = room.execute(json!({"steps": 1000, "delay_ms": 50})).await;
    let cancelled = room.jobs(&["cancel", &pending, &running]);
    assert!(cancelled.status.success(), "{}", stderr(&cancelled));
    assert_eq!(stdout(&cancelled), format!("{pending} cancelled\n{running} cancelled\n"));
    let again = room.jobs(&["cancel", &running]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("the job is over"), "{}", stderr(&again));
    let watched = room.jobs(&["watch", &running]);
    assert_eq!(watched.status.code(), Some(1), "a cancelled job is no success");
}

#[actix_rt::test]
async fn errors_name_the_thing_and_the_fix() {
    let room = Room::new(&["--api-key", "secret"]);
    let keyless = room.jobs(&["list"]);
    assert!(stderr(&keyless).contains("--api-key or COMFY_RUNNER_API_KEY"), "{}", stderr(&keyless));
    let unknown = room.jobs(&["show", "no-such-job", "--api-key", "secret"]);
    assert!(stderr(&unknown).contains("no-such-job"), "{}", stderr(&unknown));
    assert_eq!(stdout(&room.jobs(&["list", "--api-key", "secret"])), "no jobs\n");
    let nobody = comfy_runner().args(["jobs", "list", "--server", "http://127.0.0.1:9"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("start `comfy-runner serve`"), "{}", stderr(&nobody));
}
