//! A store that cannot be written: callers get an error, and nothing is sent to ComfyUI that is not recorded.

#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use comfy_runner_store::Store as _;
use serde_json::{Value, json};
use support::faulty_store::FaultyStore;
use support::process::{Asked, Caller, Served, Simulated, comfy_runner, without_configuration};
use support::{Api, Form, fixtures, settings, simulator, until};

/// Asks for a job, and waits for its end if it is taken: afterwards nothing moves on ComfyUI.
async fn ask(server: &Served) -> Asked {
    let caller = Caller::new();
    let asked = caller.execute(&server.base, "no-model", &json!({})).await;
    if let Asked::Taken(id) = &asked {
        assert_eq!(caller.over(&server.base, id).await["status"], "completed");
    }
    asked
}

/// As many prompts as ComfyUI has ever been sent.
async fn sent(simulator: &Simulated) -> usize {
    let caller = Caller::new();
    let history = caller.get(&format!("{}/history", simulator.url)).await.json();
    let queue: Value = caller.get(&format!("{}/queue", simulator.url)).await.json();
    let waiting = |key: &str| queue[key].as_array().unwrap().len();
    history.as_object().unwrap().len() + waiting("queue_running") + waiting("queue_pending")
}

/// Asks for jobs until none has room, and returns the last one that had. Records differ in the pages that they change, so the
/// first one without room may be followed by others that have it.
async fn until_full(server: &Served) -> Option<String> {
    let (mut last, mut refused) = (None, 0);
    for _ in 0..500 {
        match ask(server).await {
            Asked::Taken(id) => (last, refused) = (Some(id), 0),
            _ => refused += 1,
        }
        if refused == 10 {
            return last;
        }
    }
    panic!("a full disk takes jobs")
}

/// The server refuses a job with 503 and words about the store, no path among them, and ComfyUI hears nothing.
async fn refuses(server: &Served, simulator: &Simulated, state: &Path, words: &str) {
    let before = sent(simulator).await;
    let Asked::Refused(status, detail) = ask(server).await else { panic!("it takes jobs") };
    assert_eq!(status, 503, "{detail}");
    assert!(detail.starts_with("the job was not submitted, as it cannot be recorded: "), "{detail}");
    assert!(detail.contains(words), "{detail}");
    assert!(!detail.contains(state.to_str().unwrap()), "{detail}");
    assert_eq!(sent(simulator).await, before);
}

#[actix_rt::test]
async fn a_disk_that_takes_no_more_is_503_before_anything_is_sent() {
    let (data, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let simulator = Simulated::start(data.path());
    // No file may grow beyond some 256 KiB; the signal is ignored, so that writing fails.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_comfy-runner"),
    ]);
    let server =
        Served::try_start(without_configuration(command), &simulator.url, state.path(), &[]).unwrap();
    let last = until_full(&server).await;
    refuses(&server, &simulator, state.path(), "look at its disk").await;
    // Known jobs are still reported.
    let last = last.expect("there was room for a job");
    assert_eq!(Caller::new().over(&server.base, &last).await["status"], "completed");
}

/// A file system of one megabyte, gone when this is dropped.
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    /// Returns none if the user may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("SKIPPED: a file system cannot be mounted here");
        }
        mounted.then_some(Self(folder))
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,size=1m,{how}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "a file system stays mounted");
    }
}

#[actix_rt::test]
async fn a_full_disk_is_503_until_there_is_room_and_on_a_read_only_one_no_server_starts() {
    let Some(disk) = TinyDisk::mount() else { return };
    let data = tempfile::tempdir().unwrap();
    let simulator = Simulated::start(data.path());
    let state = disk.0.path();
    let mut server = Served::start(&simulator.url, state, &[]);
    assert!(matches!(ask(&server).await, Asked::Taken(_)));

    let filler = state.join("filler");
    let full = std::fs::write(&filler, vec![1; 2 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    until_full(&server).await;
    refuses(&server, &simulator, state, "its disk is full").await;
    std::fs::remove_file(&filler).unwrap();
    let Asked::Taken(id) = ask(&server).await else { panic!("there is room again") };
    assert_eq!(Caller::new().over(&server.base, &id).await["status"], "completed");
    server.kill();

    disk.remount("ro");
    let log = Served::try_start(comfy_runner(), &simulator.url, state, &[]).err().expect("it starts");
    assert!(log.contains("cannot remember jobs in") && log.contains("(--state-dir)"), "{log}");
    disk.remount("rw");
    let server = Served::start(&simulator.url, state, &[]);
    assert_eq!(Caller::new().over(&server.base, &id).await["status"], "completed");
}

#[actix_rt::test]
async fn a_state_folder_that_is_a_file_or_in_use_keeps_the_server_from_starting() {
    let state = tempfile::tempdir().unwrap();
    let nowhere = "http://127.0.0.1:9";
    let file = state.path().join("file");
    std::fs::write(&file, "").unwrap();
    let log = Served::try_start(comfy_runner(), nowhere, &file, &[]).err().expect("it starts");
    assert!(log.contains("cannot remember jobs in") && log.contains("(--state-dir)"), "{log}");
    let _first = Served::start(nowhere, state.path(), &[]);
    let log = Served::try_start(comfy_runner(), nowhere, state.path(), &[]).err().expect("it starts");
    assert!(log.contains("another process uses this store of jobs"), "{log}");
}

#[actix_rt::test]
async fn a_record_that_cannot_be_written_is_503_and_its_prompt_does_not_stay() {
    let simulator = simulator();
    let store = FaultyStore::unrecorded(3);
    let mut settings = settings(&simulator.url());
    settings.store = Arc::clone(&store) as _;
    let api = Api::start_with(&settings, &fixtures().join("workflows"));
    let path = "/api/run/test-progress/execute";
    let form = || Form::new().params(json!({"steps": 10_000, "delay_ms": 20, "seed": 1}));
    let idle = async || {
        let queue = api.get("/api/queue").await.json();
        assert_eq!((&queue["running"], &queue["pending"]), (&json!(0), &json!(0)), "{queue}");
    };

    // This prompt is sent while its record is written.
    let refused = api.post(path, form()).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.detail().starts_with("the job was not submitted, as it cannot be recorded: "));
    idle().await;

    // One that was interrupted is counted when it has ended.
    let queue = async || -> Value {
        api.http.get(format!("{}/queue", simulator.url())).send().await.unwrap().json().await.unwrap()
    };
    let nothing = json!({"queue_running": [], "queue_pending": []});
    until("ComfyUI's queue", queue, |queue| *queue == nothing).await;

    // With a key, and while the store fails, nothing is sent before the record is on the disk.
    let executed = simulator.executed_prompts();
    for key in [Some("k"), None] {
        let refused = match key {
            Some(key) => api.post_with_key(path, key, form()).await,
            None => api.post(path, form()).await,
        };
        assert_eq!(refused.status, 503, "{}", refused.text());
        idle().await;
    }
    assert_eq!(simulator.executed_prompts(), executed);
    assert!(store.by_key("k").await.unwrap().is_none());
    let jobs = api.get("/api/jobs").await.json();
    assert_eq!(jobs["jobs"], json!([]), "there is no record of them");

    let job = api.execute("test-progress", json!({"steps": 1, "delay_ms": 0, "seed": 1})).await;
    assert_eq!(api.wait(job["prompt_id"].as_str().unwrap()).await["status"], "completed");
    api.stop().await;
}
