//! The store through its trait.

use std::sync::Arc;
use std::time::Duration;

use comfy_runner_api::Status;
use comfy_runner_progress::{Durations, MeanDuration};
use comfy_runner_protocol::Graph;
use comfy_runner_scheduler::JobTimes;
use comfy_runner_store::{
    Created, Deleted, EndedSession, Fault, Filter, Outcome, Page, Record, Retention, Sqlite, Store,
    StoreError, Summary,
};
use serde_json::json;

fn record(prompt_id: &str, queued_at: i64) -> Record {
    let graph = json!({"1": {"class_type": "KSampler", "inputs": {"seed": u64::MAX}}});
    let mut summary = Summary::new(prompt_id, "c", "w", queued_at);
    summary.workflow_name = "W".into();
    summary.output_folder = "f".into();
    let mut record = Record::new(summary, Arc::new(Graph::from_value(graph).unwrap()));
    record.params = json!({"prompt": "füchse", "cfg": 8.000000000000002}).as_object().unwrap().clone();
    record.seeds = [("seed".to_owned(), u64::MAX)].into_iter().collect();
    record.input_files = vec!["a.png".into()];
    record.result_nodes = vec!["1".into()];
    record.summary.metadata = Some(json!({"team": "a.b", "x-y_z.1": "ü"}));
    record
}

fn over(status: Status, finished_at: i64) -> Outcome {
    let outputs = json!({"1": [{"filename": "a.png", "subfolder": "f", "type": "output"}]});
    let mut outcome = Outcome::new(status, true);
    outcome.started_at = Some(2);
    outcome.finished_at = Some(finished_at);
    outcome.error = Some("why".into());
    outcome.warnings = vec!["a warning".into()];
    outcome.outputs = serde_json::from_value(outputs).unwrap();
    outcome.failed_node = Some("1".into());
    outcome.texts = [("1".to_owned(), vec!["a text\u{2028}".to_owned()])].into_iter().collect();
    outcome
}

async fn put(store: &Sqlite, record: Record) -> Created {
    store.create(record).await.unwrap()
}

async fn set(store: &Sqlite, prompt_id: &str, outcome: Outcome) {
    store.update(vec![(prompt_id.to_owned(), outcome)]).await.unwrap();
}

#[tokio::test]
async fn a_record_survives_its_process_to_the_last_bit() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    let identity = store.identity().to_owned();
    assert!(matches!(put(&store, record("a", 1)).await, Created::New));
    set(&store, "a", over(Status::Error, 3)).await;
    set(&store, "unknown", Outcome::default()).await;
    drop(store);
    let mut expected = record("a", 1);
    expected.summary.outcome = over(Status::Error, 3);
    let store = Sqlite::open(folder.path()).unwrap();
    assert_eq!(store.get("a").await.unwrap(), Some(expected));
    assert_eq!(store.get("unknown").await.unwrap(), None);
    assert_eq!(store.identity(), identity);
}

#[tokio::test]
async fn a_folder_belongs_to_one_store_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = Sqlite::open(folder.path()).unwrap();
    assert!(matches!(Sqlite::open(folder.path()), Err(StoreError::InUse)));
    drop(first);
    Sqlite::open(folder.path()).unwrap();
}

#[tokio::test]
async fn open_jobs_come_oldest_first_in_pieces_and_jobs_that_are_over_do_not() {
    let store = Sqlite::in_memory().unwrap();
    for id in ["a", "b", "c", "d"] {
        put(&store, record(id, 1)).await;
    }
    set(&store, "b", over(Status::Completed, 3)).await;
    let ids = |records: Vec<Record>| -> Vec<_> {
        records.into_iter().map(|record| record.summary.prompt_id).collect()
    };
    assert_eq!(ids(store.open(None, 2).await.unwrap()), ["a", "c"]);
    assert_eq!(ids(store.open(Some("c"), 2).await.unwrap()), ["d"]);
    assert!(store.open(Some("d"), 2).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_job_is_repeated_automatically_once_and_by_hand_as_often_as_somebody_likes() {
    let store = Sqlite::in_memory().unwrap();
    let repeated = |id: &str, automatic| {
        let mut record = record(id, 1);
        record.summary.retry_of = Some("lost".into());
        record.summary.automatic = automatic;
        record
    };
    put(&store, record("lost", 1)).await;
    assert!(matches!(put(&store, repeated("by hand", false)).await, Created::New));
    assert!(matches!(put(&store, repeated("by itself", true)).await, Created::New));
    let again = put(&store, repeated("by itself again", true)).await;
    assert!(matches!(again, Created::Repeated(known) if known.summary.prompt_id == "by itself"));
    assert!(matches!(put(&store, repeated("by hand again", false)).await, Created::New));
    assert_eq!(store.get("by itself again").await.unwrap(), None);
}

#[tokio::test]
async fn only_a_job_that_is_over_can_be_deleted_and_only_one_that_comfyui_has_not_got_withdrawn() {
    let store = Sqlite::in_memory().unwrap();
    put(&store, record("a", 1)).await;
    assert_eq!(store.delete("a").await.unwrap(), Deleted::Active);
    set(&store, "a", Outcome::new(Status::Pending, true)).await;
    assert!(!store.withdraw("a").await.unwrap());
    set(&store, "a", over(Status::Cancelled, 2)).await;
    assert_eq!(store.delete("a").await.unwrap(), Deleted::Done);
    assert_eq!(store.delete("a").await.unwrap(), Deleted::Unknown);
    put(&store, record("b", 1)).await;
    assert!(store.withdraw("b").await.unwrap());
    assert_eq!(store.get("b").await.unwrap(), None);
}

#[tokio::test]
async fn pages_come_newest_first_and_miss_nothing_and_repeat_nothing() {
    let store = Sqlite::in_memory().unwrap();
    for n in 0..7 {
        put(&store, record(&n.to_string(), n)).await;
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let filter = Filter::default().with_times(Some(1), None).with_page(3, after);
        let page = store.list(filter).await.unwrap();
        seen.extend(page.jobs.into_iter().map(|job| job.prompt_id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["6", "5", "4", "3", "2", "1"]);
}

#[tokio::test]
async fn jobs_are_listed_by_the_first_characters_of_their_ids() {
    let store = Sqlite::in_memory().unwrap();
    for (n, id) in ["ab1", "ab2", "ac1", "AB3", "a", "ab\u{10ffff}", "a%", "b"].into_iter().enumerate() {
        put(&store, record(id, n as i64)).await;
    }
    for (prefix, expected) in [
        ("ab", vec!["ab\u{10ffff}", "ab2", "ab1"]),
        ("ab1", vec!["ab1"]),
        ("a%", vec!["a%"]),
        ("_", vec![]),
        ("", vec!["b", "a%", "ab\u{10ffff}", "a", "AB3", "ac1", "ab2", "ab1"]),
    ] {
        let filter = Filter::default().with_prompt_id_prefix(Some(prefix.to_owned()));
        let found = store.list(filter).await.unwrap().jobs;
        assert_eq!(found.iter().map(|job| &*job.prompt_id).collect::<Vec<_>>(), expected, "{prefix}");
    }
}

#[tokio::test]
async fn jobs_are_listed_by_their_labels() {
    let store = Sqlite::in_memory().unwrap();
    for (prompt_id, metadata) in [
        ("none", None),
        ("text", Some(json!("team"))),
        ("a", Some(json!({"team": "a"}))),
        ("a of x", Some(json!({"team": "a", "x-y_z.1": "1"}))),
        ("b", Some(json!({"team": "b"}))),
    ] {
        let mut record = record(prompt_id, 1);
        record.summary.metadata = metadata;
        put(&store, record).await;
    }
    let listed = async |labels: &[(&str, &str)]| -> Vec<String> {
        let labels = labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
        let page = store.list(Filter::default().with_labels(labels.collect())).await.unwrap();
        page.jobs.into_iter().map(|job| job.prompt_id).collect()
    };
    assert_eq!(listed(&[("team", "a")]).await, ["a of x", "a"]);
    assert_eq!(listed(&[("team", "a"), ("x-y_z.1", "1")]).await, ["a of x"]);
    assert!(listed(&[("team", "c")]).await.is_empty());
    assert!(listed(&[("tea\"m", "a")]).await == ["a of x", "a"], "a quote is left out");
    assert_eq!(listed(&[]).await.len(), 5);
}

#[tokio::test]
async fn retention_forgets_the_oldest_that_are_over_and_never_an_active_job() {
    let store = Sqlite::in_memory().unwrap();
    for n in 0..5 {
        put(&store, record(&n.to_string(), n)).await;
    }
    for n in 1..5 {
        set(&store, &n.to_string(), over(Status::Completed, n)).await;
    }
    assert_eq!(store.prune(Retention::default()).await.unwrap(), 0);
    assert_eq!(store.prune(Retention::new(Some(2), Some(2))).await.unwrap(), 2);
    let left = store.list(Filter::default()).await.unwrap().jobs;
    assert_eq!(left.iter().map(|job| &*job.prompt_id).collect::<Vec<_>>(), ["4", "3", "0"]);
}

#[tokio::test]
async fn one_idempotency_key_is_one_record() {
    let store = Sqlite::in_memory().unwrap();
    let keyed = |id: &str| {
        let mut record = record(id, 1);
        record.idempotency_key = Some("k".into());
        record
    };
    assert!(matches!(put(&store, keyed("a")).await, Created::New));
    assert!(matches!(put(&store, keyed("b")).await, Created::Known(known) if known.summary.prompt_id == "a"));
    assert_eq!(store.get("b").await.unwrap(), None);
    // A job that failed without having reached ComfyUI gives its key back.
    let mut not_accepted = over(Status::Error, 2);
    not_accepted.accepted = false;
    set(&store, "a", not_accepted).await;
    assert!(matches!(put(&store, keyed("b")).await, Created::New));
    set(&store, "b", over(Status::Error, 2)).await;
    assert!(matches!(put(&store, keyed("c")).await, Created::Known(known) if known.summary.prompt_id == "b"));
}

#[tokio::test]
async fn the_learned_durations_of_a_workflow_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mean = |seconds, steps, count| MeanDuration { mean: Duration::from_secs(seconds), steps, count };
    let learned = |sampler| -> Durations {
        [("KSampler".to_owned(), sampler), ("SaveImage".to_owned(), mean(1, None, 4))].into_iter().collect()
    };
    let store = Sqlite::open(folder.path()).unwrap();
    store.remember_durations("w", learned(mean(9, Some(20.0), 1))).await.unwrap();
    store.remember_durations("w", learned(mean(7, Some(25.0), 2))).await.unwrap();
    drop(store);
    let store = Sqlite::open(folder.path()).unwrap();
    assert_eq!(store.durations("w").await.unwrap(), learned(mean(7, Some(25.0), 2)));
    assert!(store.durations("other").await.unwrap().is_empty());
}

#[tokio::test]
async fn sessions_that_ended_are_kept_until_they_would_have_ended_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    for (id, expires_at, now) in [("a", 100, 1), ("b", 200, 2), ("a", 100, 3)] {
        store.end_session(EndedSession::new(id, expires_at), now).await.unwrap();
    }
    drop(store);
    let store = Sqlite::open(folder.path()).unwrap();
    let ended = async || store.ended_sessions().await.unwrap();
    assert_eq!(ended().await, [EndedSession::new("a", 100), EndedSession::new("b", 200)]);
    store.end_session(EndedSession::new("c", 300), 100).await.unwrap();
    assert_eq!(ended().await, [EndedSession::new("b", 200), EndedSession::new("c", 300)]);
}

#[tokio::test]
async fn learned_times_of_jobs_and_drained_comfyuis_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    let mut times = JobTimes::default();
    let models = ["a.safetensors".to_owned(), "b.safetensors".to_owned()];
    times.learn("w", &models, "gpu1", true, Duration::from_secs(30));
    times.learn("w", &models, "gpu2", false, Duration::from_secs(10));
    times.learn("w", &models, "gpu2", false, Duration::from_secs(20));
    store.remember_job_times(times.clone()).await.unwrap();
    // Another workflow leaves this one as it is.
    let mut more = JobTimes::default();
    more.learn("v", &models, "gpu1", false, Duration::from_secs(1));
    store.remember_job_times(more).await.unwrap();
    for name in ["gpu1", "gpu2", "gpu1"] {
        store.set_draining(name, true).await.unwrap();
    }
    store.set_draining("gpu2", false).await.unwrap();
    drop(store);
    let store = Sqlite::open(folder.path()).unwrap();
    let known = store.job_times().await.unwrap();
    for comfyui in ["gpu1", "gpu2"] {
        assert_eq!(known.slowness_of(comfyui), times.slowness_of(comfyui), "{comfyui}");
    }
    assert_ne!(known.slowness_of("gpu1"), known.slowness_of("gpu2"));
    assert!(known.usual("w", &models).is_some_and(|usual| Some(usual) == times.usual("w", &models)));
    assert!(known.usual("v", &models).is_some());
    assert!(known.load_of(&models).is_some_and(|load| Some(load) == times.load_of(&models)));
    assert_eq!(store.draining().await.unwrap(), ["gpu1"]);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Sqlite::open(folder.path()).unwrap());
    let file = rusqlite::Connection::open(folder.path().join("jobs.sqlite3")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Sqlite::open(folder.path()), Err(StoreError::TooNew { found: 99, .. })));
}

#[tokio::test]
async fn a_file_that_is_no_database_and_a_folder_that_is_a_file_are_refused_without_a_path() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jobs.sqlite3"), "this is no database, and never was one".repeat(99))
        .unwrap();
    let damaged = Sqlite::open(folder.path()).err().unwrap();
    assert!(matches!(damaged, StoreError::Database { fault: Fault::Damaged, .. }), "{damaged:?}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let no_folder = Sqlite::open(&file).err().unwrap();
    assert!(matches!(no_folder, StoreError::Folder(_)), "{no_folder:?}");
    for error in [damaged, no_folder] {
        assert!(!error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
    }
}

#[tokio::test]
async fn a_write_that_fails_leaves_nothing_behind_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    put(&store, record("a", 1)).await;
    let other = rusqlite::Connection::open(folder.path().join("jobs.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = store.create(record("b", 2)).await.unwrap_err();
    assert!(matches!(busy, StoreError::Database { fault: Fault::Busy, .. }), "{busy:?}");
    assert!(store.get("a").await.unwrap().is_some(), "it can be read all the while");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.get("b").await.unwrap(), None);
    assert!(matches!(put(&store, record("b", 2)).await, Created::New));
}

#[tokio::test]
async fn a_store_that_was_closed_is_one_file_with_everything_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    put(&store, record("a", 1)).await;
    store.close().await.unwrap();
    assert!(matches!(store.get("a").await, Err(StoreError::Stopped)));
    assert!(matches!(store.close().await, Err(StoreError::Stopped)));
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["jobs.sqlite3"]);
    // Another process may have the folder although a handle on the store is left.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("jobs.sqlite3"), copy.path().join("jobs.sqlite3")).unwrap();
    for folder in [folder.path(), copy.path()] {
        assert!(Sqlite::open(folder).unwrap().get("a").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_another_connection_reads_is_no_obstacle_to_closing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    put(&store, record("a", 1)).await;
    let other = rusqlite::Connection::open(folder.path().join("jobs.sqlite3")).unwrap();
    other.execute_batch("BEGIN; SELECT * FROM jobs").unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_is_passed_over_and_named_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    let ids = ["graph", "params", "outputs", "status", "text", "request", "well"];
    for (n, id) in ids.into_iter().enumerate() {
        put(&store, record(id, n as i64)).await;
    }
    let other = rusqlite::Connection::open(folder.path().join("jobs.sqlite3")).unwrap();
    other
        .execute_batch(
            "UPDATE requests SET graph = '{' WHERE seq = 1;
             UPDATE requests SET params = '[]' WHERE seq = 2;
             UPDATE jobs SET outputs = 'x' WHERE prompt_id = 'outputs';
             UPDATE jobs SET status = 'lost' WHERE prompt_id = 'status';
             UPDATE jobs SET workflow_name = CAST(x'ff' AS TEXT) WHERE prompt_id = 'text';
             DELETE FROM requests WHERE seq = 6;",
        )
        .unwrap();
    let open = store.open(None, 1).await.unwrap();
    assert_eq!(open.len(), 1, "fewer than asked for would be the end");
    assert_eq!(open[0].summary.prompt_id, "well");
    let page = store.list(Filter::default().with_page(2, None)).await.unwrap();
    let shown = |page: &Page| page.jobs.iter().map(|job| job.prompt_id.clone()).collect::<Vec<_>>();
    assert_eq!(shown(&page), ["well", "request"]);
    let page = store.list(Filter::default().with_page(2, page.next)).await.unwrap();
    assert_eq!(shown(&page), ["params", "graph"]);
    assert_eq!(page.next, None);
    for id in &ids[..6] {
        let error = store.get(id).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { prompt_id, .. } if prompt_id == id), "{error:?}");
        assert!(error.to_string().contains(id), "{error}");
    }
}

#[tokio::test]
async fn ids_of_events_never_decrease_however_the_clock_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    assert_eq!(store.reserve_event_ids(1_000, 50).await.unwrap(), 1_000);
    assert_eq!(store.reserve_event_ids(0, 50).await.unwrap(), 1_050);
    store.close().await.unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    assert_eq!(store.reserve_event_ids(7, 50).await.unwrap(), 1_100);
    assert_eq!(store.reserve_event_ids(5_000, 50).await.unwrap(), 5_000);
    assert_eq!(store.reserve_event_ids(u64::MAX, 50).await.unwrap(), u64::MAX);
}

#[cfg(unix)]
mod on_unix {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn the_folder_and_its_files_are_for_their_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("new/state");
        let store = Sqlite::open(&state).unwrap();
        put(&store, record("a", 1)).await;
        assert_eq!(mode(&state), 0o700);
        for name in ["jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm"] {
            assert_eq!(mode(&state.join(name)), 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn what_an_earlier_version_left_open_to_others_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm"];
        let store = Sqlite::open(folder.path()).unwrap();
        put(&store, record("a", 1)).await;
        // As after a crash: the files beside the database are left.
        let left = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::copy(folder.path().join(name), left.path().join(name)).unwrap();
            set_mode(&left.path().join(name), 0o644);
        }
        set_mode(left.path(), 0o755);
        let store = Sqlite::open(left.path()).unwrap();
        assert!(store.get("a").await.unwrap().is_some());
        assert_eq!(mode(left.path()), 0o700);
        for name in names {
            assert_eq!(mode(&left.path().join(name)), 0o600, "{name}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_others_use_as_well_keeps_its_rights() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        set_mode(folder.path(), 0o755);
        let _store = Sqlite::open(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o755);
        assert_eq!(mode(&folder.path().join("jobs.sqlite3")), 0o600);
    }

    #[tokio::test]
    async fn no_file_that_is_deleted_admits_a_second_store() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Sqlite::open(folder.path()).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        assert!(matches!(Sqlite::open(folder.path()), Err(StoreError::InUse)));
    }
}

#[tokio::test]
async fn calls_that_are_written_together_fail_by_themselves_and_all_others_are_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    // Every third one has the id of the one before.
    let id = |number: u32| format!("job {}", if number % 3 == 2 { number - 1 } else { number });
    let creates = (0..300u32).map(|number| store.create(record(&id(number), i64::from(number))));
    let created = futures::future::join_all(creates).await;
    assert_eq!(created.iter().filter(|created| created.is_err()).count(), 100);
    store.close().await.unwrap();
    let store = Sqlite::open(folder.path()).unwrap();
    assert_eq!(store.list(Filter::default()).await.unwrap().jobs.len(), 200);
}
