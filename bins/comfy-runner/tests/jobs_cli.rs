//! `comfy-runner jobs` against a server of its own.

mod support;

use std::process::Output;

use comfy_runner_api::Status;
use comfy_runner_store::{Sqlite, Store as _};
use serde_json::{Value, json};
use support::process::{Asked, Caller, Served, Simulated, comfy_runner};
use tempfile::TempDir;

struct Room {
    served: Served,
    // Dropped after the server that uses it.
    _simulated: Simulated,
    folder: TempDir,
}

impl Room {
    fn new(more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let simulated = Simulated::start(&folder.path().join("data"));
        let served = Served::start(&simulated.url, &folder.path().join("state"), more);
        Self { served, _simulated: simulated, folder }
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
    let running = room.execute(json!({"steps": 10_000, "delay_ms": 50})).await;
    let pending = room.execute(json!({"steps": 10_000, "delay_ms": 50})).await;
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
    let unreachable =
        comfy_runner().args(["jobs", "list", "--server", "http://127.0.0.1:9"]).output().unwrap();
    assert_eq!(unreachable.status.code(), Some(1));
    assert!(stderr(&unreachable).contains("start `comfy-runner serve`"), "{}", stderr(&unreachable));
}

#[actix_rt::test]
async fn after_a_clean_stop_the_database_is_one_file_with_every_job_in_it() {
    let mut room = Room::new(&[]);
    let prompt_id = room.execute(json!({"steps": 1, "delay_ms": 0})).await;
    Caller::new().over(&room.served.base, &prompt_id).await;
    assert!(room.served.terminate().success());
    let state = room.folder.path().join("state");
    // Beside it lies the folder of the file store.
    let entries = std::fs::read_dir(&state).unwrap().map(Result::unwrap);
    let files: Vec<_> =
        entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name()).collect();
    assert_eq!(files, ["jobs.sqlite3"]);
    let store = Sqlite::open(&state).unwrap();
    let record = store.get(&prompt_id).await.unwrap().unwrap();
    assert_eq!(record.summary.outcome.status, Status::Completed);
}

/// A foreign server with a fixed answer for each path.
async fn hostile(answers: &[(&str, Value)]) -> mockito::ServerGuard {
    let mut server = mockito::Server::new_async().await;
    for (path, answer) in answers {
        server
            .mock("GET", *path)
            .match_query(mockito::Matcher::Any)
            .with_body(answer.to_string())
            .create_async()
            .await;
    }
    server
}

#[actix_rt::test]
async fn nothing_that_a_server_says_steers_the_terminal() {
    const HOSTILE: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\r\n\u{202e}gnp";
    let job = json!({
        "prompt_id": HOSTILE, "client_id": HOSTILE, "workflow_id": HOSTILE, "workflow_name": HOSTILE,
        "output_folder": HOSTILE, "retry_of": HOSTILE, "automatic": false, "queued_at": HOSTILE, "status": "error",
        "started_at": HOSTILE, "finished_at": null, "error": HOSTILE, "warnings": [HOSTILE], "outputs": {},
        "params": {HOSTILE: HOSTILE}, "seeds": {HOSTILE: 1}, "input_files": [HOSTILE], "result_nodes": [HOSTILE],
        "graph": {},
    });
    let file = json!({
        "node_id": HOSTILE, "node_title": HOSTILE, "node_type": HOSTILE, "filename": HOSTILE, "subfolder": "",
        "type": "output", "media": "image", "media_type": HOSTILE, "url": HOSTILE,
    });
    let server = hostile(&[
        ("/api/jobs", json!({"jobs": [job], "next_cursor": null})),
        ("/api/jobs/00000000-0000-4000-8000-000000000000", job.clone()),
        ("/api/jobs/00000000-0000-4000-8000-000000000000/files", json!({"files": [file]})),
    ])
    .await;
    let mut refusing = mockito::Server::new_async().await;
    let refusal = json!({"detail": HOSTILE}).to_string();
    refusing
        .mock("GET", "/api/jobs/00000000-0000-4000-8000-000000000000")
        .with_status(400)
        .with_body(refusal)
        .create_async()
        .await;
    let mut strange = job.clone();
    strange["status"] = HOSTILE.into();
    let strange = hostile(&[("/api/jobs/00000000-0000-4000-8000-000000000000", strange)]).await;
    let mut watched = mockito::Server::new_async().await;
    let events = format!(
        "event: progress\ndata: {}\n\nevent: end\ndata: {}\n\n",
        json!({"type": "progress", "prompt_id": "x", "client_id": HOSTILE, "data": {
            "status": "running", "node_title": HOSTILE, "node_type": HOSTILE, "step": 1, "total_steps": 9, "percent": 5,
            "nodes_done": 1, "total_nodes": 1, "effective_total": 1, "cached_count": 0, "eta_seconds": null,
            "step_rate": 0.0, "node_outputs": {},
        }}),
        json!({"id": 1, "type": "job.failed", "timestamp": HOSTILE, "severity": "error", "message": HOSTILE, "data": {
            "prompt_id": "x", "client_id": HOSTILE, "workflow_id": HOSTILE, "status": "error", "error": HOSTILE,
        }}),
    );
    watched
        .mock("GET", "/api/run/events/00000000-0000-4000-8000-000000000000")
        .with_body(events)
        .create_async()
        .await;

    for (url, arguments) in [
        (server.url(), &["list"][..]),
        (server.url(), &["list", "--json"]),
        (server.url(), &["show", "00000000-0000-4000-8000-000000000000"]),
        (server.url(), &["show", "00000000-0000-4000-8000-000000000000", "--json"]),
        (refusing.url(), &["show", "00000000-0000-4000-8000-000000000000"]),
        (strange.url(), &["show", "00000000-0000-4000-8000-000000000000"]),
        (watched.url(), &["watch", "00000000-0000-4000-8000-000000000000"]),
        (watched.url(), &["watch", "00000000-0000-4000-8000-000000000000", "--json"]),
    ] {
        let output = comfy_runner().args(["jobs", "--server", &url]).args(arguments).output().unwrap();
        let shown = format!("{}{}", stdout(&output), stderr(&output));
        assert!(shown.contains("\\u001b]0;owned\\u0007"), "{arguments:?}: {shown:?}");
        let steering = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!shown.contains(steering), "{arguments:?}: {shown:?}");
        if arguments.contains(&"--json") {
            for line in stdout(&output).lines() {
                serde_json::from_str::<Value>(line).unwrap();
            }
        }
    }
    let listed = comfy_runner().args(["jobs", "list", "--json", "--server", &server.url()]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&listed.stdout).unwrap()["jobs"][0]["error"], HOSTILE);
    let table = comfy_runner().args(["jobs", "list", "--server", &server.url()]).output().unwrap();
    assert_eq!(stdout(&table).lines().count(), 2, "a line break in a cell makes no row");
}

#[test]
fn errors_about_the_server_do_not_speak_of_comfyui() {
    for url in ["", "nonsense", "ftp://x", "http://user:pw@x", "http://x?y", "http://", "http://127.0.0.1:9"]
    {
        let output = comfy_runner().args(["jobs", "list", "--server", url]).output().unwrap();
        let said = stderr(&output);
        assert!(!output.status.success() && said.contains("server"), "{url}: {said}");
        assert!(!said.contains("ComfyUI") && !said.contains("8188"), "{url}: {said}");
    }
}

#[actix_rt::test]
async fn files_are_downloaded_and_a_record_is_deleted_by_an_abbreviated_id() {
    let room = Room::new(&[]);
    let prompt_id = room.execute(json!({"steps": 1, "delay_ms": 0})).await;
    Caller::new().over(&room.served.base, &prompt_id).await;
    let short = &prompt_id[..8];
    let out = room.folder.path().join("out");
    let out = out.to_str().unwrap();

    let saved = room.jobs(&["download", short, "-o", out]);
    assert!(saved.status.success(), "{}", stderr(&saved));
    assert_eq!(stdout(&saved), format!("{out}/test-progress_{short}.png\n"));
    assert!(image::open(stdout(&saved).trim()).is_ok());
    let again = room.jobs(&["download", short, "-o", out]);
    assert_eq!(stdout(&again), format!("{out}/test-progress_{short}_2.png\n"), "nothing is overwritten");

    let deleted = room.jobs(&["delete", short]);
    assert_eq!(stdout(&deleted), format!("{prompt_id} deleted\n"), "{}", stderr(&deleted));
    let gone = room.jobs(&["delete", short]);
    assert!(!gone.status.success() && stderr(&gone).contains(short), "{}", stderr(&gone));
}

#[actix_rt::test]
async fn an_ambiguous_abbreviation_is_an_error_that_names_the_jobs() {
    let room = Room::new(&[]);
    // Of seventeen ids two begin with the same digit.
    let mut ids = Vec::new();
    for _ in 0..17 {
        ids.push(room.execute(json!({"steps": 1, "delay_ms": 0})).await);
    }
    let digit =
        "0123456789abcdef".chars().find(|&digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1);
    let digit = digit.unwrap().to_string();
    let refused = room.jobs(&["show", &digit]);
    assert!(!refused.status.success());
    assert!(
        stderr(&refused).contains(&format!("jobs begin with \"{digit}\": {digit}")),
        "{}",
        stderr(&refused)
    );
}
